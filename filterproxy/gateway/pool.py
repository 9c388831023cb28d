"""Connections to origins that wait for the next request, whoever puts it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from .origin import IDLE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .origin import Origin


class Pool:
    """Keeps so many in all, and so many for one key; who waited longest makes room."""

    __slots__ = ("_all", "_each", "_most", "_of")

    def __init__(self, most: int, each: int) -> None:
        """Keep `most`, of which `each` have the same key."""
        self._most, self._each = most, each
        self._all: OrderedDict[Origin, None] = OrderedDict()  # who waits longest is first, here and below
        self._of: dict[Hashable, OrderedDict[Origin, None]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._all)

    def take(self, key: Hashable) -> Origin | None:
        """Return the one that was used last, or None where none is fit."""
        while (own := self._of.get(key)) is not None:
            origin = next(reversed(own))
            self._forget(origin, own)
            if origin.fit:
                return origin
            origin.leave()
        return None

    def take_fresh(self, key: Hashable, seconds: float) -> Origin | None:
        """Return one that was used within so many seconds: an origin hardly closes it just now."""
        own = self._of.get(key)
        if own is None:
            return None
        origin = next(reversed(own))
        return self.take(key) if origin.idle_for(IDLE) <= seconds else None

    def give(self, origin: Origin) -> None:
        """Keep one that nobody uses any more, if it is fit."""
        if not origin.fit or not self._most or not self._each:
            origin.leave()
            return
        own = self._of.setdefault(origin.key, OrderedDict())
        own[origin] = self._all[origin] = None
        origin.rest()
        if len(own) > self._each:
            self._evict(next(iter(own)))
        elif len(self._all) > self._most:
            self._evict(next(iter(self._all)))

    def gone(self, origin: Origin) -> None:
        """Take note that a connection is no more, whether it waited here or not."""
        if origin in self._all:
            self._forget(origin, self._of[origin.key])

    def close(self) -> None:
        """Close all, and keep none any more."""
        self._most = 0
        for origin in list(self._all):
            self._evict(origin)

    def _evict(self, origin: Origin) -> None:
        self._forget(origin, self._of[origin.key])
        origin.leave()

    def _forget(self, origin: Origin, own: OrderedDict[Origin, None]) -> None:
        del self._all[origin], own[origin]
        if not own:
            del self._of[origin.key]
