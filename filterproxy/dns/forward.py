"""What becomes of a question that is not blocked: the cache first, then one question to the upstreams for all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from .clients import share

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cache import Answer, AnswerCache
    from .wire import Query


class Asks(Protocol):
    """Whoever answers what we cannot: the upstreams, or what a test puts in their place."""

    async def ask(self, query: Query) -> Answer: ...


class Overloaded(Exception):  # noqa: N818 - it says what we are
    """As many questions wait as may, of all clients or of this one. It gets SERVFAIL at once instead of late."""


class Forwarder:
    """Answers from the cache or from upstreams. Identical questions in flight share one answer."""

    def __init__(
        self, cache: AnswerCache, upstreams: Asks, max_waiting: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache, self._upstreams, self._clock = cache, upstreams, clock
        self._most, self._waiting = max_waiting, 0
        self._share, self._waiting_of = share(max_waiting), Counter[str]()  # no client is kept that waits for nothing
        self._asked: dict[bytes, asyncio.Task[Answer]] = {}

    def known(self, query: Query) -> tuple[Answer, int] | None:
        """Return the cached answer to `query` and its age in seconds, or None."""
        return self._cache.get(query.key, self._clock())

    async def fetch(self, query: Query, sharer: str) -> Answer:
        """Return an upstream's answer to `query` of the client `sharer`. Raises Overloaded."""
        self._enter(sharer)
        try:
            # Shielded: a client that goes away does not take the answer from the others who wait for it.
            return await asyncio.shield(self._asked.get(query.key) or self._ask(query))
        finally:
            self._leave(sharer)

    def _enter(self, sharer: str) -> None:
        if self._waiting >= self._most or self._waiting_of[sharer] >= self._share:
            raise Overloaded
        self._waiting += 1
        self._waiting_of[sharer] += 1

    def _leave(self, sharer: str) -> None:
        self._waiting -= 1
        self._waiting_of[sharer] -= 1
        if not self._waiting_of[sharer]:
            del self._waiting_of[sharer]

    def _ask(self, query: Query) -> asyncio.Task[Answer]:
        task = asyncio.get_running_loop().create_task(self._remember(query))
        self._asked[query.key] = task
        return task

    async def _remember(self, query: Query) -> Answer:
        try:
            answer = await self._upstreams.ask(query)
            self._cache.put(query.key, answer, self._clock())
            return answer
        finally:
            del self._asked[query.key]
