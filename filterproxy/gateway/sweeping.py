"""Who waits too long is ended: one look a second over all connections, in place of a timer for each."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY: Final = 1.0
"""Seconds between two looks: by so much a wait may be longer than it should."""
NEVER: Final = inf


class Waiting(Protocol):
    """What may wait too long."""

    deadline: float
    """When it has, on the sweeper's clock; NEVER where it may wait as long as it likes."""

    def overdue(self) -> None:
        """End the wait. Called once for each deadline that has passed, so it sets another or leaves."""

    def retire(self) -> None:
        """End at once where nothing is under way, else as soon as that is over: the worker is about to."""


class Sweeper:
    """Looks at all that joined it, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look on `loop`, by its clock, whenever anybody is there."""
        self._loop = loop
        self.clock: Callable[[], float] = loop.time
        self._all: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return how many are looked at."""
        return len(self._all)

    def join(self, item: Waiting) -> None:
        """Look at `item` from now on."""
        self._all.add(item)
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(EVERY, self._look)

    def leave(self, item: Waiting) -> None:
        """Look at it no longer."""
        self._all.discard(item)

    def retire(self) -> None:
        """Tell everybody to end."""
        for item in list(self._all):
            item.retire()

    def cut(self) -> None:
        """End everybody now, whatever is under way."""
        for item in list(self._all):
            item.overdue()

    def close(self) -> None:
        """Look at nobody any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(EVERY, self._look) if self._all else None
        now = self.clock()
        for item in [item for item in self._all if item.deadline <= now]:
            item.overdue()
