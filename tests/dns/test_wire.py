"""The wire form is read strictly: what dnslib lets pass is Malformed here, and nothing else is ever raised."""

from __future__ import annotations

import struct

import pytest
from dnslib import DNSLabel, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from tests.dns.fakes import query

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=4).map(tuple)


@given(
    LABELS,
    st.sampled_from(["A", "HTTPS", "TXT", "ANY"]),
    st.integers(0, 65535),
    st.one_of(st.none(), st.integers(0, 65535)),
)
def test_a_question_is_read_as_dnslib_wrote_it(labels, rtype, ident, edns):
    """Id, name (any bytes), type and UDP size come back; the size never below 512."""
    found = wire.read_query(bytes(query(DNSLabel(labels), rtype, ident=ident, edns=edns, do=True).pack()))
    assert (found.id, found.labels, found.qclass) == (ident, labels, wire.IN)
    assert found.name == b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    assert found.do is (edns is not None)
    assert (found.edns.size if found.edns else None) == (None if edns is None else max(edns, 512))


@given(LABELS)
def test_one_key_for_every_spelling_and_another_for_every_type(labels):
    """Case is no part of a key; type, DO and CD are. The type 65 (`A` in ASCII) survives lower-casing."""
    variants = [
        wire.read_query(bytes(query(DNSLabel(item), rtype, do=do).pack()))
        for item in (labels, tuple(label.upper() for label in labels), tuple(label.lower() for label in labels))
        for rtype in ("HTTPS", "URI")
        for do in (False, True)
    ]
    assert len({item.key for item in variants}) == 4
    assert all(item.question.endswith(b"\0\1") for item in variants)


@given(st.binary(max_size=300))
def test_reading_any_bytes_gives_a_query_or_malformed(packet):
    """No other error leaves this module, whatever arrives."""
    for reader in (wire.read_query, lambda data: wire.read_record(data, 0), lambda data: wire.read_name(data, 5)):
        try:
            reader(packet)
        except wire.Malformed as exc:
            assert str(exc)


@given(st.data())
def test_what_is_accepted_dnslib_can_read_too(data):
    """An accepted query means the same to dnslib, but for names in bytes that it refuses."""
    packet = bytearray(query("a.example", do=True).pack())
    for _ in range(data.draw(st.integers(0, 3))):
        packet[data.draw(st.integers(0, len(packet) - 12))] = data.draw(st.integers(0, 127))
    try:
        found = wire.read_query(bytes(packet))
    except wire.Malformed:
        return
    other = DNSRecord.parse(bytes(packet))
    assert (other.q.qname.label, other.q.qtype, other.q.qclass) == (found.labels, found.qtype, found.qclass)


def ladder(rungs: int) -> bytes:
    """Return a message whose last two bytes are a name that leads back through `rungs` pointers."""
    return bytes(13) + b"".join(struct.pack("!H", 0xC000 | 12 + max(0, 2 * rung - 1)) for rung in range(rungs))


@pytest.mark.parametrize(("packet", "at"), [
    (b"\1a\xc0\x0c" + bytes(20), 0),  # forward
    (bytes(12) + b"\1a\xc0\x0c", 12),  # to itself
    (bytes(12) + b"\xc0", 12),
    (bytes(12) + b"\1a", 12),
    (bytes(12) + b"\x41a\0", 12),
    (bytes(12) + b"\xc0\x0b\0", 12),
    (ladder(wire.MAX_HOPS + 1), 12 + 2 * wire.MAX_HOPS + 1),
])  # fmt: skip
def test_a_name_ends_within_the_message(packet, at):
    """Pointers go back and never in circles; unknown label types and missing ends are refused."""
    with pytest.raises(wire.Malformed):
        wire.read_name(packet, at)


def test_a_name_in_data_stays_in_its_record():
    """A target that runs over its record's end is Malformed."""
    packet = bytes(12) + b"\0" + b"\0\5\0\1\0\0\0\0\0\2" + b"\3www\0"
    record = wire.read_record(packet, 12)
    with pytest.raises(wire.Malformed):
        wire.read_target(packet, record)


def test_a_name_that_is_long_through_its_pointers_is_too_long():
    """255 bytes are the most, however they are spread."""
    packet = bytes(12) + (b"\x3f" + bytes(63)) * 3 + b"\0" + b"\x3d" + bytes(61) + b"\xc0\x0c"
    assert sum(map(len, wire.read_name(packet, 205)[0])) == 250
    longer = packet[:205] + b"\x3e" + bytes(62) + b"\xc0\x0c"
    with pytest.raises(wire.Malformed):
        wire.read_name(longer, 205)


@given(st.binary(min_size=12, max_size=200))
def test_what_is_known_of_a_message_changes_no_name(packet):
    """A name is the same whether it was met before or not; only a ladder might get further, at no cost."""
    known = wire.Known()
    for at in range(12, len(packet)):
        try:
            found = wire.read_name(packet, at)
        except wire.Malformed:
            continue
        assert wire.read_name(packet, at, known) == wire.read_name(packet, at, known) == found


def test_a_name_may_lead_through_some_pointers():
    """Compression of compressed names is honest; a ladder, each rung of which costs time, is not."""
    assert wire.read_name(ladder(wire.MAX_HOPS), 12 + 2 * wire.MAX_HOPS - 1) == ((), 13 + 2 * wire.MAX_HOPS)


@pytest.mark.parametrize(("extra", "fine"), [(wire.MAX_EXTRA, True), (wire.MAX_EXTRA + 1, False)])
def test_a_question_brings_little_else(extra, fine):
    """What stands beside the question costs time to read, so its number has an end."""
    packet = bytes(query("a.example", edns=None).pack())
    packet = packet[:10] + struct.pack("!H", extra) + packet[12:] + (b"\0" + bytes(10)) * extra
    try:
        wire.read_query(packet)
    except wire.Malformed:
        assert not fine
    else:
        assert fine


@given(st.binary(max_size=100), st.one_of(st.none(), st.integers(512, 65535)), st.booleans())
def test_a_stranger_is_read_no_further_than_its_question(tail, edns, do):
    """Header, question and an OPT record right behind it say all that a refusal needs; the rest may be anything."""
    packet = bytes(query("a.example", edns=edns, do=do).pack())
    assert wire.read_stranger(packet) == wire.read_query(packet)
    assert wire.read_stranger(packet + tail).question == wire.read_query(packet).question
