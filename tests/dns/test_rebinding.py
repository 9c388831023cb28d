"""Private addresses never come out of an upstream's answer, in whatever form and place they stand."""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import failure, read_answer
from filterproxy.dns.dns64 import Prefix
from filterproxy.dns.rebinding import Private, is_private4, is_private6
from filterproxy.dns.records import wire_name
from tests.dns.rooms import SOA, Below, ask, message, question, reply, unread

PRIVATE4 = [ipaddress.IPv4Network(item) for item in (
    "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
)]  # fmt: skip
PRIVATE6 = [ipaddress.IPv6Network(item) for item in ("::/96", "fe80::/10", "fec0::/10", "fc00::/7")]
EMBEDDING = [ipaddress.IPv6Network(item) for item in ("::ffff:0:0/96", "64:ff9b::/96")]
OWN = Prefix.of("2001:db8:122:300::/56")

PACKED4 = st.binary(min_size=4, max_size=4) | st.builds(
    lambda network, low: (int(network.network_address) + low & 0xFFFFFFFF).to_bytes(4),
    st.sampled_from(PRIVATE4),
    st.integers(-1, 2**24),
)
PACKED6 = (
    st.binary(min_size=16, max_size=16)
    | st.builds(
        lambda network, low: ((int(network.network_address) + low) % 2**128).to_bytes(16),
        st.sampled_from(PRIVATE6 + EMBEDDING),
        st.integers(-1, 2**33),
    )
    | st.builds(OWN.embed, PACKED4)
)


def reference(address: bytes) -> bool:
    """Tell whether a packed address is private, by the networks' names."""
    if len(address) == 4:
        return any(ipaddress.IPv4Address(address) in network for network in PRIVATE4)
    found = ipaddress.IPv6Address(address)
    if any(found in network for network in EMBEDDING) and reference(address[12:]):
        return True
    inside = OWN.extract(address)
    return any(found in network for network in PRIVATE6) or (inside is not None and reference(inside))


@given(PACKED4, PACKED6)
def test_an_address_is_private_where_its_network_is(four, six):
    """The bounds of each network are exact."""
    assert is_private4(four) == reference(four)
    assert is_private6(six) == reference(six) or OWN.extract(six) is not None


def room(text: str, rtype: str = "A", name: str = "a.example") -> tuple[Private, Below, Counter[str]]:
    below, counted = Below({(name, rtype): text}), Counter[str]()
    return Private(below, ("home.example", "nas.test"), lambda event: counted.update([event]), OWN), below, counted


@pytest.mark.parametrize(("rtype", "text"), [
    ("A", "a.example 60 IN A 192.168.1.1"),
    ("A", "a.example 60 IN A 192.0.2.1\na.example 60 IN A 127.0.0.1"),
    ("A", "a.example 60 IN CNAME b.example\nb.example 60 IN A 0.0.0.0"),
    ("A", "a.example 60 IN CNAME www.home.example\nwww.home.example 60 IN A 10.0.0.1"),  # anybody may lead there
    ("A", "a.example 60 IN A 100.100.1.1"),
    ("AAAA", "a.example 60 IN AAAA ::1"),
    ("AAAA", "a.example 60 IN AAAA fe80::1"),
    ("AAAA", "a.example 60 IN AAAA fd00::1"),
    ("AAAA", "a.example 60 IN AAAA ::ffff:a00:1"),
    ("AAAA", "a.example 60 IN AAAA 64:ff9b::a00:1"),
    ("AAAA", "a.example 60 IN AAAA 2001:db8:122:30a:0:1::"),  # our own NAT64's prefix, and 10.0.0.1
    ("HTTPS", "a.example 60 IN HTTPS 1 . ipv4hint=192.0.2.1,10.0.0.1"),
    ("HTTPS", "a.example 60 IN HTTPS 1 b.example. alpn=h2 ipv6hint=fe80::1"),
    ("SVCB", "a.example 60 IN 64 # 000100 0004 0004 7f000001"),
    ("ANY", "a.example 60 IN TXT x\na.example 60 IN A 10.0.0.1"),
    ("TXT", "a.example 60 IN TXT x\na.example 60 IN A 10.0.0.1"),
    ("TXT", "a.example 60 IN TXT x\nauthority ns.example 60 IN A 10.0.0.1"),
])  # fmt: skip
def test_a_private_address_is_withheld(rtype, text):
    """The answer is a denial that says why, may be kept a minute, and is counted; nobody authenticated it."""
    private, below, counted = room(text, rtype)
    query = question("A.example", rtype)
    answer = ask(private, query)
    assert (answer.rcode, answer.answers, answer.ede, answer.lifetime, answer.ad) == (wire.NOERROR, 0, 15, 60, False)
    assert [str(record.rname) for record in message(query, answer).auth] == ["A.example."]
    assert counted == {"dns_rebinding": 1}
    assert below.asked == [query]


@pytest.mark.parametrize(("name", "rtype", "text"), [
    ("a.example", "A", "a.example 60 IN A 192.0.2.1"),
    ("a.example", "A", "a.example 60 IN A 172.32.0.1\na.example 60 IN A 100.128.0.1\na.example 60 IN A 192.167.0.1"),
    ("a.example", "AAAA", "a.example 60 IN AAAA 2001:db8::1\na.example 60 IN AAAA 64:ff9b::c000:201"),
    ("a.example", "AAAA", "a.example 60 IN AAAA 2001:db8:122:3c0:0:221::"),
    ("a.example", "HTTPS", "a.example 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
    ("a.example", "TXT", "a.example 60 IN TXT 10.0.0.1"),
    ("a.example", "ANY", "a.example 60 IN 257 # 0a000001"),  # CAA, whose type ends in that of A
    ("a.example", "A", SOA),
    ("a.example", "A", "NXDOMAIN"),
    ("home.example", "A", "home.example 60 IN A 10.0.0.1"),
    ("x.y.home.example", "AAAA", "x.y.home.example 60 IN AAAA fd00::1"),
    ("nas.test", "HTTPS", "nas.test 60 IN HTTPS 1 . ipv4hint=10.0.0.1"),
    ("b.home.example", "A", "b.home.example 60 IN CNAME c.example\nc.example 60 IN A 10.0.0.1"),
])  # fmt: skip
def test_everything_else_passes_as_it_is(name, rtype, text):
    """What has no private address, and what may have one, is the very answer that came from below."""
    private, below, counted = room(text, rtype, name)
    assert ask(private, question(name, rtype)) is below.given[0]
    assert not counted


@pytest.mark.parametrize(("name", "withheld"), [("HOME.example", False), ("ahome.example", True), ("example", True)])
def test_a_name_is_allowed_with_all_below_it_and_no_other(name, withheld):
    """Whatever its case; a part of a label is no name."""
    private, _, _ = room(f"{name} 60 IN A 10.0.0.1", name=name.lower())
    assert (ask(private, question(name)).ede == 15) is withheld


def test_a_failure_passes_as_it_is():
    """Whatever it says."""
    below = Below({("a.example", "A"): failure(wire.SERVFAIL, 23)})
    assert ask(Private(below, (), lambda event: None), question("a.example")) is below.given[0]


@pytest.mark.parametrize("text", [
    "a.example 60 IN 1 # 0a0000",
    "a.example 60 IN 1 # 0a00000100",
    "a.example 60 IN 1 #",
    "a.example 60 IN 28 # 00000000000000000000000000000000 01",
    "a.example 60 IN 65 # 000100 0004 0003 0a0000",
    "a.example 60 IN 65 # 000100 0003",
])  # fmt: skip
def test_what_cannot_be_read_is_a_failure(text):
    """An address of another length might be read as one by whoever is less strict."""
    query, counted = question("a.example"), Counter[str]()
    below = Below({("a.example", "A"): unread(query, text)})
    private = Private(below, (), lambda event: counted.update([event]))
    assert ask(private, query) == failure(wire.SERVFAIL, 22)
    assert not counted


def record(owner: bytes, rtype: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rtype, 1, 60, len(data)) + data


OWNER = st.sampled_from([b"\xc0\x0c", b"\x01b\xc0\x0c", b"\xc0\x0e", wire_name([b"a", b"example"]), b"\0"])
FILLER = st.builds(record, OWNER, st.sampled_from([16, 99, 1000]), st.binary(max_size=20))
CNAME = st.builds(record, OWNER, st.just(5), st.sampled_from([b"\x01c\xc0\x0c", wire_name([b"c", b"test"])]))
ONE4 = st.builds(lambda owner, data: (record(owner, 1, data), [data]), OWNER, PACKED4)
ONE6 = st.builds(lambda owner, data: (record(owner, 28, data), [data]), OWNER, PACKED6)
NONE = st.builds(lambda data: (data, list[bytes]()), FILLER | CNAME)
HINTS = st.builds(
    lambda owner, rtype, target, four, six: (
        record(owner, rtype, b"\0\1" + target + b"\0\1\0\3\x02h2"
               + struct.pack("!HH", 4, 4 * len(four)) + b"".join(four)
               + struct.pack("!HH", 6, 16 * len(six)) + b"".join(six)),
        [*four, *six],
    ),
    OWNER, st.sampled_from([64, 65]), OWNER,
    st.lists(PACKED4, min_size=1, max_size=3), st.lists(PACKED6, min_size=1, max_size=2),
)  # fmt: skip


@given(st.lists(ONE4 | ONE6 | NONE | HINTS, max_size=6), st.integers(0, 6), st.sampled_from(["A", "HTTPS", "MX"]))
@example([], 0, "A")
def test_no_mix_of_records_lets_a_private_address_through(made, answers, rtype):
    """An answer passes as it is exactly where no address in it is private, by the networks' names."""
    query = question("a.example", rtype)
    answers = min(answers, len(made))
    header = wire.HEADER.pack(1, wire.QR, 1, answers, len(made) - answers, 0)
    answer = read_answer(header + query.question + b"".join(data for data, _ in made))
    found = ask(Private(Below({("a.example", rtype): answer}), (), lambda event: None, OWN), query)
    bad = any(reference(address) for _, held in made for address in held)
    assert (found.ede == 15) == bad
    assert bad or found is answer


@given(st.data())
def test_a_damaged_answer_passes_is_withheld_or_fails(data):
    """Nothing is raised, whatever an upstream's bytes are, and what passes holds no private address record."""
    query = question("a.example", "HTTPS")
    text = "a.example 60 IN HTTPS 1 b.example. alpn=h2 ipv4hint=192.0.2.1\nb.example 60 IN A 10.0.0.1"
    packet = bytearray(reply(query, text))
    for _ in range(data.draw(st.integers(0, 4))):
        packet[data.draw(st.integers(len(query.question) + 12, len(packet) - 1))] = data.draw(st.integers(0, 255))
    try:
        answer = read_answer(bytes(packet))
    except wire.Malformed:
        return
    found = ask(Private(Below({("a.example", "HTTPS"): answer}), (), lambda event: None), query)
    assert found is answer or found.ede in (15, 22)
