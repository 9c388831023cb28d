"""What becomes of a question that is not blocked: the cache first, then one question to the upstreams for all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cache import Answer, AnswerCache
    from .wire import Query


class Asks(Protocol):
    """Whoever answers what we cannot: the upstreams, or what a test puts in their place."""

    async def ask(self, query: Query) -> Answer | None: ...


class Overloaded(Exception):  # noqa: N818 - it says what we are
    """As many questions wait as may. The client gets SERVFAIL at once instead of late."""


class Forwarder:
    """Answers from the cache or from upstreams. Identical questions in flight share one answer."""

    def __init__(
        self, cache: AnswerCache, upstreams: Asks, max_waiting: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache, self._upstreams, self._clock = cache, upstreams, clock
        self._max_waiting, self._waiting = max_waiting, 0
        self._asked: dict[bytes, asyncio.Task[Answer | None]] = {}

    def known(self, query: Query) -> tuple[Answer, int] | None:
        """Return the cached answer to `query` and its age in seconds, or None."""
        return self._cache.get(query.key, self._clock())

    async def fetch(self, query: Query) -> Answer | None:
        """Return an upstream's answer to `query`, or None where none came. Raises Overloaded."""
        if self._waiting >= self._max_waiting:
            raise Overloaded
        self._waiting += 1
        try:
            # Shielded: a client that goes away does not take the answer from the others who wait for it.
            return await asyncio.shield(self._asked.get(query.key) or self._ask(query))
        finally:
            self._waiting -= 1

    def _ask(self, query: Query) -> asyncio.Task[Answer | None]:
        task = asyncio.get_running_loop().create_task(self._remember(query))
        self._asked[query.key] = task
        return task

    async def _remember(self, query: Query) -> Answer | None:
        try:
            answer = await self._upstreams.ask(query)
            if answer is not None:
                self._cache.put(query.key, answer, self._clock())
            return answer
        finally:
            del self._asked[query.key]
