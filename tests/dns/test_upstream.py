"""Asking upstreams: what is believed, what is passed over, and who is asked next."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from dnslib import DNSRecord

from filterproxy.dns import wire
from filterproxy.dns.upstream import Upstreams
from filterproxy.settings.base import split_address
from tests.dns.fakes import Upstream, query

ZONE = {("fine.example", "A"): "fine.example 300 IN A 192.0.2.80"}
FINE = wire.read_query(bytes(query("fine.example").pack()))


def asking(*upstreams: Upstream, timeout: float = 0.3) -> Upstreams:
    return Upstreams([split_address(item.address) for item in upstreams], timeout)


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
        answer = await asking(both).ask(FINE)
    assert answer is not None
    assert answer.answers == 1
    async with Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest)]) as liar:
        assert await asking(liar, timeout=0.05).ask(FINE) is None


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


@pytest.mark.parametrize("lie", [None, _damaged, _endless, _refusing])
async def test_one_that_gives_no_answer_is_followed_by_the_next_and_rests(lie, caplog):
    """Silence, damage and refusal lead to the next upstream, which then is asked first; the log names no address."""
    lame = Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest)] if lie else [])
    async with lame, Upstream(ZONE) as good:
        upstreams = asking(lame, good, timeout=0.1)
        for _ in range(3):
            answer = await upstreams.ask(FINE)
            assert answer is not None
            assert answer.answers == 1
    assert (len(lame.seen), len(good.seen)) == (1, 3)
    assert caplog.text.count("DNS upstream 1 of 2 gave no answer") == 1
    assert "127.0.0.1" not in caplog.text


async def test_servfail_is_handed_on_only_when_nobody_knows_better():
    """An upstream that cannot resolve a name is no broken upstream; another may be able to."""
    async with Upstream({("fine.example", "A"): "SERVFAIL"}) as failing, Upstream(ZONE) as good:
        answer = await asking(failing, good).ask(FINE)
        assert answer is not None
        assert answer.rcode == wire.NOERROR
        alone = await asking(failing).ask(FINE)
    assert alone is not None
    assert (alone.rcode, alone.lifetime) == (wire.SERVFAIL, 0)


async def test_a_closed_port_is_noticed_at_once() -> None:
    """No time-out is waited for where the system knows that nobody listens."""
    async with Upstream(ZONE) as gone:
        pass
    before = asyncio.get_running_loop().time()
    assert await asking(gone, timeout=5).ask(FINE) is None
    assert asyncio.get_running_loop().time() - before < 2


async def test_a_cut_answer_is_fetched_over_tcp() -> None:
    """TC over UDP leads to the same question over TCP; TC there, or another id, is no answer."""
    async with Upstream(ZONE, udp_limit=20) as upstream:
        answer = await asking(upstream).ask(FINE)
    assert answer is not None
    assert (answer.answers, upstream.tcp_seen) == (1, 1)
    async with Upstream(ZONE, udp_limit=20, lame_tcp=lambda asked, honest: [_wrong_id(asked, honest)]) as liar:
        assert await asking(liar).ask(FINE) is None
    async with Upstream(ZONE, udp_limit=20, lame_tcp=lambda *_: []) as silent:
        assert await asking(silent, timeout=0.1).ask(FINE) is None


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
    assert (answer is not None) is served
