"""What was read lately, by its bytes: browsers say nearly the same with every request, and what is the same has the
same reading.

It holds what people send, so it is small and forgets all within seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

MOST: Final = 1024
"""Heads that are remembered at most."""
LONGEST: Final = 2048
"""Bytes of one at most."""
SECONDS: Final = 10.0
"""For how long they are, at most."""


class Memo[V]:
    """Remembers what bytes were read as."""

    __slots__ = ("_known", "_loop", "_timer", "get")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Forget on `loop`; without one, remember nothing."""
        self._loop = loop
        self._known: dict[bytes, V] = {}
        self.get = self._known.get
        """Returns what bytes were read as, or None."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._known)

    def put(self, data: bytes, found: V) -> None:
        """Remember what `data` was read as, unless it is long."""
        if self._loop is None or len(data) > LONGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[data] = found
        if self._timer is None:
            self._timer = self._loop.call_later(SECONDS, self.forget)

    def forget(self) -> None:
        """Forget all."""
        self._known.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
