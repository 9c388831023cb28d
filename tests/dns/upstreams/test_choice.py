"""Asking upstreams: whose answer is taken, and who is asked next."""

from __future__ import annotations

import asyncio
import random
from itertools import count as counting
from typing import Any

import pytest

from filterproxy.dns import wire
from filterproxy.dns.answers import relayed
from filterproxy.dns.cache import Answer
from filterproxy.dns.upstreams import Upstreams, choice
from filterproxy.settings.dns import split_upstream
from tests.dns.upstreams.peers import FINE, UNREACHED, USELESS, ZONE, Upstream, asking, lie_id, named, tidy


def _silent(*_):
    return []


def _damaged(asked, honest):
    return [honest[:-2]]


def _endless(asked, honest):
    return [honest[:7] + b"\xff" + honest[8:]]


def _refusing(asked, honest):
    return [honest[:3] + b"\x85" + bytes(8)]  # REFUSED, without the question


@pytest.mark.parametrize("lame", [_damaged, _endless, _refusing])
async def test_a_useless_answer_leads_to_the_next_upstream_and_rests_none(lame, caplog):
    """It is about the question; whoever asks for a name of his own cannot choose who serves the others."""
    async with Upstream(ZONE, lame=lame) as bad, Upstream(ZONE) as good, asking(bad, good) as here:
        for _ in range(3):
            assert (await here.ask()).answers == 1
            assert not here.down
    assert len(bad.seen) >= 1
    assert caplog.text == ""


async def test_one_that_is_silent_is_followed_by_the_next_and_rests(caplog):
    """The next upstream is then asked first, and long before a time-out; the log says so once, without an address."""
    async with Upstream(ZONE, lame=_silent) as lame, Upstream(ZONE) as good, asking(lame, good) as here:
        before = asyncio.get_running_loop().time()
        assert (await here.ask()).answers == 1
        assert 0.05 < asyncio.get_running_loop().time() - before < 0.25
        assert here.counts["dns_upstream_hedged"] == 1
        for _ in range(5):
            before = asyncio.get_running_loop().time()
            assert (await here.ask()).answers == 1
            assert asyncio.get_running_loop().time() - before < 0.05
        await asyncio.sleep(0.35)
        assert here.upstreams._peers[0].health.resting
        assert (await here.ask()).answers == 1
    assert (len(lame.seen), len(good.seen)) == (2, 7)
    assert caplog.text.count("DNS upstream 1 of 2 gave no answer") == 1
    assert "127.0.0.1" not in caplog.text
    assert "fine" not in caplog.text


async def test_after_its_rest_an_upstream_is_probed_and_comes_back_when_it_answered():
    """One question that is nobody's tries it, and no client waits for it, however long it stays silent."""
    good = Upstream(ZONE)
    async with Upstream(ZONE, lame=_silent) as lame, good, asking(lame, good, timeout=0.15, rest=0.3) as here:
        await here.ask()
        await asyncio.sleep(0.5)
        lame.seen.clear()
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(here.ask() for _ in range(5)))
        assert asyncio.get_running_loop().time() - before < 0.1
        await asyncio.sleep(0.2)
        assert [str(item.q) for item in lame.seen] == [";.                              IN      NS"] * 2
        assert here.upstreams._peers[0].health.resting
        lame.lame = None
        await asyncio.sleep(0.35)
        lame.seen.clear()
        await here.ask()  # it wakes the probe, and is not answered by it
        await asyncio.sleep(0.05)
        assert [str(item.q.qtype) for item in lame.seen] == ["2"]
        assert not here.upstreams._peers[0].health.resting


async def test_a_failure_is_handed_on_only_when_nobody_knows_better():
    """An upstream that cannot resolve a name is no broken upstream; another may be able to. What it said is kept."""
    refusing, gone = Upstream({("fine.example", "A"): "REFUSED"}), Upstream()
    async with gone:
        pass
    async with refusing, Upstream({("fine.example", "A"): "SERVFAIL"}) as failing, Upstream(ZONE) as good:
        async with asking(gone, failing, refusing, good) as here:
            assert (await here.ask()).rcode == wire.NOERROR
        async with asking(gone, refusing) as here:
            assert await here.failure() == (wire.REFUSED, 22)
        async with asking(failing, refusing, gone) as here:
            assert await here.failure() == (wire.SERVFAIL, None)


async def test_all_silent_ends_in_time():
    """However many are silent, a client waits no longer than twice what one may take."""
    async with (
        Upstream(lame=_silent) as one,
        Upstream(lame=_silent) as two,
        Upstream(lame=_silent) as three,
        asking(one, two, three, two, one, timeout=0.2) as here,
    ):
        for _ in range(3):
            before = asyncio.get_running_loop().time()
            assert await here.failure() == UNREACHED
            assert asyncio.get_running_loop().time() - before < 0.5
    assert all(len(item.seen) <= 12 for item in (one, two, three))  # no storm


async def test_a_slow_name_is_asked_of_another_and_rests_nobody():
    """The first good answer wins; an upstream that answers others meanwhile has nothing to answer for."""
    slow = Upstream(ZONE, lame=lambda asked, honest: [] if b"slow" in asked.pack().lower() else None)
    async with (
        slow,
        Upstream({("slow.example", "A"): "slow.example 300 IN A 192.0.2.9"}) as other,
        asking(slow, other, timeout=0.4) as here,
    ):
        for _ in range(3):
            await here.ask()
        waiting = here.begin(named("slow.example"))
        for _ in range(12):
            await asyncio.sleep(0.02)
            await here.ask()
        assert (await waiting).answers == 1
        await asyncio.sleep(0.4)
        assert not here.down
    assert [str(item.q.qname).lower() for item in other.seen] == ["slow.example."]


async def test_where_all_names_are_slow_only_some_are_asked_twice(monkeypatch):
    """A flood of names that nobody can resolve is not sent to all upstreams: an eighth of it, beyond a reserve."""
    monkeypatch.setattr(choice, "HEDGES_SAVED", 4)
    slow = Upstream(ZONE, lame=lambda asked, honest: [] if b"slow" in asked.pack().lower() else None)
    async with slow, Upstream(ZONE) as other, asking(slow, other, timeout=0.3) as here:
        await here.ask()
        waiting = [here.begin(named(f"slow{number}.example")) for number in range(40)]
        for _ in range(10):
            await asyncio.sleep(0.02)
            await here.ask()
        assert here.counts["dns_upstream_hedged"] <= 4 + (40 + 11) / 8
        await asyncio.gather(*waiting)


async def test_the_fastest_is_asked_first_and_one_that_became_faster_is_noticed(monkeypatch):
    """A question now and then goes to another too, so that what was slow once is not slow for ever."""
    monkeypatch.setattr(choice, "EXPLORES", 4)
    first, second = Upstream(ZONE, delay=0.04), Upstream(ZONE)
    async with first, second, asking(first, second, timeout=1) as here:
        for _ in range(8):
            assert (await here.ask()).answers == 1
        assert here.upstreams._order[0] == 1
        first.delay, second.delay = 0, 0.04
        for _ in range(60):
            await here.ask()
        assert here.upstreams._order[0] == 0
        assert here.counts["dns_upstream_hedged"] == 0


async def test_an_upstream_that_comes_and_goes_costs_no_client_more_than_its_patience():
    """Whatever one upstream does, the other answers within the time after which it is asked beside."""
    turns = counting()
    flapping = Upstream(ZONE, lame=lambda *_: [] if next(turns) // 5 % 2 else None)
    async with flapping, Upstream(ZONE) as good, asking(flapping, good, timeout=0.6, rest=0.1) as here:
        for _ in range(40):
            before = asyncio.get_running_loop().time()
            assert (await here.ask()).answers == 1
            assert asyncio.get_running_loop().time() - before < 0.4


@pytest.mark.parametrize(("way", "believed"), [("", True), ("tcp://", True)])
async def test_what_a_loopback_upstream_says_of_authentication_is_believed(way, believed):
    """AD comes from one whose way to us nobody can touch."""
    async with Upstream(ZONE) as upstream, asking(way + upstream.address) as here:
        assert (await here.ask()).ad is believed
        assert all(item.header.ad for item in upstream.seen)


async def test_nobody_else_is_believed_on_authentication():
    """Over plain UDP to another machine anybody may set AD, so it is neither asked for nor believed."""
    async with Upstream(ZONE) as upstream, asking(upstream) as here:
        here.upstreams._peers[0].believed = False
        assert (await here.ask()).ad is False
        assert not any(item.header.ad for item in upstream.seen)
    async with tidy():
        far = Upstreams([split_upstream("192.0.2.1:53"), split_upstream("[2001:db8::1]:53")], 1)
        assert [peer.believed for peer in far._peers] == [False, False]
        far.close()


async def test_do_and_cd_are_passed_on_and_nothing_else_is():
    """An upstream sees the question, DO and CD; what the client's packet held beside that it does not."""
    async with Upstream(ZONE) as upstream, asking(upstream) as here:
        for do in (False, True):
            for flags in (wire.RD, wire.RD | wire.CD | wire.AD):
                asked = wire.Query(1, flags, b"\4fine\7example\0", (), wire.A, wire.IN, wire.Edns(0, 4000, do))
                assert (await here.ask(asked)).answers == 1
    seen = [(item.header.rd, item.header.cd, item.ar[0].edns_do, item.ar[0].edns_len) for item in upstream.seen]
    assert seen == [(1, 0, 0, 1232), (1, 1, 0, 1232), (1, 0, 1, 1232), (1, 1, 1, 1232)]


@pytest.mark.parametrize(("records", "served"), [(500, True), (501, False), (3500, False)])
async def test_an_answer_of_too_many_records_is_no_answer(records, served):
    """Records cost time to judge, so their number has an end."""
    lines = "\n".join(f"fine.example 60 IN A 192.{number // 62500}.{number // 250 % 250}.{number % 250}"
                      for number in range(records))  # fmt: skip
    async with Upstream({("fine.example", "A"): lines}) as upstream, asking(upstream, timeout=5) as here:
        answer = await here.ask()
        assert (answer.ede is None) is served
        assert answer.answers == (records if served else 0)


async def test_an_answer_can_be_read_again():
    """Whatever case the question was asked in, what it points to is put behind the client's own."""
    zone = {("www.fine.example", "A"): "www.fine.example 60 IN CNAME fine.example\nfine.example 60 IN A 192.0.2.80"}
    async with Upstream(zone) as upstream, asking(upstream) as here:
        asked = named("www.fine.example")
        answer = await here.ask(asked)
        assert answer.chain == ("fine.example",)
        again = relayed(asked, answer, 0, 100)
        assert (b"\3www\4fine\7example" in again, again[6:8]) == (True, b"\0\2")


async def test_without_upstreams_there_is_an_answer_too():
    """A zone with nobody to ask is a failure at once, not a wait."""
    async with asking() as here:
        assert await here.failure() == UNREACHED


async def test_closing_answers_whoever_waits():
    """On an orderly end every question has its answer, and nobody is asked for another."""
    async with Upstream(lame=_silent) as silent, asking(silent, silent, timeout=5) as here:
        waiting = [here.begin() for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting.append(here.begin())  # not even sent yet
        here.upstreams.close()
        assert {(answer.rcode, answer.ede) for answer in await asyncio.gather(*waiting)} == {UNREACHED}
        assert await here.failure() == UNREACHED


async def test_who_asks_from_within_an_answer_is_served():
    """Prefetch and CNAMEs ask again from the call back."""
    async with Upstream(ZONE) as upstream, asking(upstream) as here:
        done = asyncio.get_running_loop().create_future()
        here.upstreams.ask(FINE, lambda _: here.upstreams.ask(FINE, done.set_result))
        answer: Answer = await done
        assert answer.answers == 1


async def test_one_clock_ticks_however_often_who_is_answered_asks_anew():
    """A question asked from within a failure starts no second clock."""
    async with Upstream(lame=_silent) as silent, asking(silent, timeout=0.1) as here:
        failed = asyncio.Event()
        rounds = iter(range(4))

        def again(answer):
            if next(rounds, None) is None:
                failed.set()
            else:
                here.upstreams.ask(FINE, again)
                here.upstreams.ask(FINE, lambda _: None)

        again(None)
        await asyncio.sleep(0.25)
        assert not failed.is_set()
        loop: Any = asyncio.get_running_loop()
        coming = (*loop._scheduled, *loop._ready)  # one that is due this very turn is among the latter
        ticks = [item for item in coming if item._callback == here.upstreams._tick and not item.cancelled()]
        assert len(ticks) == 1
        await failed.wait()


async def test_a_storm_of_faults_leaves_one_answer_for_each_question_and_nothing_else():
    """Lost, doubled, forged, cut, late and honest answers at once: each question ends once, in time."""
    chance = random.Random(5)

    def lame(asked, honest):
        cut = honest[:2] + bytes([honest[2] | 2]) + honest[3:]
        forged = lie_id(asked, honest)
        return chance.choice([None, None, [], [forged, honest], [honest, honest], [cut], [forged], [bytes(3)]])

    async with (
        Upstream(ZONE, lame=lame) as one,
        Upstream(ZONE, lame=lame, delay=0.03) as two,
        asking(one, two, timeout=0.3, rest=0.05) as here,
    ):
        waiting = []
        for _ in range(20):
            waiting += [here.begin() for _ in range(10)]
            await asyncio.sleep(0.01)
        before = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*waiting)
        assert asyncio.get_running_loop().time() - before < 0.7
        assert sum(item.answers == 1 for item in answers) > 180
        assert {(item.rcode, item.ede) for item in answers if item.answers != 1} <= {UNREACHED, USELESS}
