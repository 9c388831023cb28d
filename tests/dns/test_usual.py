"""The usual question is told at a glance, says what a reply to it depends on, and is what `wire` reads too."""

from __future__ import annotations

import pytest
from dnslib import DNSLabel
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import usual, wire
from tests.dns.fakes import query

GOOD = bytes(query("www.example", edns=None).pack())
OPT = bytes(query("www.example").pack())[-11:]


def with_opt(opt: bytes) -> bytes:
    return GOOD[:10] + b"\0\1" + GOOD[12:] + opt


def facts(packet: bytes) -> object:
    """Return what the careful reader takes for all that a reply depends on, where the question is an ordinary one."""
    found = wire.read_query(packet)
    edns = found.edns
    limit = usual.SMALLEST if edns is None else min(max(edns.size, usual.SMALLEST), usual.LARGEST)
    ordinary = found.flags & (wire.AD | wire.CD)
    padded = edns is not None and edns.padded
    return found.name.lower(), found.qtype, found.qclass, ordinary, edns is None, padded, found.do, limit


@pytest.mark.parametrize(("name", "packet"), {
    "a reply": GOOD[:2] + b"\x81" + GOOD[3:],
    "another opcode": GOOD[:2] + b"\x09" + GOOD[3:],
    "no recursion": GOOD[:2] + b"\0" + GOOD[3:],
    "truncated": GOOD[:2] + b"\3" + GOOD[3:],
    "the bit without a name": GOOD[:3] + b"\x40" + GOOD[4:],
    "a response code": GOOD[:3] + b"\5" + GOOD[4:],
    "no question": GOOD[:4] + b"\0\0" + GOOD[6:],
    "two questions": GOOD[:4] + b"\0\2" + GOOD[6:] + GOOD[12:],
    "an answer": GOOD[:6] + b"\0\1" + GOOD[8:],
    "an authority": GOOD[:8] + b"\0\1" + GOOD[10:],
    "two records": GOOD[:10] + b"\0\2" + GOOD[12:] + OPT * 2,
    "a count and no record": with_opt(b""),
    "a record and no count": GOOD + OPT,
    "bytes behind the end": GOOD + b"\0",
    "a label of 64 bytes": GOOD[:12] + b"\x40" + b"a" * 64 + b"\0" + GOOD[-4:],
    "label type 0x41": GOOD[:12] + b"\x41" + GOOD[13:],
    "label type 0x80": GOOD[:12] + b"\x80" + GOOD[13:],
    "a pointer": GOOD[:12] + b"\xc0\x0c" + GOOD[-4:],
    "a name of 256 bytes": GOOD[:12] + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0" + GOOD[-4:],
    "a name that ends early": GOOD[:-5],
    "half a type": GOOD[:-3],
    "another record": with_opt(b"\0\0\1" + OPT[3:]),
    "an OPT with a name": with_opt(b"\1x" + OPT),
    "half an OPT": with_opt(OPT[:-1]),
    "another version of EDNS": with_opt(OPT[:6] + b"\1" + OPT[7:]),
    "an option that is not there": with_opt(OPT[:-2] + b"\0\4"),
    "half an option": with_opt(OPT[:-2] + b"\0\3\0\x0a\0"),
    "an option that ends early": with_opt(OPT[:-2] + b"\0\5\0\x0a\0\2\0"),
    "bytes behind an OPT": with_opt(OPT + b"\0"),
    "nothing": b"",
    "a header": GOOD[:12],
}.items())  # fmt: skip
def test_what_is_not_usual_is_told(name, packet):
    """It is left to the careful reader."""
    assert usual.key(packet, 2) is None, name


def test_a_name_as_long_as_names_may_be_is_usual():
    """255 bytes with the root."""
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == wire.MAX_NAME
    found = usual.key(GOOD[:12] + name + GOOD[-4:], 2)
    assert found is not None
    assert found[1] == 259


def test_padding_changes_the_key_and_what_is_one_clients_own_has_none():
    """A reply is padded where its question is; a cookie is answered with one, and an extended error with a text."""
    plain, padded, longer, other = (
        usual.key(with_opt(OPT[:-2] + len(option).to_bytes(2) + option), 2)
        for option in (b"", b"\0\x0c\0\1\0", b"\0\x0c\0\4" + bytes(4), b"\xfd\xe9\0\1\0")
    )
    assert plain == other != padded == longer
    for option in (b"\0\x0a\0\x08" + bytes(8), b"\0\x0f\0\2\0\0"):
        assert usual.key(with_opt(OPT[:-2] + len(option).to_bytes(2) + option), 2) is None


@pytest.mark.parametrize(("first", "second", "same"), [
    (query("a.example"), query("A.eXample"), True),
    (query("a.example", ident=1), query("a.example", ident=2), True),
    (query("a.example", edns=100), query("a.example", edns=512), True),
    (query("a.example", edns=1232), query("a.example", edns=4096), True),
    (query("a.example", edns=512), query("a.example", edns=None), False),
    (query("a.example", edns=700), query("a.example", edns=701), False),
    (query("a.example"), query("a.example", do=True), False),
    (query("a.example", "HTTPS"), query("a.example", "TYPE97"), False),  # 65 and 97: `A` and `a`
    (query("a.example", "A"), query("a.example", "AAAA"), False),
    (query("a.example"), query("b.example"), False),
    (query(DNSLabel((b"a.b",))), query(DNSLabel((b"a", b"b"))), False),
])  # fmt: skip
def test_what_changes_a_reply_changes_the_key(first, second, same):
    """And nothing else does."""
    keys = [usual.key(bytes(item.pack()), 2) for item in (first, second)]
    assert None not in keys
    assert (keys[0] == keys[1]) is same


@given(st.data())
def test_whoever_is_taken_for_usual_is_read_alike_by_the_careful_reader(data):
    """Two packets of one key differ in nothing that a reply could depend on; and nothing is ever raised."""
    keys: dict[bytes, object] = {}
    for _ in range(4):
        packet = bytearray(
            query(
                data.draw(st.sampled_from(["a.example", "A.example", "b.example"])),
                data.draw(st.sampled_from(["A", "HTTPS", "TYPE97", "TYPE33"])),
                edns=data.draw(st.sampled_from([None, 0, 512, 513, 1232, 65535])),
                do=data.draw(st.booleans()),
            ).pack()
        )
        packet[3] |= data.draw(st.sampled_from([0, 0x10, 0x20, 0x30]))
        for _number in range(data.draw(st.integers(0, 2))):
            packet[data.draw(st.integers(2, len(packet) - 1))] = data.draw(st.integers(0, 255))
        if packet[11]:
            options = data.draw(st.sampled_from([b"", b"\0\x0c\0\1\0", b"\0\x08\0\0", b"\0\x0a\0\x08" + bytes(8)]))
            packet[-1] |= len(options)
            packet += options
        whole = bytes(packet[: len(packet) - data.draw(st.sampled_from([0, 0, 0, 1, 5]))])
        found = usual.key(whole, 2)
        assert found == usual.key(whole[2:])
        if found is not None:
            key, length = found
            asked = wire.read_query(whole)
            assert whole[12 : 12 + length] == asked.question
            assert asked.flags & ~(wire.AD | wire.CD) == wire.RD
            assert asked.edns is None or asked.edns.version == 0
            assert keys.setdefault(key, facts(whole)) == facts(whole)


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_usual_or_not(packet, headed):
    """No error leaves this module, whatever arrives."""
    whole = GOOD[:12] + packet if headed else packet
    found = usual.key(whole, 2)
    if found is not None:
        wire.read_query(whole)
