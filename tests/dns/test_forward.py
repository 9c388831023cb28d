"""Identical questions share one answer, no more wait than may, and an old answer is better than none."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from filterproxy.dns import forward, wire
from filterproxy.dns.asking import Then
from filterproxy.dns.cache import Answer, AnswerCache, Known, failure
from filterproxy.dns.forward import Forwarder, Overloaded
from tests.dns.fakes import Clock, Counts, fetched, query

ANSWER = Answer(0, b"x", 1, 0, (), (), 60)
OLD = replace(ANSWER, lifetime=0, ede=3)
FAILED = failure(wire.SERVFAIL)
FINE = wire.read_query(bytes(query("fine.example").pack()))
LOUD = wire.read_query(bytes(query("FINE.example").pack()))
OTHER = wire.read_query(bytes(query("other.example").pack()))
ANN, BOB = "192.0.2.1", "192.0.2.2"


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Then] = []
        self.asked = 0

    def ask(self, _query: wire.Query, then: Then) -> None:
        self.asked += 1
        self.waiting.append(then)

    def say(self, answer: Answer = ANSWER) -> None:
        waiting, self.waiting = self.waiting, []
        for then in waiting:
            then(answer)


class Table:
    """A forwarder with its surroundings."""

    def __init__(self, most: int = 80, *, stale: float = 100.0, prefetch: bool = True) -> None:
        self.slow, self.clock, self.counts = Slow(), Clock(), Counts()
        self.forwarder = Forwarder(
            AnswerCache(10, stale), self.slow, most, self.clock, prefetch=prefetch, count=self.counts.event
        )

    async def asks(self, query: wire.Query = FINE, who: str = ANN) -> asyncio.Task[Answer]:
        """Return the answer to come, once it is waited for."""
        task = asyncio.create_task(fetched(self.forwarder, query, who))
        await asyncio.sleep(0)
        return task

    async def expired(self) -> None:
        """Have an answer remembered whose time is over."""
        task = await self.asks()
        self.slow.say()
        await task
        self.clock.seconds += 60


async def test_identical_questions_in_flight_are_asked_once():
    """Whatever their spelling."""
    here = Table()
    waiting = [await here.asks(item) for item in (FINE, LOUD, FINE)]
    here.slow.say()
    assert await asyncio.gather(*waiting) == [ANSWER] * 3
    assert here.slow.asked == 1
    assert here.forwarder.known(FINE) == Known(ANSWER, 0, 1000.0, due=False)


async def test_no_more_wait_than_may():
    """One beyond the bound is told at once, also for a question already in flight; later there is room again."""
    here = Table(2)
    waiting = [await here.asks(who=who) for who in (ANN, BOB)]
    with pytest.raises(Overloaded):
        await fetched(here.forwarder, FINE, "carl")
    here.slow.say()
    await asyncio.gather(*waiting)
    task = await here.asks(OTHER, "carl")
    here.slow.say()
    assert await task == ANSWER


async def test_one_client_waits_for_no_more_than_its_share():
    """However much it asks, there is room for the others; and nothing is kept of one that waits for nothing."""
    here = Table(16)
    waiting = [await here.asks(item) for item in (FINE, OTHER)]
    with pytest.raises(Overloaded):
        await fetched(here.forwarder, FINE, ANN)
    waiting.append(await here.asks(who=BOB))
    here.slow.say()
    assert await asyncio.gather(*waiting) == [ANSWER] * 3
    assert not here.forwarder._waiting_of
    assert not here.forwarder._waiting
    assert not here.forwarder._asked


async def test_a_failure_is_remembered_for_seconds():
    """A name that nobody can resolve is not asked for anew by every client (RFC 9520); then the next tries again."""
    here = Table(16)
    task = await here.asks()
    here.slow.say(FAILED)
    assert (await task).rcode == wire.SERVFAIL
    here.clock.seconds += 4
    assert here.forwarder.known(FINE) == Known(FAILED, 4, 1000.0, due=False)
    here.clock.seconds += 1
    assert here.forwarder.known(FINE) is None


async def test_where_nobody_answers_well_the_old_answer_is_given():
    """Then nobody is asked again for 30 seconds, nor does anyone wait; after that the next asks (RFC 8767)."""
    here = Table()
    await here.expired()
    task = await here.asks()
    assert here.slow.asked == 2
    here.slow.say(FAILED)
    assert await task == OLD
    here.clock.seconds += 29
    assert await fetched(here.forwarder, LOUD, BOB) == OLD
    assert here.slow.asked == 2
    assert here.counts.events["dns_stale"] == 2
    here.clock.seconds += 1
    task = await here.asks()
    assert here.slow.asked == 3
    here.slow.say()
    assert await task == ANSWER
    assert here.counts.events["dns_stale"] == 2
    assert here.forwarder.known(FINE) == Known(ANSWER, 0, here.clock.seconds, due=False)


async def test_a_failure_is_given_where_the_old_answer_is_too_old():
    """Old answers are kept for as long as is configured, and not at all where that is nothing."""
    for stale, seconds in ((100, 100), (0, 0)):
        here = Table(stale=stale)
        await here.expired()
        here.clock.seconds += seconds
        task = await here.asks()
        here.slow.say(FAILED)
        assert await task == FAILED
        assert not here.counts.events["dns_stale"]


async def test_nobody_waits_long_where_there_is_an_old_answer(monkeypatch):
    """It is given after 1.8 seconds; what the upstream says later is for those who ask then."""
    assert forward.PATIENCE == 1.8
    monkeypatch.setattr(forward, "PATIENCE", 0.05)
    here = Table()
    await here.expired()
    first = await here.asks()
    second = await here.asks(who=BOB)
    assert not first.done()
    await asyncio.wait_for(asyncio.wait((first, second)), 2)
    assert (first.result(), second.result()) == (OLD, OLD)
    assert here.counts.events["dns_stale"] == 2
    assert not here.forwarder._waiting
    third = await here.asks()
    assert here.slow.asked == 2  # they wait for the same
    here.slow.say()
    assert await third == ANSWER
    await asyncio.sleep(0.1)  # whose patience does not end any more
    assert here.counts.events["dns_stale"] == 2
    assert not here.forwarder._asked


async def test_what_is_asked_for_often_is_asked_anew_before_it_ends():
    """Once, beside those who are answered from what is known; two askers do not make two questions."""
    here = Table()
    task = await here.asks()
    here.slow.say()
    await task
    here.forwarder.known(FINE)
    here.clock.seconds += 53.9
    here.forwarder.known(FINE)
    assert here.slow.asked == 1
    here.clock.seconds += 0.1
    for item in (FINE, LOUD, FINE):
        found = here.forwarder.known(item)
        assert found is not None
        assert (found.answer, found.age) == (ANSWER, 54)
    assert here.slow.asked == 2
    here.slow.say()
    assert here.forwarder.known(FINE) == Known(ANSWER, 0, here.clock.seconds, due=False)
    assert here.counts.events["dns_prefetch"] == 1


async def test_who_asks_while_a_name_is_asked_anew_waits_for_that():
    """Where the answer ended meanwhile."""
    here = Table()
    task = await here.asks()
    here.slow.say()
    await task
    here.clock.seconds += 55
    here.forwarder.known(FINE)
    here.forwarder.known(FINE)
    here.clock.seconds += 5
    assert here.forwarder.known(FINE) is None
    task = await here.asks()
    assert here.slow.asked == 2
    here.slow.say()
    assert await task == ANSWER


async def test_asking_anew_that_failed_is_not_tried_again_at_once():
    """The answer still holds, and whoever failed is left alone for half a minute."""
    here = Table()
    task = await here.asks()
    here.slow.say(replace(ANSWER, lifetime=6000))
    await task
    here.clock.seconds += 5900
    here.forwarder.known(FINE)
    here.forwarder.known(FINE)
    here.slow.say(FAILED)
    for _ in range(3):
        found = here.forwarder.known(FINE)
        assert found is not None
        assert not found.answer.failed
    assert here.slow.asked == 2
    here.clock.seconds += 30
    here.forwarder.known(FINE)
    assert here.slow.asked == 3


@pytest.mark.parametrize(("prefetch", "most", "asked"), [(True, 80, 2), (False, 80, 1), (True, 1, 1)])
async def test_nothing_is_asked_anew_where_that_is_not_wanted(prefetch, most, asked):
    """By configuration, or where as many questions wait as may: clients come first."""
    here = Table(most, prefetch=prefetch)
    task = await here.asks()
    here.slow.say()
    await task
    waiting = await here.asks(OTHER)
    here.clock.seconds += 55
    here.forwarder.known(FINE)
    here.forwarder.known(FINE)
    assert here.slow.asked == asked + 1
    here.slow.say()
    await waiting


async def test_whoever_fails_below_loses_no_question(caplog):
    """A fault of ours is a failure for those who wait, and no state is left; the log says its kind alone."""

    class Broken:
        def ask(self, _query: wire.Query, _then: Then) -> None:
            raise ValueError("fine.example")

    counts = Counts()
    forwarder = Forwarder(AnswerCache(10), Broken(), 80, Clock(), count=counts.event)
    with caplog.at_level(logging.DEBUG):
        assert (await fetched(forwarder, FINE, ANN)).rcode == wire.SERVFAIL
    assert counts.events == {"dns_internal_error": 1}
    assert "fine.example" not in caplog.text
    assert not forwarder._asked
    assert not forwarder._waiting_of
