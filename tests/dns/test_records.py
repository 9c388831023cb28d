"""Records that are copied from one message to another: they say there what they said."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer, failure, read_answer
from filterproxy.dns.records import UNREADABLE, Draft, aliased, denial, host_labels, read, wire_name
from filterproxy.dns.wire import Malformed
from tests.dns.rooms import lines, message, question, reply, said

ALL = """a.example 60 IN CNAME b.example
b.example 60 IN A 192.0.2.1
b.example 60 IN MX 5 mail.b.example
b.example 60 IN SRV 1 2 3 sip.b.example
b.example 60 IN NAPTR 1 2 "S" "SIP" "" sip.b.example
b.example 60 IN TXT "b.example"
b.example 60 IN HTTPS 1 b.example. alpn=h2
b.example 60 IN PTR c.b.example
b.example 60 IN 999 # c00c00
authority b.example 60 IN SOA ns.b.example. admin.b.example. 1 2 3 4 5
authority b.example 60 IN NS ns.b.example."""


def test_what_is_copied_says_the_same_behind_another_question():
    """Every name in every record, wherever the message it came in had it."""
    query, other = question("a.example", "ANY"), question("a.much.longer.name.example", "ANY")
    found = aliased(other, [(other.labels, 9, wire_name(query.labels))], query, said(query, ALL))
    assert lines(other, found)[0] == "a.much.longer.name.example. 9 CNAME a.example."
    assert lines(other, found)[1:] == lines(query, said(query, ALL))
    authorities = [str(record) for record in message(query, said(query, ALL)).auth]
    assert [str(record) for record in message(other, found).auth] == authorities
    assert len(authorities) == 2


def test_every_failure_below_is_one_above():
    """Its records are left out, for they stand behind another question."""
    query = question("a.example")
    below = Answer(5, b"\xc0\x0c", 1, 0, (), (), 7, 22)
    assert aliased(query, [], query, below) == failure(5, 22, 7)
    assert aliased(query, [], query, Answer(0, b"\xc0\x0c", 1, 0, (), (), 7)) is UNREADABLE


def test_owners_that_stood_before_are_pointed_to():
    """In the question, as an owner, as a CNAME's target; beyond 16 KB they are spelled out."""
    query = question("a.example", "ANY")
    draft = Draft(query)
    draft.add((b"a", b"example"), wire.CNAME, 1, wire_name((b"b", b"test")))
    draft.add((b"b", b"test"), 16, 1, bytes(16_384))
    draft.add((b"c",), 16, 1, b"\1x")
    draft.add((b"c",), 16, 1, b"\1x")
    draft.add((), 16, 1, b"\1x")
    body = draft.answer().body
    assert body[:2] == b"\xc0\x0c"
    assert body[20:22] == b"\xc0" + bytes([12 + 15 + 12])
    assert body[20 + 12 + 16_384 :].startswith(b"\x01c\0")
    assert body.count(b"\x01c\0") == 2


@pytest.mark.parametrize(("rtype", "data", "spelled"), [
    (65, b"\0\1\xc0\x0c\0\3\0\2\0\x35", b"\0\1\1a\7example\0\0\3\0\2\0\x35"),
    (15, b"\0\5\1x\xc0\x0e", b"\0\5\1x\7example\0"),
    (6, b"\xc0\x0c\xc0\x0e" + bytes(20), b"\1a\7example\0\7example\0" + bytes(20)),
    (35, b"\0\1\0\2\0\1U\0\xc0\x0e", b"\0\1\0\2\0\1U\0\7example\0"),
    (999, b"\xc0\x0c", b"\xc0\x0c"),
    (15, b"\0\5\1x", None),  # a name that leaves its record
    (5, b"", None),
    (35, b"\0\1\0\2\0", None),
])  # fmt: skip
def test_names_in_data_are_spelled_out(rtype, data, spelled):
    """Where a type is known to hold them; every other byte is as it was."""
    query = question("a.example", "ANY")
    first, next_one = (b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(what)) + what for kind, what in (
        (rtype, data), (16, bytes(9)),
    ))  # fmt: skip
    found = read(query, Answer(0, first + next_one, 2, 0, (), (), 60))
    if spelled is None:
        with pytest.raises(Malformed):
            found.data(found.answers[0])
    else:
        assert found.data(found.answers[0]) == spelled


@pytest.mark.parametrize("sizes", [(70_000,), (40_000, 30_000)])
def test_what_no_message_can_hold_is_malformed(sizes):
    """So no client gets it, and no memory is filled with it."""
    draft = Draft(question("a.example"))
    for size in sizes[:-1]:
        draft.add((b"a",), 16, 1, bytes(size))
    with pytest.raises(Malformed):
        draft.add((b"a",), 16, 1, bytes(sizes[-1]))


def test_a_denial_says_that_there_is_nothing():
    """For a minute, in the name of what was asked."""
    query = question("A.example")
    found = message(query, denial(query, 15))
    assert (denial(query, 15).ede, denial(query).ede, denial(query).lifetime) == (15, None, 60)
    assert [str(record.rname) for record in found.auth] == ["A.example."]


@pytest.mark.parametrize(("host", "labels"), [("a.example", (b"a", b"example")), (".", ()), ("a.", (b"a",))])
def test_a_host_has_labels(host, labels):
    """As it is spelled."""
    assert host_labels(host) == labels


@given(st.data())
def test_reading_damaged_records_gives_their_data_or_malformed(data):
    """Nothing else is raised, whatever stands where a name should."""
    query = question("a.example", "ANY")
    packet = bytearray(reply(query, ALL))
    for _ in range(data.draw(st.integers(0, 5))):
        packet[data.draw(st.integers(len(query.question) + 12, len(packet) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        answer = read_answer(bytes(packet))
        again = aliased(query, [], query, answer)
        found = read(query, answer)
        for record in (*found.answers, *found.authorities):
            found.data(record)
            found.covered(record)
        assert again is UNREADABLE or (again.answers, again.authorities) == (answer.answers, answer.authorities)


@given(st.integers(0, 300), st.binary(max_size=40))
def test_data_of_any_type_are_copied_or_malformed(rtype, data):
    """What is read without an error is, copied, read again the same."""
    query = question("a.example", "ANY")
    record = b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, 60, len(data)) + data
    answer = Answer(0, record, 1, 0, (8,), (), 60)
    with contextlib.suppress(Malformed):
        first = read(query, answer)
        draft = Draft(query)
        draft.copy(first, first.answers[0])
        second = read(query, draft.answer())
        assert second.data(second.answers[0]) == first.data(first.answers[0])
