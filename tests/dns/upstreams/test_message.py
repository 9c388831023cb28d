"""Messages to upstreams: what they say, and what counts as a reply to them."""

from __future__ import annotations

from collections import Counter

import pytest
from dnslib import DNSLabel, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.upstreams.message import PADDED_TO, Fit, Question, Randomness, fit
from tests.dns.fakes import query
from tests.dns.upstreams.peers import FINE, LIES

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=3).map(tuple)


def asked(labels, rtype="A", *, do=False) -> wire.Query:
    return wire.read_query(bytes(query(DNSLabel(labels), rtype, do=do).pack()))


@given(LABELS, st.sampled_from(["A", "HTTPS", "TXT"]), st.booleans(), st.booleans(), st.booleans(), st.data())
def test_a_message_asks_what_was_asked(labels, rtype, do, ad, edns, data):
    """Name, type, class and DO are the client's, whatever the case of letters; RD is set, and the id is ours."""
    given_query = asked(labels, rtype, do=do)
    question = Question(given_query)
    random = data.draw(st.binary(min_size=len(question.name), max_size=len(question.name)))
    section = question.spelled(random)
    assert section.lower() == given_query.question.lower()
    for message in (
        question.message(b"\x12\x34", section, ad=ad, edns=edns),
        question.padded(b"\x12\x34", section, ad=ad, edns=edns),
    ):
        found = wire.read_query(message)
        assert (found.id, found.flags, found.question) == (0x1234, wire.RD | (wire.AD if ad else 0), section)
        assert (found.edns is not None, found.do) == (edns, edns and do)
        assert found.edns is None or found.edns.size == 1232
    if edns:
        assert len(question.padded(b"\0\0", section, ad=ad, edns=True)) % PADDED_TO == 0


def test_every_letter_is_spelled_in_either_case():
    """Twelve letters are twelve bits; digits, hyphens and lengths stay as they are."""
    question, random = Question(FINE), Randomness()
    seen = {question.spelled(random.take(len(question.name))) for _ in range(300)}
    assert len(seen) > 150
    for at, byte in enumerate(FINE.name):
        assert {section[at] for section in seen} == ({byte, byte ^ 0x20} if chr(byte).isalpha() else {byte})


def test_randomness_gives_each_byte_once():
    """What one question took no other gets, also where a block ends."""
    random = Randomness()
    pieces = [random.take(size) for size in [2, 257, 16, 4096, 1, 4090, 7] * 20]
    assert [len(item) for item in pieces] == [2, 257, 16, 4096, 1, 4090, 7] * 20
    assert max(Counter(item for item in pieces if len(item) > 10).values()) == 1


def honest() -> bytes:
    return bytes(DNSRecord.parse(bytes(query("fine.example").pack())).reply().pack())


@pytest.mark.parametrize("lie", LIES)
def test_another_question_is_no_fit(lie):
    """Name, type, class, QR and the number of questions must be right; the id was looked at before."""
    reply = lie(None, honest())
    expected = Fit.EXACT if reply[2:] == honest()[2:] else Fit.NONE
    assert fit(reply, FINE.question) is expected
    assert fit(reply[:5] + b"\2" + reply[6:], FINE.question) is Fit.NONE
    assert fit(reply[:2] + bytes([reply[2] | 0x08]) + reply[3:], FINE.question) is Fit.NONE


def test_case_makes_the_difference_between_exact_and_folded():
    """A reply that does not repeat every letter as it was spelled may be forged."""
    assert fit(honest(), FINE.question) is Fit.EXACT
    assert fit(honest(), b"\4FiNe\7eXAMPLE\0\0\1\0\1") is Fit.FOLDED
    assert fit(honest(), b"\4FiNe\7eXAMPLE\0\0\1\0\2") is Fit.NONE


def test_only_a_refusal_may_leave_the_question_out():
    """Some servers refuse without it; an answer always repeats it."""
    assert fit(b"\0\0\x81\x85" + bytes(8), FINE.question) is Fit.EXACT
    assert fit(b"\0\0\x81\x80" + bytes(8), FINE.question) is Fit.NONE
    assert fit(b"\0\0\x83\x85" + bytes(8), FINE.question) is Fit.NONE


@given(st.binary(max_size=60), st.integers(0, 40))
def test_any_bytes_fit_or_do_not(junk, kept):
    """Whatever arrives, nothing is raised."""
    assert fit(junk, FINE.question) in Fit
    assert fit(honest()[:kept] + junk, FINE.question) in Fit
