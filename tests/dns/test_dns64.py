"""Addresses made of IPv4 addresses: as RFC 6052 spells them, and when RFC 6147 has them made."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import pytest
from dnslib import AAAA, QTYPE
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.cache import failure
from filterproxy.dns.dns64 import Dns64, Prefix
from tests.dns.rooms import SOA, Below, ask, lines, message, question

PREFIX = "2001:db8:8000::/96"
WELL_KNOWN = "64:ff9b::/96"
PREFIXES = {
    "2001:db8::/32": "2001:db8:c000:221::",
    "2001:db8:100::/40": "2001:db8:1c0:2:21::",
    "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
    "2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
    "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100:0",
    "2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
    WELL_KNOWN: "64:ff9b::192.0.2.33",
}


@pytest.mark.parametrize(("prefix", "address"), PREFIXES.items())
def test_the_vectors_of_rfc_6052(prefix, address):
    """Section 2.4: 192.0.2.33 under each prefix, and back."""
    four, six = ipaddress.ip_address("192.0.2.33").packed, ipaddress.ip_address(address).packed
    assert Prefix.of(prefix).embed(four) == six
    assert Prefix.of(prefix).extract(six) == four


@given(st.sampled_from(list(PREFIXES)), st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
def test_what_is_embedded_is_extracted(prefix, four, six):
    """Below its prefix, bits 64 to 71 zero; what lies elsewhere holds nothing."""
    found = Prefix.of(prefix).embed(four)
    assert ipaddress.IPv6Address(found) in ipaddress.IPv6Network(prefix)
    assert found[8] == 0
    assert Prefix.of(prefix).extract(found) == four
    assert ipaddress.IPv6Address(six) in ipaddress.IPv6Network(prefix) or Prefix.of(prefix).extract(six) is None


@pytest.mark.parametrize("prefix", ["2001:db8::/33", "2001:db8::/128", "no", "192.0.2.0/24"])
def test_another_prefix_is_an_error(prefix):
    """RFC 6052 knows six lengths."""
    with pytest.raises(ValueError, match=r"prefix|address|Expected|At least"):
        Dns64(Below(), prefix)


def test_bits_that_must_be_zero_are():
    """An address in which they are not was not made so (RFC 6052, section 2.2)."""
    assert Prefix.of("2001:db8::/32").extract(ipaddress.ip_address("2001:db8:c000:221:100::").packed) is None


def six(**zone: str) -> tuple[Dns64, Below]:
    """Return the room under test over one that knows these records of h2.example."""
    below = Below({("h2.example", rtype): text for rtype, text in zone.items()}, late=True)
    return Dns64(below, PREFIX), below


def test_the_example_of_rfc_6147():
    """Section 7: a host with IPv4 alone gets an address under the prefix, and is asked about twice."""
    room, below = six(AAAA=SOA, A="h2.example 60 IN A 192.0.2.1")
    query = question("h2.example", "AAAA")
    answer = ask(room, query, below)
    assert lines(query, answer) == ["h2.example. 60 AAAA 2001:db8:8000::c000:201"]
    assert below.names == [("h2.example", "AAAA"), ("h2.example", "A")]
    assert (answer.lifetime, answer.ad) == (60, False)


@pytest.mark.parametrize(("aaaa", "ttl"), [
    (SOA, 120),  # the SOA's minimum
    (SOA.replace("900", "30"), 30),
    (SOA.replace(" 120", " 4000000000"), 0),
    ("", 600),
    ("SERVFAIL", 600),
    ("REFUSED", 600),
    ("h2.example 60 IN AAAA ::ffff:c000:201", 600),  # such a one counts as none
    ("h2.example 60 IN CNAME b.example\n" + SOA, 120),
])  # fmt: skip
def test_addresses_are_made_where_there_are_none(aaaa, ttl):
    """They are kept no longer than it is known that there are none (sections 5.1.2, 5.1.4 and 5.1.7)."""
    room, below = six(AAAA=aaaa, A="h2.example 86400 IN A 192.0.2.1\nh2.example 3000000000 IN A 192.0.2.2")
    query = question("h2.example", "AAAA")
    assert lines(query, ask(room, query, below)) == [
        f"h2.example. {ttl} AAAA 2001:db8:8000::c000:201",
        "h2.example. 0 AAAA 2001:db8:8000::c000:202",
    ]


def test_the_names_that_lead_to_an_address_are_kept():
    """CNAME and DNAME are copied, other records and signatures are not; all names are judged (section 5.1.6)."""
    chain = "x.h2.example 60 IN CNAME y.test\ny.test 60 IN CNAME z.test\nz.test 50 IN A 192.0.2.1\n"
    other = (
        "x.h2.example 60 IN 46 # 0005 08 02 0000003c 00000000 00000000 0001 00 abcd\nh2.example 9 IN 39 # 0474657374 00"
    )
    below = Below({("x.h2.example", "AAAA"): SOA, ("x.h2.example", "A"): chain + other})
    query = question("x.h2.example", "AAAA", do=True)
    answer = ask(Dns64(below, PREFIX), query)
    assert lines(query, answer)[:3] == [
        "x.h2.example. 60 CNAME y.test.",
        "y.test. 60 CNAME z.test.",
        "z.test. 50 AAAA 2001:db8:8000::c000:201",
    ]
    assert [QTYPE[record.rtype] for record in message(query, answer).rr] == ["CNAME", "CNAME", "AAAA", "DNAME"]
    assert set(answer.chain) >= {"y.test", "z.test"}


@pytest.mark.parametrize("asked", [{"do": True}, {"cd": True}])
def test_who_does_not_validate_alone_gets_what_is_made(asked):
    """DO or CD by itself tells of no validator (section 5.5)."""
    room, below = six(AAAA=SOA, A="h2.example 60 IN A 192.0.2.1")
    assert ask(room, question("h2.example", "AAAA", **asked), below).answers == 1


@pytest.mark.parametrize(("aaaa", "asked"), [
    ("h2.example 60 IN AAAA 2001:db8::1", {}),
    ("h2.example 60 IN CNAME b.example\nb.example 60 IN AAAA 2001:db8::1", {}),
    ("NXDOMAIN\n" + SOA, {}),
    (SOA, {"do": True, "cd": True}),  # who validates by itself (section 5.5)
])  # fmt: skip
def test_what_needs_nothing_made_passes_as_it_is(aaaa, asked):
    """One question, and its very answer."""
    room, below = six(AAAA=aaaa, A="h2.example 60 IN A 192.0.2.1")
    assert ask(room, question("h2.example", "AAAA", **asked), below) is below.given[0]
    assert len(below.asked) == 1


def test_nobody_is_asked_again_where_nobody_was_reached():
    """The second question would wait as long as the first."""
    below = Below({("h2.example", "AAAA"): failure(wire.SERVFAIL, 23)})
    assert ask(Dns64(below, PREFIX), question("h2.example", "AAAA")) is below.given[0]
    assert len(below.asked) == 1


@pytest.mark.parametrize("rtype", ["A", "MX", "HTTPS", "ANY"])
def test_other_questions_pass(rtype):
    """Only AAAA is made."""
    room, below = six(**{rtype: SOA})
    query = question("h2.example", rtype)
    assert ask(room, query, below) is below.given[0]
    assert below.asked == [query]


def test_mapped_addresses_beside_others_are_left_out():
    """They are of no use to a host without IPv4, nor are signatures over both (section 5.1.4)."""
    text = "h2.example 60 IN AAAA ::ffff:c000:201\nh2.example 60 IN AAAA 2001:db8::1\n"
    signature = "h2.example 60 IN 46 # 001c 08 02 0000003c 00000000 00000000 0001 00 abcd"
    room, below = six(AAAA=text + signature)
    query = question("h2.example", "AAAA", do=True)
    answer = ask(room, query, below)
    assert lines(query, answer) == ["h2.example. 60 AAAA 2001:db8::1"]
    assert answer.ad is False


@pytest.mark.parametrize(("aaaa", "a", "rcode", "ede"), [
    (SOA, SOA, 0, None),
    (SOA, "NXDOMAIN\n" + SOA, 0, None),
    (SOA, failure(0, 15), 0, 15),  # a private address, withheld below
    (SOA, failure(5, 22), 5, 22),
    ("SERVFAIL", failure(2, 23), 2, None),
    ("SERVFAIL", SOA, 2, None),
    (SOA, "h2.example 60 IN 5 # c0ff", None, None),
])  # fmt: skip
def test_without_ipv4_addresses_the_first_answer_stands(aaaa, a, rcode, ede):
    """A denial stays a denial; where the second question fails, it is no denial any more."""
    if rcode is None:
        broken = failure(0)
        a, rcode, ede = type(broken)(0, b"\xc0\x0c\0\5", 1, 0, (), (), 60), 2, 22
    below = Below({("h2.example", "AAAA"): aaaa, ("h2.example", "A"): a})
    answer = ask(Dns64(below, PREFIX), question("h2.example", "AAAA"))
    assert (answer.rcode, answer.answers, answer.ede) == (rcode, 0, ede)


def test_the_well_known_prefix_holds_no_private_address():
    """No translator may pass it on (RFC 6052, section 3.1); a network's own prefix may, and 192.0.0.170 tells both."""
    zone: dict[tuple[str, str], str] = {
        ("h2.example", "AAAA"): SOA,
        ("h2.example", "A"): "h2.example 60 IN A 10.0.0.1\nh2.example 60 IN A 192.0.0.170",
    }
    query = question("h2.example", "AAAA")
    known, own = (lines(query, ask(Dns64(Below({**zone}), prefix), query)) for prefix in (WELL_KNOWN, PREFIX))
    assert known == ["h2.example. 60 AAAA 64:ff9b::c000:aa"]
    assert own == ["h2.example. 60 AAAA 2001:db8:8000::a00:1", "h2.example. 60 AAAA 2001:db8:8000::c000:aa"]


@given(
    st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 2**31 - 1)), min_size=1, max_size=8),
    st.sampled_from([item for item in PREFIXES if item != WELL_KNOWN]),
    st.integers(0, 3),
    st.integers(0, 2000),
)
def test_every_a_record_becomes_one_of_aaaa(made, prefix, hops, soa):
    """Read by another hand, the answer is what plain arithmetic says."""
    names = ["h2.example", *(f"x{hop}.test" for hop in range(hops))]
    chain = [f"{one} 77 IN CNAME {other}" for one, other in pairwise(names)]
    records = [f"{names[-1]} {ttl} IN A {ipaddress.IPv4Address(data)}" for data, ttl in made]
    below = Below({
        ("h2.example", "AAAA"): SOA.replace("900", str(soa)),
        ("h2.example", "A"): "\n".join((*chain, *records)),
    })  # fmt: skip
    query = question("h2.example", "AAAA")
    found = message(query, ask(Dns64(below, prefix), query)).rr
    assert [str(record.rname) for record in found] == [f"{name}." for name in names[:-1] + names[-1:] * len(made)]
    assert [record.ttl for record in found[hops:]] == [min(ttl, soa, 120) for _, ttl in made]
    network = ipaddress.IPv6Network(prefix)
    for record, (data, _) in zip(found[hops:], made, strict=True):
        assert isinstance(record.rdata, AAAA)
        value = int.from_bytes(bytes(record.rdata.data))
        low = 128 - network.prefixlen
        bits = value & (1 << low) - 1
        if network.prefixlen < 96:  # take the eight bits from 64 on out
            kept = bits >> 64 << 56 | bits & (1 << 56) - 1
            assert bits >> 56 & 0xFF == 0
            assert kept >> (low - 8 - 32) == int.from_bytes(data)
        else:
            assert bits == int.from_bytes(data)
        assert value >> low == int(network.network_address) >> low


def arpa(address: str) -> str:
    return ipaddress.IPv6Address(address).reverse_pointer


@pytest.mark.parametrize(("prefix", "address"), PREFIXES.items())
def test_a_name_of_an_address_made_leads_to_that_of_ipv4(prefix, address):
    """Section 5.3.1: by a CNAME, and what is known there comes with it."""
    below = Below({("33.2.0.192.in-addr.arpa", "PTR"): "33.2.0.192.in-addr.arpa 60 IN PTR h2.example."}, late=True)
    query = question(arpa(address).replace("ip6.arpa", "IP6.arpa"), "PTR")
    answer = ask(Dns64(below, prefix), query, below)
    name = f"{arpa(address).removesuffix('ip6.arpa')}IP6.arpa."
    assert lines(query, answer) == [
        f"{name} 600 CNAME 33.2.0.192.in-addr.arpa.",
        "33.2.0.192.in-addr.arpa. 60 PTR h2.example.",
    ]
    assert answer.lifetime == 60


def test_where_the_name_of_ipv4_is_unknown_it_is_denied():
    """With the CNAME, and what the denial's SOA says; a failure stays one."""
    text = "NXDOMAIN\nauthority 192.in-addr.arpa 300 IN SOA a.example. b.example. 1 2 3 4 200"
    below = Below({("1.2.0.192.in-addr.arpa", "PTR"): text, ("2.2.0.192.in-addr.arpa", "PTR"): failure(2, 23)})
    query = question(arpa("2001:db8:8000::c000:201"), "PTR")
    answer = ask(Dns64(below, PREFIX), query)
    assert (answer.rcode, answer.answers, answer.authorities, answer.lifetime) == (wire.NXDOMAIN, 1, 1, 200)
    query = question(arpa("2001:db8:8000::c000:202"), "PTR")
    assert ask(Dns64(below, PREFIX), query) == failure(2, 23)


@pytest.mark.parametrize("name", [
    arpa("2001:db8:8001::c000:221"),
    arpa("2001:db8:8000::c000:221").removeprefix("1."),
    "0." + arpa("2001:db8:8000::c000:221"),
    arpa("2001:db8:8000::c000:221").replace("1.", "g.", 1),
    arpa("2001:db8:8000::c000:221").replace("1.", "10.", 1),
    arpa("2001:db8:8000::c000:221").replace("1.", "é.", 1),
    arpa("2001:db8:8000::c000:221").replace("ip6", "ip7"),
    "33.2.0.192.in-addr.arpa",
])  # fmt: skip
def test_other_names_of_addresses_pass(name):
    """What is not whole, not hexadecimal or not under the prefix is no address that was made here."""
    below = Below()
    query = question(name, "PTR")
    assert ask(Dns64(below, PREFIX), query) is below.given[0]
    assert below.asked == [query]
