"""The PROXY protocol: who stands behind a balancer, or that it speaks for itself; and nothing in two ways."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.proxied import LONGEST, LONGEST_LINE, Proxied, crc32c, read
from filterproxy.gateway.vectors import UnreadableError
from tests.gateway.hellos import vector

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR, SIX = bytes.fromhex("c0000205 c6336401 0401 01bb"), bytes(15) + b"\1" + bytes(15) + b"\2" + b"\0\1\0\2"
BETWEEN = (("192.0.2.5", 1025), ("198.51.100.1", 443))
NOBODY = (None, None)


def binary(body: bytes = b"", *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + vector(2, body)


def entry(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + vector(2, value)


def summed(body: bytes) -> bytes:
    """Return a header that ends in its checksum."""
    made = binary(body + entry(3, bytes(4)))
    return made[:-4] + crc32c(made).to_bytes(4)


def test_the_checksum_is_that_of_castagnoli():
    """By the value that every catalogue of them gives, and two of RFC 3720, B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert (crc32c(bytes(32)), crc32c(b"\xff" * 32)) == (0x8A9136AA, 0x62A8AB43)


HEADERS = [
    (b"PROXY TCP4 192.0.2.5 198.51.100.1 1025 443\r\n", BETWEEN),
    (b"PROXY TCP6 2001:DB8::1 2001:db8:0::2 0 65535\r\n", (("2001:db8::1", 0), ("2001:db8::2", 65535))),
    (b"PROXY TCP6 ::ffff:192.0.2.5 ::ffff:c633:6401 1025 443\r\n", BETWEEN),
    (b"PROXY UNKNOWN\r\n", NOBODY),
    (b"PROXY UNKNOWN " + b"f" * (LONGEST_LINE - 16) + b"\r\n", NOBODY),
    (binary(FOUR), BETWEEN),
    (binary(FOUR, family=0x12), BETWEEN),
    (binary(SIX, family=0x21), (("::1", 1), ("::2", 2))),
    (binary(bytes(216), family=0x31), NOBODY),
    (binary(FOUR, command=0x20), NOBODY),
    (binary(command=0x20, family=0), NOBODY),
    (binary(b"anything", command=0x20, family=0xFF), NOBODY),
    (binary(family=0), NOBODY),
    (binary(b"anything", family=0), NOBODY),
    (binary(FOUR, family=0x10), NOBODY),
    (binary(FOUR + entry(2, b"host.example") + entry(4, b"") + entry(0xE0, b"x")), BETWEEN),
    (binary(FOUR + entry(4, bytes(LONGEST - 15))), BETWEEN),
    (summed(FOUR), BETWEEN),
    # A connection and a check of health, as HAProxy 2.6 announces them with `proxy-v2-options crc32c,unique-id`.
    (binary(bytes.fromhex("7f000001 7f000001 864a948b 030004 1416d2ac 050001 30")),
     (("127.0.0.1", 34378), ("127.0.0.1", 38027))),
    (binary(bytes.fromhex("030004 a9b87e8f"), command=0x20, family=0), NOBODY),
    (summed(FOUR + entry(5, b"an id")), BETWEEN),
]  # fmt: skip


@pytest.mark.parametrize(("header", "between"), HEADERS)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n"])
def test_a_header_says_between_whom(header, between, rest):
    """In both versions; what follows is the client's. Before its last byte there is nothing to say."""
    expected = Proxied(between[0], between[1], len(header))
    assert read(header + rest) == read(bytearray(header + rest)) == read(memoryview(header + rest)) == expected
    assert all(read(header[:end]) is None for end in range(len(header)))
    assert "192" not in repr(expected)


@pytest.mark.parametrize("data", [
    b"GET", b"PROXZ", b"P ", b"\r\nx", b"\x16", b"\r\n\r\n\0\r\nQUIT\r",
    b"PROXY TCP4 192.0.2.5 198.51.100.1 1025 443\n", b"PROXY TCP4 192.0.2.5 198.51.100.1 1025 443 \r\n",
    b"PROXY  TCP4 192.0.2.5 198.51.100.1 1025 443\r\n", b"PROXY TCP4 192.0.2.5 198.51.100.1 1025\r\n",
    b"PROXY TCP4 192.0.2.5 198.51.100.1 01 443\r\n", b"PROXY TCP4 192.0.2.5 198.51.100.1 65536 443\r\n",
    b"PROXY TCP4 192.0.2.05 198.51.100.1 1 443\r\n", b"PROXY TCP4 192.0.2 198.51.100.1 1 443\r\n",
    b"PROXY TCP4 ::1 ::2 1 443\r\n", b"PROXY TCP6 192.0.2.5 198.51.100.1 1025 443\r\n",
    b"PROXY TCP6 ::1%eth0 ::2 1 443\r\n", b"PROXY TCP6 1::2::3 ::2 1 443\r\n", b"PROXY UDP4 192.0.2.5 ::1 1 2\r\n",
    b"PROXY UNKNOWNx\r\n", b"PROXY UNKNOWN a\rb\r\n", b"PROXY tcp4 192.0.2.5 198.51.100.1 1025 443\r\n", b"PROXY \r\n",
    b"PROXY TCP4 192.0.2.5 198.51.100.1 1025 -443\r\n",
    b"PROXY UNKNOWN " + b"f" * (LONGEST_LINE - 15) + b"\r\n", b"PROXY " + b"f" * LONGEST_LINE,
    SIGNATURE + b"\x11", SIGNATURE + b"\x22", SIGNATURE + b"\x21\x41", SIGNATURE + b"\x21\x13",
    binary(FOUR[:-1]), binary(SIX[:-1], family=0x21), binary(bytes(215), family=0x31), binary(FOUR, family=0x21),
    binary(FOUR + b"x"), binary(FOUR + b"\2\0\2x"), (SIGNATURE + b"\x20\0" + (LONGEST + 1).to_bytes(2)),
    summed(FOUR)[:-1] + b"x", binary(FOUR + entry(3, b"")), binary(FOUR + entry(3, bytes(5))),
    summed(FOUR + entry(3, bytes(4))), SIGNATURE + b"\x21\x12" + summed(FOUR)[14:],
])  # fmt: skip
def test_what_is_no_header_is_refused_at_once(data):
    """Another form, an address or a port that is none, a family without its addresses, a sum that is wrong."""
    with pytest.raises(UnreadableError):
        read(data)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 65535))
def test_both_versions_say_the_same(address, port):
    """And one client has one spelling, whichever the balancer speaks."""
    raw = address.packed * 2 + port.to_bytes(2) * 2
    new = read(binary(raw, family=0x11 if address.version == 4 else 0x21))
    old = read(f"PROXY TCP{address.version} {address} {address.exploded} {port} {port}\r\n".encode())
    assert new is not None
    assert old is not None
    assert (new.source, new.destination) == (old.source, old.destination)
    assert new.source is not None
    assert ipaddress.ip_address(new.source[0]) in {address, getattr(address, "ipv4_mapped", None)}


@given(
    st.binary(max_size=130)
    | st.binary(max_size=110).map(lambda data: b"PROXY " + data + b"\r\n")
    | st.from_regex(rb"\APROXY TCP[46] [0-9a-f:.]{1,20} [0-9a-f:.]{1,20} [0-9]{1,5} [0-9]{1,5}\r\n")
    | st.binary(max_size=60).map(lambda data: SIGNATURE + b"\x21" + data)
    | st.binary(max_size=60).map(lambda data: binary(FOUR + data))
)
def test_any_bytes_are_a_header_or_not_yet_or_refused(data):
    """No other error leaves, and no more is used than came."""
    with contextlib.suppress(UnreadableError):
        found = read(data)
        assert found is None or found.used <= len(data)
