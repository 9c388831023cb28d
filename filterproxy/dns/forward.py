"""What becomes of a question that is not blocked: the cache first, then one question to the upstreams for all who ask.

Where an answer's time is over and no upstream answers soon, or none well, the old one is given (RFC 8767). One that is
asked for often is asked anew before it ends, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from . import wire
from .cache import failure
from .clients import share

if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import Asks, Then
    from .cache import Answer, AnswerCache, Known
    from .wire import Query

log = logging.getLogger(__name__)

PATIENCE = 1.8
"""Seconds that a client waits before it is given an answer whose time is over (RFC 8767, section 5)."""


class Overloaded(Exception):  # noqa: N818 - it says what we are
    """As many questions wait as may, of all clients or of this one. It gets SERVFAIL at once instead of late."""


class _Waiter:
    """Somebody who waits for an answer; told once."""

    __slots__ = ("sharer", "then", "timer")

    def __init__(self, sharer: str, then: Then) -> None:
        self.sharer, self.then = sharer, then
        self.timer: asyncio.TimerHandle | None = None


class Forwarder:
    """Answers from the cache or from upstreams. Identical questions in flight share one answer."""

    def __init__(
        self,
        cache: AnswerCache,
        rest: Asks,
        max_waiting: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        prefetch: bool = True,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cache, self._rest, self._clock, self._count = cache, rest, clock, count
        self._prefetches = prefetch
        self._most, self._waiting = max_waiting, 0
        self._share, self._waiting_of = share(max_waiting), Counter[str]()  # no client is kept that waits for nothing
        self._asked: dict[bytes, list[_Waiter]] = {}

    def known(self, query: Query) -> Known | None:
        """Return the cached answer to `query`, or None. One that is due is asked for anew, beside this question."""
        found = self._cache.get(query.key, self._clock())
        if found is not None and found.due and self._prefetches and not found.answer.failed:
            self._prefetch(query)
        return found

    def fetch(self, query: Query, sharer: str, then: Then) -> None:
        """Have `then` called with the answer to `query` of the client `sharer`. Raises Overloaded."""
        key = query.key
        stale = self._cache.stale(key, self._clock())
        full = self._waiting >= self._most or self._waiting_of[sharer] >= self._share
        if stale is not None and (stale[1] or full):
            self._count("dns_stale")
            then(stale[0])
            return
        if full:
            raise Overloaded
        self._waiting += 1
        self._waiting_of[sharer] += 1
        waiter = _Waiter(sharer, then)
        if stale is not None:
            loop = asyncio.get_running_loop()
            waiter.timer = loop.call_later(PATIENCE, self._give_stale, key, waiter, stale[0])
        self._ask(query, waiter)

    def _ask(self, query: Query, *waiters: _Waiter) -> None:
        key = query.key
        asked = self._asked.get(key)
        if asked is not None:
            asked += waiters
            return
        self._asked[key] = list(waiters)
        try:
            self._rest.ask(query, partial(self._arrived, key))
        except Exception as exc:  # noqa: BLE001 - else all who ask for this name would wait for ever
            log.error("a DNS question could not be asked: %s", type(exc).__name__)  # no traceback: it may hold names
            self._count("dns_internal_error")
            if key in self._asked:
                self._arrived(key, failure(wire.SERVFAIL))

    def _prefetch(self, query: Query) -> None:
        if query.key not in self._asked and self._waiting + len(self._asked) < self._most:
            self._count("dns_prefetch")
            self._ask(query)

    def _arrived(self, key: bytes, answer: Answer) -> None:
        now = self._clock()
        waiters = self._asked.pop(key, ())
        self._cache.put(key, answer, now)
        if answer.failed and (stale := self._cache.stale(key, now)) is not None:
            answer = stale[0]
            for _ in waiters:
                self._count("dns_stale")
        for waiter in waiters:
            self._tell(waiter, answer)

    def _give_stale(self, key: bytes, waiter: _Waiter, answer: Answer) -> None:
        """Give up waiting; the answer, when it comes, is for the next who ask."""
        self._asked[key].remove(waiter)
        self._count("dns_stale")
        self._tell(waiter, answer)

    def _tell(self, waiter: _Waiter, answer: Answer) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        self._waiting -= 1
        self._waiting_of[waiter.sharer] -= 1
        if not self._waiting_of[waiter.sharer]:
            del self._waiting_of[waiter.sharer]
        waiter.then(answer)
