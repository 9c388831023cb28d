"""Replies of our own making are whole messages, for every name that may be asked, and for what is no question."""

from __future__ import annotations

import asyncio

import pytest
from dnslib import EDNS0, RCODE, DNSLabel, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, DnsAnswer, Kind, Listing, Match, Scope, Verdict
from filterproxy.dns import answers, wire
from filterproxy.dns.cache import failure
from tests.dns.fakes import Below, answered, bench, ede, opt, query

ASCII_LABELS = st.lists(
    st.binary(min_size=1, max_size=62).map(lambda item: bytes(byte & 127 for byte in item)), max_size=4
)


def verdict(how: DnsAnswer, *, covers_below: bool) -> Verdict:
    match = Match(
        Listing("some", dns=how, ede=17), Kind.DOMAIN, Scope.TREE, Action.BLOCK, "x", covers_below=covers_below
    )
    return Verdict(match=match)


@pytest.mark.parametrize(("asked", "covers_below", "rcode"), [
    (True, True, "NXDOMAIN"), (True, False, "NOERROR"), (False, True, "NOERROR"), (False, False, "NOERROR"),
])  # fmt: skip
def test_nxdomain_is_said_only_where_all_below_is_blocked_too(asked, covers_below, rcode):
    """NXDOMAIN denies the name asked for with everything below it (RFC 8020)."""
    asking = wire.read_query(bytes(query("x.example").pack()))
    found = verdict(DnsAnswer.NXDOMAIN, covers_below=covers_below)
    reply = DNSRecord.parse(answers.blocked(asking, found, 60, (), asked=asked))
    assert (RCODE[reply.header.rcode], len(reply.auth), ede(reply)) == (rcode, 1, 17)


def test_a_notice_without_an_address_of_the_family_is_nodata():
    """Rather than an address that leads nowhere."""
    asking = wire.read_query(bytes(query("x.example", "AAAA").pack()))
    reply = DNSRecord.parse(answers.blocked(asking, verdict(DnsAnswer.NOTICE, covers_below=True), 60, (), asked=True))
    assert (RCODE[reply.header.rcode], reply.rr, len(reply.auth)) == ("NOERROR", [], 1)


@given(ASCII_LABELS, st.sampled_from(list(DnsAnswer)), st.booleans(), st.sampled_from([None, 512, 1232]))
def test_every_block_answer_is_a_whole_message(labels, how, asked, edns):
    """It reads back with the question as asked, and it fits where no more than 512 bytes may be sent."""
    asking = wire.read_query(bytes(query(DNSLabel(labels), edns=edns).pack()))
    packet = answers.fitted(
        asking, answers.blocked(asking, verdict(how, covers_below=True), 60, (), asked=asked), tcp=False
    )
    reply = DNSRecord.parse(packet)
    assert reply.q.qname.label == tuple(labels)
    assert (opt(reply) is None) is (edns is None)
    assert len(packet) <= (edns or 512)


def test_an_answer_too_long_for_tcp_is_an_error():
    """A message of more than 65,535 bytes cannot be framed."""
    asking = wire.read_query(bytes(query("x.example").pack()))
    assert answers.fitted(asking, bytes(65_535), tcp=True) == bytes(65_535)
    assert answers.fitted(asking, bytes(65_536), tcp=True)[3] & 15 == wire.SERVFAIL


async def test_what_is_no_question_for_us_is_refused():
    """Other classes, transfers, other opcodes and other versions of EDNS get the answer that RFCs have for them."""
    here = bench()
    chaos = query("version.bind", "TXT")
    chaos.q.qclass = 3
    update = query("blocked.example")
    update.header.opcode = 5
    future = query("blocked.example")
    future.ar[0].ttl = 1 << 16
    replies = [await here.ask(item) for item in (chaos, update, query("blocked.example", "AXFR"))]
    assert [RCODE[reply.header.rcode] for reply in replies] == ["REFUSED", "NOTIMP", "REFUSED"]
    reply = await here.ask(future)
    assert (reply.header.rcode, opt(reply).edns_rcode, opt(reply).edns_ver) == (0, 1, 0)  # BADVERS is 16


def _cases() -> dict[str, bytes]:
    good = bytes(query("blocked.example", edns=None).pack())
    opt_record = bytes(query("x").pack())[-11:]
    return {
        "0x41 label": good[:12] + b"\x41" + good[13:],
        "trailing bytes": good + b"\0",
        "two questions": good[:4] + b"\0\2" + good[6:] + good[12:],
        "no question": good[:4] + b"\0\0" + good[6:12],
        "an answer in it": good[:6] + b"\0\1" + good[8:] + b"\0\0\1\0\1\0\0\0\0\0\0",
        "cut short": good[:-1],
        "pointer to itself": good[:12] + b"\xc0\x0c" + good[-4:],
        "pointer into the header": good[:12] + b"\xc0\x00" + good[-4:],
        "two OPT": good[:10] + b"\0\2" + good[12:] + opt_record * 2,
        "OPT in authority": good[:8] + b"\0\1" + good[10:] + opt_record,
        "OPT with a name": good[:10] + b"\0\1" + good[12:] + b"\1x" + opt_record,
        "half an option": good[:10] + b"\0\1" + good[12:] + opt_record[:-2] + b"\0\3\0\x0a\0",
        "name of 256 bytes": good[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0" + good[-4:],
        "header alone": good[:12],
    }


@pytest.mark.parametrize("packet", _cases().values(), ids=_cases().keys())
async def test_a_malformed_question_is_answered_formerr(packet):
    """FORMERR with the id, and nothing of the question."""
    here = bench()
    reply = await answered(here.resolver, packet)
    assert reply == packet[:2] + b"\x81\x81" + bytes(8)
    assert here.counts.events["dns_malformed"] == 1


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, bytes(query("blocked.example").reply().pack())])
async def test_what_is_no_query_is_met_with_silence(packet):
    """A fragment of a header, or a reply, which answered would bounce for ever."""
    assert await answered(bench().resolver, packet) is None


@given(st.binary(max_size=600), st.booleans())
def test_any_packet_is_answered_or_dropped(packet, tcp):
    """Whatever arrives on port 53, the answer is bytes or None, has the query's id, and nothing was raised."""
    _answered(packet, tcp)


@given(st.data())
def test_any_damage_to_a_question_is_answered_or_dropped(data):
    """The same for packets that begin as good ones."""
    name = data.draw(st.sampled_from(["blocked.example", "fine.example", "null.example"]))
    packet = bytearray(query(name, data.draw(st.sampled_from(["A", "HTTPS", "TXT"]))).pack())
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    _answered(bytes(packet[: data.draw(st.integers(0, len(packet)))]), data.draw(st.booleans()))


def _answered(packet: bytes, tcp: bool) -> None:
    here = bench(rest=Below(failure(RCODE.SERVFAIL)))
    reply = asyncio.run(answered(here.resolver, packet, tcp=tcp))
    assert here.counts.events["dns_internal_error"] == 0
    if len(packet) < 12 or packet[2] & 0x80:
        assert reply is None
    else:
        assert reply is not None
        assert reply[:2] == packet[:2]
        assert reply[2] & 0x80
        assert len(reply) == 12 or reply[12:].startswith(packet[12:-11][:20])


@pytest.mark.parametrize("place", range(4))
def test_a_cookie_that_looks_like_an_opt_record_is_padded_round_and_comes_back_whole(place):
    """Its first 8 bytes are any that the client likes, those with which our OPT record begins among them."""
    chosen = (b"1234"[:place] + answers._OPT_START + b"1234")[:8]
    question = DNSRecord.question("fine.example")
    question.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(10, chosen), EDNSOption(12, b"")]))
    asking = wire.read_query(bytes(question.pack()))
    asking.answered = bytes((0, 10, 0, 24)) + chosen + bytes(range(16))
    reply = answers.padded(asking, answers.error(asking, wire.NOERROR))
    said = [(item.code, bytes(item.data)) for item in opt(DNSRecord.parse(reply)).rdata]
    assert said[0] == (10, chosen + bytes(range(16)))
    assert [code for code, _ in said] == [10, 12]
    assert len(reply) == answers.BLOCK
