"""Replies of our own making are whole messages, for every name that may be asked."""

from __future__ import annotations

import pytest
from dnslib import RCODE, DNSLabel, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, DnsAnswer, Kind, Listing, Match, Scope, Verdict
from filterproxy.dns import answers, wire
from tests.dns.fakes import ede, opt, query

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
