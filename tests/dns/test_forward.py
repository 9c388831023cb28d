"""Identical questions share one answer, and no more wait than may."""

from __future__ import annotations

import asyncio

import pytest

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer, AnswerCache
from filterproxy.dns.forward import Forwarder, Overloaded
from tests.dns.fakes import Clock, query

ANSWER = Answer(0, b"x", 1, 0, (), (), 60)
FINE = wire.read_query(bytes(query("fine.example").pack()))
LOUD = wire.read_query(bytes(query("FINE.example").pack()))
OTHER = wire.read_query(bytes(query("other.example").pack()))


class Slow:
    """Answers when it is told to."""

    def __init__(self, answer: Answer | None = ANSWER) -> None:
        self.go = asyncio.Event()
        self.asked = 0
        self.answer = answer

    async def ask(self, _query: wire.Query) -> Answer | None:
        self.asked += 1
        await self.go.wait()
        return self.answer


async def test_identical_questions_in_flight_are_asked_once():
    """Whatever their spelling; and one asker's departure takes nothing from the others."""
    slow = Slow()
    forwarder = Forwarder(AnswerCache(10), slow, 10, Clock())
    waiting = [asyncio.create_task(forwarder.fetch(item)) for item in (FINE, LOUD, FINE)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    slow.go.set()
    assert await asyncio.gather(*waiting[1:]) == [ANSWER, ANSWER]
    assert slow.asked == 1
    assert forwarder.known(FINE) == (ANSWER, 0)


async def test_no_more_wait_than_may():
    """One beyond the bound is told at once, also for a question already in flight; later there is room again."""
    slow = Slow()
    forwarder = Forwarder(AnswerCache(10), slow, 2, Clock())
    waiting = [asyncio.create_task(forwarder.fetch(item)) for item in (FINE, OTHER)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await forwarder.fetch(FINE)
    slow.go.set()
    await asyncio.gather(*waiting)
    assert await forwarder.fetch(FINE) == ANSWER


async def test_no_answer_is_not_remembered():
    """The next who asks tries again."""
    slow = Slow(None)
    slow.go.set()
    forwarder = Forwarder(AnswerCache(10), slow, 2, Clock())
    assert [await forwarder.fetch(FINE) for _ in range(2)] == [None, None]
    assert slow.asked == 2
    assert forwarder.known(FINE) is None
