"""Cookies are those of RFC 9018, are known again for an hour, and by nobody else's address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dnslib import EDNS0, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cookies import Cookies
from tests.dns.fakes import NOW

KEY = bytes(range(32))
CLIENT = "192.0.2.7"


def asking(cookie: bytes) -> bytes:
    question = DNSRecord.question("fine.example")
    question.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(10, cookie)]))
    return bytes(question.pack())


class World:
    """Cookies under a clock that a test sets."""

    def __init__(self, now: datetime = NOW, key: bytes = KEY) -> None:
        self.now = now
        self.cookies = Cookies(key, lambda: self.now)

    def given(self, cookie: bytes, client: str = CLIENT) -> bytes:
        query = wire.read_query(asking(cookie))
        self.cookies.give(query, client)
        code, length = int.from_bytes(query.answered[:2]), int.from_bytes(query.answered[2:4])
        assert (code, length) == (10, len(query.answered) - 4)
        return query.answered[4:]

    def shown(self, cookie: bytes, client: str = CLIENT) -> bool:
        return self.cookies.shown(asking(cookie), client)


@pytest.mark.parametrize(("secret", "client", "sent", "at", "expected"), [
    ("e5e973e5a6b2a43f48e7dc849e37bfcf", "198.51.100.100", "2464c4abcf10c957", 0x5CF79F11,
     "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
    ("e5e973e5a6b2a43f48e7dc849e37bfcf", "198.51.100.100",
     "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 0x5CF7A871,
     "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"),
    ("e5e973e5a6b2a43f48e7dc849e37bfcf", "203.0.113.203",
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 0x5CF7A9AC,
     "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"),
    ("dd3bdf9344b678b185a6f5cb60fca715", "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298", 0x5CF7C579,
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8"),
    ("445536bcd2513298075a5d379663c962", "2001:db8:220:1:59de:d0f4:8769:82b8",
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 0x5CF7C609,
     "22681ab97d52c298010000005cf7c609a6bb79d16625507a"),
])  # fmt: skip
def test_the_vectors_of_rfc_9018_come_out(monkeypatch, secret, client, sent, at, expected):
    """Appendix A: a first cookie, renewed ones, over IPv6, and under a secret that has changed."""
    world = World(datetime.fromtimestamp(at, UTC))
    monkeypatch.setattr(world.cookies, "_secret", lambda _: bytes.fromhex(secret))
    assert world.given(bytes.fromhex(sent), client).hex() == expected


@pytest.mark.parametrize(("seconds", "counts", "same"), [
    (0, True, True), (1799, True, True), (1800, True, False), (3600, True, False), (3601, False, False),
    (86_400, False, False), (-300, True, True), (-301, False, False),
])  # fmt: skip
def test_a_cookie_counts_for_an_hour_and_is_renewed_after_half(seconds, counts, same):
    """Also where the secret changes in between, and where another worker's clock was a little ahead."""
    world = World()
    first = world.given(b"8 bytes.")
    assert first[:8] == b"8 bytes."
    world.now += timedelta(seconds=seconds)
    assert world.shown(first) is counts
    assert (world.given(first) == first) is same
    assert world.shown(world.given(first))


def test_a_cookie_made_under_the_secret_of_yesterday_counts_on():
    """At midnight nobody is sent back to the start."""
    world = World(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    cookie = world.given(b"8 bytes.")
    world.now += timedelta(seconds=2)
    assert world.shown(cookie)
    assert world.cookies._secret(1) != world.cookies._secret(2)


def test_workers_know_each_others_cookies_and_nobody_else_does():
    """What follows from one key is the same everywhere; without it none can be made."""
    cookie = World().given(b"8 bytes.")
    assert World().shown(cookie)
    assert not World(key=bytes(32)).shown(cookie)


def test_a_cookie_is_for_one_address():
    """IPv4 on an IPv6 socket is the same address."""
    world = World()
    cookie = world.given(b"8 bytes.")
    assert world.shown(cookie, f"::ffff:{CLIENT}")
    for other in ("192.0.2.8", "2001:db8::7"):
        assert not world.shown(cookie, other)
        assert world.given(cookie, other) != cookie


@given(st.integers(0, 23), st.integers(1, 255))
def test_a_cookie_with_any_bit_changed_is_none(place, change):
    """Client's part, version, what is reserved, time and hash."""
    world = World()
    cookie = bytearray(world.given(b"8 bytes."))
    cookie[place] ^= change
    assert not world.shown(bytes(cookie))


@given(st.binary(max_size=80))
def test_any_packet_is_asked_for_its_cookie(packet):
    """Whatever comes, nothing is raised, and no cookie is found in what we made none for."""
    assert not World().cookies.shown(packet, CLIENT)


@pytest.mark.parametrize("length", [*range(8), *range(9, 16), 41, 64])
def test_a_cookie_of_no_lawful_length_makes_no_query(length):
    """FORMERR (RFC 7873, section 5.2.2)."""
    with pytest.raises(wire.Malformed):
        wire.read_query(asking(bytes(length)))
