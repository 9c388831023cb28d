"""Identical questions share one answer, and no more wait than may."""

from __future__ import annotations

import asyncio

import pytest

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer, AnswerCache, failure
from filterproxy.dns.forward import Forwarder, Overloaded
from tests.dns.fakes import Clock, query

ANSWER = Answer(0, b"x", 1, 0, (), (), 60)
FINE = wire.read_query(bytes(query("fine.example").pack()))
LOUD = wire.read_query(bytes(query("FINE.example").pack()))
OTHER = wire.read_query(bytes(query("other.example").pack()))
ANN, BOB = "192.0.2.1", "192.0.2.2"


class Slow:
    """Answers when it is told to."""

    def __init__(self, answer: Answer = ANSWER) -> None:
        self.go = asyncio.Event()
        self.asked = 0
        self.answer = answer

    async def ask(self, _query: wire.Query) -> Answer:
        self.asked += 1
        await self.go.wait()
        return self.answer


async def test_identical_questions_in_flight_are_asked_once():
    """Whatever their spelling; and one asker's departure takes nothing from the others."""
    slow = Slow()
    forwarder = Forwarder(AnswerCache(10), slow, 80, Clock())
    waiting = [asyncio.create_task(forwarder.fetch(item, ANN)) for item in (FINE, LOUD, FINE)]
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
    waiting = [asyncio.create_task(forwarder.fetch(FINE, who)) for who in (ANN, BOB)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await forwarder.fetch(FINE, "carl")
    slow.go.set()
    await asyncio.gather(*waiting)
    assert await forwarder.fetch(FINE, "carl") == ANSWER


async def test_one_client_waits_for_no_more_than_its_share():
    """However much it asks, there is room for the others; and nothing is kept of one that waits for nothing."""
    slow = Slow()
    forwarder = Forwarder(AnswerCache(10), slow, 16, Clock())
    waiting = [asyncio.create_task(forwarder.fetch(item, ANN)) for item in (FINE, OTHER)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await forwarder.fetch(FINE, ANN)
    waiting.append(asyncio.create_task(forwarder.fetch(FINE, BOB)))
    slow.go.set()
    assert await asyncio.gather(*waiting) == [ANSWER] * 3
    assert not forwarder._waiting_of


async def test_a_failure_is_remembered_for_seconds():
    """A name that nobody can resolve is not asked for anew by every client (RFC 9520); then the next tries again."""
    slow, clock = Slow(failure(wire.SERVFAIL)), Clock()
    slow.go.set()
    forwarder = Forwarder(AnswerCache(10), slow, 16, clock)
    assert (await forwarder.fetch(FINE, ANN)).rcode == wire.SERVFAIL
    clock.seconds += 4
    assert forwarder.known(FINE) == (slow.answer, 4)
    clock.seconds += 1
    assert forwarder.known(FINE) is None
