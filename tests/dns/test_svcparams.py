"""Parameters of SVCB and HTTPS records: what is read of them, and that the rest is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filterproxy.core import names
from filterproxy.dns import wire
from filterproxy.dns.svcparams import IPV4HINT, addresses, begin, hints, keys, pack, protocols, read
from filterproxy.dns.wire import Malformed

COM, ORG = "03666f6f076578616d706c6503636f6d00", "03666f6f076578616d706c65036f726700"  # foo.example.com and .org


@pytest.mark.parametrize(("data", "params"), [
    (f"0000 {COM}", ()),
    ("0001 00", ()),
    (f"0010 {COM} 0003 0002 0035", ((3, b"\x00\x35"),)),
    (f"0001 {COM} 029b 0005 68656c6c6f", ((667, b"hello"),)),
    (f"0001 {COM} 029b 0009 68656c6c6fd2716f6f", ((667, b"hello\xd2qoo"),)),
    (f"0001 {COM} 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001",
     ((6, bytes.fromhex("20010db8000000000000000000000001 20010db8000000000000000000530001")),)),
    ("0001 076578616d706c6503636f6d00 0006 0010 20010db80122034400000000c0000221",
     ((6, bytes.fromhex("20010db80122034400000000c0000221")),)),
    (f"0010 {ORG} 0000 0004 0001 0004 0001 0009 02 6832 05 68332d3139 0004 0004 c0000201",
     ((0, b"\0\1\0\4"), (1, b"\x02h2\x05h3-19"), (4, b"\xc0\0\2\1"))),
    (f"0010 {ORG} 0001 000c 08 665c6f6f2c626172 02 6832", ((1, b"\x08f\\oo,bar\x02h2"),)),
])  # fmt: skip
def test_the_vectors_of_rfc_9460(data, params):
    """Appendix D, figures 2 to 10: read as meant, and packed as they were."""
    raw = bytes.fromhex(data)
    start = begin(raw, 0, len(raw))
    assert read(raw, start, len(raw)) == params
    assert raw[start:] == pack(params)


@pytest.mark.parametrize("data", [
    "0001",
    "0001 00 0003",
    "0001 00 0003 0002 00",
    "0001 00 0003 0001 35",
    "0001 00 0003 0002 0035 0003 0002 0035",
    "0001 00 0003 0002 0035 0001 0003 02 6832",
    "0001 00 0000 0000",
    "0001 00 0000 0003 000400",
    "0001 00 0000 0004 0004 0001",
    "0001 00 0000 0002 0000",
    "0001 00 0001 0000",
    "0001 00 0001 0001 00",
    "0001 00 0001 0002 02 68",
    "0001 00 0002 0001 00",
    "0001 00 0004 0000",
    "0001 00 0004 0005 c000020101",
    "0001 00 0006 0004 c0000201",
    "0001 41",
    "0001 03666f6f",
    "0001 c0",
])  # fmt: skip
def test_what_a_client_must_refuse_is_refused(data):
    """Keys out of order, values without their form, ends that come early (sections 2.2, 7 and 8)."""
    raw = bytes.fromhex(data)
    with pytest.raises(Malformed):
        read(raw, begin(raw, 0, len(raw)), len(raw))


PARAMS = st.dictionaries(st.integers(7, 65535), st.binary(max_size=9), max_size=5).map(
    lambda found: tuple(sorted(found.items()))
)


@given(st.binary(max_size=64) | PARAMS.map(pack))
@example(b"")
def test_any_bytes_are_read_whole_or_refused(data):
    """What is read packs to the same bytes; nothing but Malformed is ever raised."""
    with contextlib.suppress(Malformed):
        assert pack(read(data, 0, len(data))) == data
    with contextlib.suppress(Malformed):
        assert b"".join(bytes((len(name),)) + name for name in protocols(data)) == data
    with contextlib.suppress(Malformed):
        assert b"".join(key.to_bytes(2) for key in keys(data)) == data
    with contextlib.suppress(Malformed):
        assert 0 < begin(data, 0, len(data)) <= len(data)


def record(params: bytes) -> tuple[bytes, wire.Record]:
    """Return a message that ends in an HTTPS record with `params`, and that record."""
    data = b"\0\1\0" + params
    packet = bytes(12) + b"\0" + b"\0\x41\0\1\0\0\0\x3c" + len(data).to_bytes(2) + data
    return packet, wire.read_record(packet, 12)


def test_hints_are_told_as_hosts_are_spelled():
    """So that a listed address meets its entry."""
    params = (
        (4, b"\xc0\0\2\1\x0a\0\0\1"),
        (6, bytes.fromhex("20010db8000000000000000000000001 00000000000000000000ffffc0000201")),
    )
    found = list(hints(*record(pack(params))))
    assert found == ["192.0.2.1", "10.0.0.1", "[2001:db8::1]", "[::ffff:c000:201]"]
    assert [len(address) for address in addresses(params)] == [4, 4, 16, 16]


SPARSE = st.lists(st.sampled_from([b"\0\0", b"\0\1", b"\xff\xff", b"\x0a\0"]), min_size=8, max_size=8).map(b"".join)
FOUR, SIX = (st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=5) for size in (4, 16))


@given(FOUR, SIX | st.lists(SPARSE, min_size=1, max_size=5))
def test_every_hint_is_its_own_canonical_host(four, six):
    """Each address is told, in its one spelling."""
    found = list(hints(*record(pack(((4, b"".join(four)), (6, b"".join(six)))))))
    assert len(found) == len(four) + len(six)
    assert [names.host(host) for host in found] == found


def test_what_an_alias_says_beside_its_target_is_not_read():
    """It is to be ignored (RFC 9460, section 2.4.2): no hint is judged, and nonsense harms no answer."""
    for params, found in ((pack([(IPV4HINT, bytes(4))]), ["0.0.0.0"]), (b"\xff", None)):
        data = b"\1x\0" + params
        for priority, expected in ((b"\0\0", []), (b"\0\1", found)):
            packet = priority + data
            record = wire.Record((), wire.HTTPS, wire.IN, 0, 0, 0, len(packet))
            if expected is None:
                with pytest.raises(wire.Malformed):
                    list(hints(packet, record))
            else:
                assert list(hints(packet, record)) == expected
