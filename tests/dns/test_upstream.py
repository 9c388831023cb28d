"""Asking upstreams: what is believed, what is passed over, and who is asked next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvloop
from dnslib import DNSRecord

from filterproxy.dns import wire
from filterproxy.dns.upstream import Upstreams
from filterproxy.settings.base import split_address
from tests.dns.fakes import Upstream, query

ZONE = {("fine.example", "A"): "fine.example 300 IN A 192.0.2.80"}
FINE = wire.read_query(bytes(query("fine.example").pack()))


UNREACHED = (wire.SERVFAIL, 23)
USELESS = (wire.SERVFAIL, 22)


def asking(*upstreams: Upstream, timeout: float = 0.3, rest: float = 10) -> Upstreams:
    return Upstreams([split_address(item.address) for item in upstreams], timeout, rest)


async def failure(upstreams: Upstreams) -> tuple[int, int | None]:
    """Return the response code and the extended error of an answer that is none, asserting that it is none."""
    answer = await upstreams.ask(FINE)
    assert (answer.body, answer.chain) == (b"", ())
    assert 1 <= answer.lifetime <= 5
    return answer.rcode, answer.ede


def _wrong_id(asked: DNSRecord, honest: bytes) -> bytes:
    return bytes([honest[0] ^ 1]) + honest[1:]


def _wrong_question(asked: DNSRecord, honest: bytes) -> bytes:
    return honest.replace(b"\4fine", b"\4mine", 1)


def _wrong_type(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:26] + b"\0\x1c" + honest[28:]


def _a_query(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:2] + bytes([honest[2] & 0x7F]) + honest[3:]


def _stub(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:11]


@pytest.mark.parametrize("lie", [_wrong_id, _wrong_question, _wrong_type, _a_query, _stub])
async def test_a_reply_that_does_not_fit_is_passed_over(lie):
    """A forgery before the true answer changes nothing; a forgery alone is no answer."""
    async with Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest), honest]) as both:
        assert (await asking(both).ask(FINE)).answers == 1
    async with Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest)]) as liar:
        assert await failure(asking(liar, timeout=0.1)) == UNREACHED


async def test_each_question_has_its_own_id_and_port():
    """Neither can be learnt from the last question (RFC 5452)."""
    async with Upstream(ZONE) as upstream:
        upstreams = asking(upstream)
        for _ in range(20):
            await upstreams.ask(FINE)
    assert len({item.header.id for item in upstream.seen}) > 15
    assert len(upstream.ports) > 10


def _damaged(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:-2]


def _endless(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:7] + b"\xff" + honest[8:]


def _refusing(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:3] + b"\x85" + bytes(8)  # REFUSED, without the question


@pytest.mark.parametrize("lie", [_damaged, _endless, _refusing])
async def test_a_useless_answer_leads_to_the_next_upstream_and_rests_none(lie, caplog):
    """It is about the question; whoever asks for a name of his own cannot choose who serves the others."""
    lame = Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest)])
    async with lame, Upstream(ZONE) as good:
        upstreams = asking(lame, good)
        assert [(await upstreams.ask(FINE)).answers for _ in range(3)] == [1, 1, 1]
    assert (len(lame.seen), len(good.seen)) == (3, 3)
    assert caplog.text == ""


async def test_one_that_is_silent_is_followed_by_the_next_and_rests(caplog):
    """The next upstream is then asked first; the log says so once and names no address."""
    lame = Upstream(ZONE, lame=lambda *_: [])
    async with lame, Upstream(ZONE) as good:
        upstreams = asking(lame, good, timeout=0.1)
        assert [(await upstreams.ask(FINE)).answers for _ in range(3)] == [1, 1, 1]
    assert (len(lame.seen), len(good.seen)) == (2, 3)
    assert caplog.text.count("DNS upstream 1 of 2 gave no answer") == 1
    assert "127.0.0.1" not in caplog.text


async def test_after_its_rest_an_upstream_is_probed_and_comes_back_when_it_answered():
    """One question that is nobody's tries it, and no client waits for it, however long it stays silent."""
    lame = Upstream(ZONE, lame=lambda *_: [])
    async with lame, Upstream(ZONE) as good:
        upstreams = asking(lame, good, timeout=0.15, rest=0.2)
        await upstreams.ask(FINE)
        await asyncio.sleep(0.25)
        lame.seen.clear()
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(upstreams.ask(FINE) for _ in range(5)))
        assert asyncio.get_running_loop().time() - before < 0.14
        await asyncio.sleep(0.2)
        assert [str(item.q) for item in lame.seen] == [";.                              IN      NS"] * 2
        lame.lame = None
        await asyncio.sleep(0.25)
        good.seen.clear()
        await upstreams.ask(FINE)  # it wakes the probe, and is not answered by it
        await asyncio.sleep(0.05)
        await upstreams.ask(FINE)
        assert len(good.seen) == 1


async def test_a_lost_datagram_is_sent_again():
    """From another port and with another id, long before the upstream is given up."""
    losses: Iterator[list[bytes]] = iter([[]])
    async with Upstream(ZONE, lame=lambda *_: next(losses, None)) as upstream:
        before = asyncio.get_running_loop().time()
        assert (await asking(upstream, timeout=0.6).ask(FINE)).answers == 1
        assert asyncio.get_running_loop().time() - before < 0.58
    assert len(upstream.seen) == len(upstream.ports) == len({item.header.id for item in upstream.seen}) == 2


async def test_one_from_before_edns_is_asked_again_without_it():
    """FORMERR is what it says to OPT (RFC 6891, section 7), and no more than one question follows."""

    def old(asked: DNSRecord, honest: bytes) -> list[bytes] | None:
        return [honest[:3] + b"\x81" + bytes(8)] if asked.ar else None

    async with Upstream(ZONE, lame=old) as upstream:
        assert (await asking(upstream).ask(FINE)).answers == 1
    assert [len(item.ar) for item in upstream.seen] == [1, 0]
    async with Upstream({("fine.example", "A"): "FORMERR"}) as upstream:
        assert await failure(asking(upstream)) == (wire.FORMERR, 22)
    assert len(upstream.seen) == 2


async def test_a_failure_is_handed_on_only_when_nobody_knows_better():
    """An upstream that cannot resolve a name is no broken upstream; another may be able to. What it said is kept."""
    refusing, gone = Upstream({("fine.example", "A"): "REFUSED"}), Upstream()
    async with gone:
        pass
    async with refusing, Upstream({("fine.example", "A"): "SERVFAIL"}) as failing, Upstream(ZONE) as good:
        assert (await asking(gone, failing, refusing, good).ask(FINE)).rcode == wire.NOERROR
        assert await failure(asking(gone, refusing)) == (wire.REFUSED, 22)
        assert await failure(asking(failing, refusing, gone)) == (wire.SERVFAIL, None)


async def test_a_closed_port_is_noticed_at_once() -> None:
    """No time-out is waited for where the system knows that nobody listens."""
    async with Upstream(ZONE) as gone:
        pass
    before = asyncio.get_running_loop().time()
    assert await failure(asking(gone, timeout=5)) == UNREACHED
    assert asyncio.get_running_loop().time() - before < 2


async def test_a_cut_answer_is_fetched_over_tcp() -> None:
    """TC over UDP leads to the same question over TCP; TC there, or another id, is no answer."""
    async with Upstream(ZONE, udp_limit=20) as upstream:
        answer = await asking(upstream).ask(FINE)
    assert (answer.answers, upstream.tcp_seen) == (1, 1)
    async with Upstream(ZONE, udp_limit=20, lame_tcp=lambda asked, honest: [_wrong_id(asked, honest)]) as liar:
        assert await failure(asking(liar)) == USELESS
    async with Upstream(ZONE, udp_limit=20, lame_tcp=lambda *_: []) as silent:
        assert await failure(asking(silent, timeout=0.1)) == UNREACHED


def test_uvloop_serves_as_well():
    """Workers run on uvloop: forgeries, silence, a closed port and TCP are met there in the same way."""

    async def story() -> None:
        await test_a_reply_that_does_not_fit_is_passed_over(_wrong_id)
        await test_a_closed_port_is_noticed_at_once()
        await test_a_cut_answer_is_fetched_over_tcp()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(story(), 20))


@pytest.mark.parametrize(("records", "served"), [(500, True), (501, False)])
async def test_an_answer_of_too_many_records_is_no_answer(records, served):
    """Records cost time to judge, so their number has an end."""
    lines = "\n".join(f"fine.example 60 IN A 192.0.{number // 250}.{number % 250}" for number in range(records))
    async with Upstream({("fine.example", "A"): lines}) as upstream:
        answer = await asking(upstream, timeout=5).ask(FINE)
    assert (answer.ede is None) is served
