"""Asking over UDP: volleys, ports and ids; what is passed over; and that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.dns.upstreams import udp
from tests.dns.upstreams.peers import FINE, LIES, UNREACHED, USELESS, ZONE, Upstream, asking, lie_id, losing, named


@pytest.mark.parametrize("lie", LIES)
async def test_a_reply_that_does_not_fit_is_passed_over(lie):
    """A forgery before the true answer changes nothing but a count; a forgery alone is no answer."""
    async with Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest), honest]) as both, asking(both) as here:
        assert (await here.ask()).answers == 1
        assert here.counts["dns_upstream_spoofed"] == 1
    async with (
        Upstream(ZONE, lame=lambda asked, honest: [lie(asked, honest)]) as liar,
        asking(liar, timeout=0.1) as here,
    ):
        assert await here.failure() == UNREACHED


async def test_each_question_has_its_own_id_and_port_and_spelling():
    """None can be learnt from the last question (RFC 5452)."""
    async with Upstream(ZONE) as upstream, asking(upstream) as here:
        for _ in range(20):
            await here.ask()
    assert len({item.header.id for item in upstream.seen}) > 15
    assert len(upstream.ports) > 10
    assert len({str(item.q.qname) for item in upstream.seen}) > 10


async def test_what_is_asked_in_one_turn_leaves_in_one_volley():
    """Many questions at once cost one port for sixty-four of them, and each has its own id and answer."""
    zone = {(f"n{number}.example", "A"): f"n{number}.example 9 IN A 192.0.2.{number}" for number in range(100)}
    async with Upstream(zone) as upstream, asking(upstream, timeout=2) as here:
        waiting = [here.begin(named(f"n{number}.example")) for number in range(100)]
        answers = await asyncio.gather(*waiting)
        assert [item.body[-1] for item in answers] == list(range(100))
    assert len(upstream.ports) == 2
    assert len(upstream.seen) == 100


async def test_a_lost_datagram_is_sent_again():
    """From another port and with another id, long before the upstream is given up; the others' answers stand."""
    losses = losing(0)
    async with Upstream(ZONE, lame=lambda *_: next(losses)) as upstream, asking(upstream, timeout=0.6) as here:
        before = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(here.ask() for _ in range(3)))
        assert [item.answers for item in answers] == [1] * 3
        assert asyncio.get_running_loop().time() - before < 0.58
    assert len(upstream.seen) == len({item.header.id for item in upstream.seen}) == 4
    assert len(upstream.ports) == 2


async def test_the_first_answer_counts_though_it_was_asked_again():
    """A slow upstream is heard on the port it was first asked from."""
    async with Upstream(ZONE, delay=0.25) as upstream, asking(upstream, timeout=0.6) as here:
        before = asyncio.get_running_loop().time()
        assert (await here.ask()).answers == 1
        assert asyncio.get_running_loop().time() - before < 0.4
        await asyncio.sleep(0.3)
    assert len(upstream.seen) == 2


async def test_silence_is_no_storm():
    """A question is asked twice and no more."""
    async with Upstream(ZONE, lame=lambda *_: []) as upstream, asking(upstream, timeout=0.2) as here:
        assert {item.ede for item in await asyncio.gather(*(here.ask() for _ in range(10)))} == {23}
    assert len(upstream.seen) == 20


@pytest.mark.parametrize("many", [1, 2, 3, 64, 130])
async def test_a_closed_port_is_noticed_at_once(many):
    """No time-out is waited for where the system knows that nobody listens, however many were asked."""
    async with Upstream(ZONE) as gone:
        pass
    async with asking(gone, timeout=5) as here:
        before = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(here.ask() for _ in range(many)))
        assert {(item.rcode, item.ede) for item in answers} == {UNREACHED}
        assert asyncio.get_running_loop().time() - before < 1


async def test_where_no_way_leads_is_noticed_at_once():
    """An address that cannot be reached from here is no reason to wait."""
    async with Upstream(ZONE) as good, asking("255.255.255.255:53", good, timeout=5) as here:
        before = asyncio.get_running_loop().time()
        assert (await here.ask()).answers == 1
        assert asyncio.get_running_loop().time() - before < 1


def test_uvloop_serves_as_well(run):
    """Workers run on uvloop: forgeries, silence, a closed port and TCP are met there in the same way."""

    async def story() -> None:
        await test_a_reply_that_does_not_fit_is_passed_over(lie_id)
        await test_a_closed_port_is_noticed_at_once(3)
        await test_a_lost_datagram_is_sent_again()
        await test_a_cut_answer_is_fetched_over_tcp()

    run(story)


async def test_a_cut_answer_is_fetched_over_tcp():
    """TC over UDP leads to the same question over TCP; TC there, or another id, is no answer."""
    async with Upstream(ZONE, udp_limit=20) as upstream, asking(upstream) as here:
        for _ in range(3):
            assert (await here.ask()).answers == 1
        assert (upstream.tcp_seen, here.counts["dns_upstream_tcp"]) == (3, 3)
    async with (
        Upstream(ZONE, udp_limit=20, lame_tcp=lambda asked, honest: [lie_id(asked, honest)]) as liar,
        asking(liar) as here,
    ):
        assert await here.failure() == USELESS


async def test_lame_tcp_costs_the_long_answers_alone():
    """One whose TCP is silent, or shut, still serves what fits; it does not rest, and another gives the rest."""
    silent = Upstream(ZONE, udp_limit=20, lame_tcp=lambda *_: [])
    async with silent, asking(silent, timeout=0.2) as here:
        assert await here.failure() == UNREACHED
        assert not here.upstreams._peers[0].health.resting
        silent.udp_limit = 1232
        assert (await here.ask()).answers == 1
    async with Upstream(ZONE, udp_limit=20) as shut, Upstream(ZONE) as good, asking(shut, good, timeout=2) as here:
        shut._server.close()
        assert (await here.ask()).answers == 1
        assert not here.upstreams._peers[0].health.resting


async def test_a_datagram_longer_than_we_take_counts_as_cut():
    """An upstream that heeds no size is asked over TCP."""
    lines = "\n".join(f"fine.example 60 IN A 192.0.{number // 250}.{number % 250}" for number in range(300))
    async with (
        Upstream({("fine.example", "A"): lines}, udp_limit=60_000) as upstream,
        asking(upstream, timeout=2) as here,
    ):
        assert (await here.ask()).answers == 300
    assert upstream.tcp_seen == 1


def _folding(asked, honest):
    return [honest[:12] + honest[12:26].lower() + honest[26:]]


async def test_another_case_is_not_believed_but_asked_for_over_tcp():
    """Whoever guessed port and id has not guessed the letters; the true answer comes by a way that he is not on."""
    forged = iter([True])

    def lame(asked, honest):
        if next(forged, False):
            return [_folding(asked, honest)[0][:-1] + b"\x66", honest]
        return None

    async with Upstream(ZONE, lame=lame) as upstream, asking(upstream) as here:
        here.way._take = bytes  # all lower case: not to be told apart
        assert (await here.ask()).body[-1] == 0x66
    forged = iter([True])
    async with Upstream(ZONE, lame=lame) as upstream, asking(upstream) as here:
        here.way._take = lambda size: b"\x20" * size
        assert (await here.ask()).body[-1] == 80
        assert upstream.tcp_seen == 1
        assert upstream.seen[0].q.qname.label == (b"FINE", b"EXAMPLE")


async def test_one_that_folds_every_letter_is_believed_after_all():
    """Where TCP shows three times that it gives no case back, it is no longer asked there."""
    async with Upstream(ZONE, lame=_folding, lame_tcp=_folding) as upstream, asking(upstream) as here:
        for _ in range(10):
            assert (await here.ask()).answers == 1
        assert 3 <= upstream.tcp_seen <= 4
    async with Upstream(ZONE, lame=_folding) as forger, asking(forger) as here:  # TCP gives the letters back
        for _ in range(6):
            assert (await here.ask()).answers == 1
        assert forger.tcp_seen >= 5
        assert not here.upstreams._peers[0].folds


async def test_one_that_folds_every_letter_and_has_no_tcp_serves_in_the_end():
    """A few questions are lost on learning that; then it is asked without random case."""
    async with Upstream(ZONE, lame=_folding) as upstream, asking(upstream, timeout=1) as here:
        upstream._server.close()
        answers = [(await here.ask()).answers for _ in range(8)]
        assert answers[4:] == [1] * 4
        assert not here.down


async def test_one_from_before_edns_is_asked_again_without_it():
    """FORMERR is what it says to OPT (RFC 6891, section 7), and no more than one question follows."""

    def old(asked, honest):
        return [honest[:3] + b"\x81" + bytes(8)] if asked.ar else None

    async with Upstream(ZONE, lame=old) as upstream, asking(upstream) as here:
        assert (await here.ask()).answers == 1
    assert [len(item.ar) for item in upstream.seen] == [1, 0]
    async with Upstream({("fine.example", "A"): "FORMERR"}) as upstream, asking(upstream) as here:
        assert await here.failure() == (1, 22)
    assert len(upstream.seen) == 2


async def test_ports_are_bounded(monkeypatch):
    """However many questions wait, few ports are open; more join the youngest, and all have their answers."""
    monkeypatch.setattr(udp, "VOLLEYS", 5)
    async with Upstream(ZONE, delay=0.2) as upstream, asking(upstream, timeout=2) as here:
        waiting = []
        for _ in range(40):
            waiting.append(here.begin())
            await asyncio.sleep(0)
            assert len(here.way._volleys) <= 5
        assert [item.answers for item in await asyncio.gather(*waiting)] == [1] * 40
    assert len(upstream.ports) == 5


async def test_questions_of_one_port_are_bounded(monkeypatch):
    """Beyond, a question is not sent: ids of a port that thousands share are no riddle."""
    monkeypatch.setattr(udp, "VOLLEYS", 1)
    monkeypatch.setattr(udp, "CROWDED", 10)
    async with Upstream(ZONE, delay=0.1) as upstream, asking(upstream, timeout=2) as here:
        waiting = []
        for _ in range(20):
            waiting.append(here.begin())
            await asyncio.sleep(0)
        answers = await asyncio.gather(*waiting)
        assert [item.answers for item in answers] == [1] * 10 + [0] * 10


async def test_the_seventh_descriptor_too_many_is_no_disaster(monkeypatch):
    """Where the system gives no socket there is a failure, not an exception."""

    def refused(*args):
        raise OSError(24, "Too many open files")

    async with Upstream(ZONE) as upstream, asking(upstream) as here:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", refused)
            here.begin()
            asked = here.begin(FINE)
            await asyncio.sleep(0)
        assert (await asked).ede == 23
        assert (await here.ask()).answers == 1


async def test_slow_names_that_hold_every_descriptor_keep_no_other_name_waiting(monkeypatch):
    """Where the system gives no socket, a question joins a port that is open."""

    def refused(*args):
        raise OSError(24, "Too many open files")

    async with Upstream(ZONE, delay=0.05) as upstream, asking(upstream, timeout=2) as here:
        slow = here.begin()
        await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", refused)
            asked = here.begin()
            await asyncio.sleep(0.01)
        assert (await asked).answers == (await slow).answers == 1
    assert len(upstream.ports) == 1


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=5), st.booleans())
def test_any_datagram_is_passed_over_or_understood(junk, honest_id):
    """Whatever an upstream says, each question ends once, in time, and no error gets out."""

    def lame(asked, honest):
        return [honest[:2] + item if honest_id else item for item in junk]

    async def story() -> None:
        async with Upstream(ZONE, lame=lame) as upstream, asking(upstream, timeout=0.06) as here:
            answer = await here.ask()
            assert answer.answers == 0
            assert (await here.ask()).rcode in range(16)

    asyncio.run(story())


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_answer_is_passed_over_or_understood(damage):
    """Bytes changed anywhere behind the id make another answer, or none; never an error."""

    def lame(asked, honest):
        packet = bytearray(honest)
        for at, byte in damage:
            packet[2 + at % (len(packet) - 2)] = byte
        return [bytes(packet)]

    zone = {("fine.example", "A"): "fine.example 9 IN CNAME b.example\nb.example 9 IN A 192.0.2.1"}

    async def story() -> None:
        async with Upstream(zone, lame=lame) as upstream, asking(upstream, timeout=0.06) as here:
            assert (await here.ask()).rcode in range(16)

    asyncio.run(story())


async def test_ipv6_is_asked_as_well(free_port):
    """An upstream in brackets is reached over IPv6."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(("::1", free_port))
        async with asking(f"[::1]:{free_port}", timeout=1) as here:
            waiting = here.begin()
            await asyncio.sleep(0.05)
            packet, client = sock.recvfrom(4096)
            sock.sendto(packet[:2] + b"\x81\x83" + packet[4:10] + b"\0\0" + packet[12:-11], client)
            answer = await waiting
            assert (answer.rcode, answer.ad) == (3, False)
