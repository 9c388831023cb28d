"""What the resolver says of itself: read by dnspython, which knows these records; and what it never asks of others."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rdatatype
import dns.rdtypes.svcbbase as svcb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.about import About
from filterproxy.dns.answers import relayed
from filterproxy.dns.cache import LONGEST_TTL, Answer
from filterproxy.dns.discovery import DOHPATH, RESINFO, Discovery
from filterproxy.dns.wire import Query
from filterproxy.settings.dns import Dns
from tests.dns.rooms import SOA, Below, ask, question

NAME = "dns.operator.example"
DOT, DOH = ["192.0.2.1:853", "[2001:db8::1]:853"], ["192.0.2.1:443", "[2001:db8::1]:443"]


def made(
    dot: list[str] = DOT, doh: list[str] = DOH, about: About | None = None, records: Any = (), **encrypted: Any
) -> tuple[Discovery, Below]:
    table = {"name": NAME, "dot": dot, "doh": doh, "certificate": "/c.pem", "key": "/k.pem"} | encrypted
    below = Below()
    return Discovery(below, Dns.model_validate({"encrypted": table, "records": records}), about or About()), below


def said(query: Query, answer: Answer) -> dns.message.Message:
    return dns.message.from_wire(relayed(query, answer, 0, LONGEST_TTL))


def found(room: Discovery, name: str, rtype: str) -> list[str]:
    """Return the answers, in the words of a zone file."""
    query = typed(name, rtype)
    message = said(query, ask(room, query))
    return [item.to_text() for rrset in message.answer for item in rrset]


def typed(name: str, rtype: str) -> Query:
    return question(name).about(qtype=RESINFO if rtype == "RESINFO" else int(dns.rdatatype.from_text(rtype)))


@pytest.mark.parametrize("name", ["_dns.resolver.arpa", "_DNS.Resolver.ARPA", f"_dns.{NAME}"])
def test_the_encrypted_ways_are_told_with_ports_path_and_addresses(name):
    """By the special name and by our own: DoT, DoH with its path, and hints so that no name must be resolved first."""
    room, below = made()
    hints = 'ipv4hint="192.0.2.1" ipv6hint="2001:db8::1"'
    assert sorted(found(room, name, "SVCB")) == [
        f'1 {NAME}. alpn="dot" port="853" {hints}',
        f'2 {NAME}. alpn="h2" port="443" {hints} dohpath="/dns-query{{?dns}}"',
    ]
    assert below.asked == []


def test_the_path_is_a_template_of_the_configured_one():
    """RFC 9461, section 5: a relative URI template with the variable dns."""
    room, _ = made([], ["192.0.2.1:8443"], path="/a/b")
    query = typed("_dns.resolver.arpa", "SVCB")
    (rrset,) = said(query, ask(room, query)).answer
    (item,) = rrset
    assert isinstance(item, svcb.SVCBBase)
    params: Any = {int(key): value for key, value in item.params.items()}
    assert (item.priority, params[3].port, bytes(params[DOHPATH].value)) == (1, 8443, b"/a/b{?dns}")


@pytest.mark.parametrize(("dot", "hints", "a", "aaaa"), [
    (["192.0.2.1:853"], 'ipv4hint="192.0.2.1"', ["192.0.2.1"], []),
    (["0.0.0.0:853", "[::]:853"], "", None, None),
    (["0.0.0.0:853", "[2001:db8::1]:853"], 'ipv6hint="2001:db8::1"', None, ["2001:db8::1"]),
    (["127.0.0.1:853"], 'ipv4hint="127.0.0.1"', ["127.0.0.1"], []),
    (["127.0.0.1:853", "192.0.2.1:853"], 'ipv4hint="192.0.2.1"', ["192.0.2.1"], []),
    (["[fe80::1]:853", "192.0.2.1:853"], 'ipv4hint="192.0.2.1"', ["192.0.2.1"], []),
])  # fmt: skip
def test_addresses_are_told_where_they_are_known(dot, hints, a, aaaa):
    """Where we listen on any address somebody else must say which; loopback and link-local help nobody elsewhere."""
    room, below = made(dot, [])
    assert found(room, "_dns.resolver.arpa", "SVCB") == [f'1 {NAME}. alpn="dot" port="853" {hints}'.rstrip()]
    below.zone = {(NAME, "A"): f"{NAME} 60 IN A 198.51.100.7", (NAME, "AAAA"): f"{NAME} 60 IN AAAA 2001:db8::7"}
    assert found(room, NAME, "A") == (["198.51.100.7"] if a is None else a)
    assert found(room, NAME, "AAAA") == (["2001:db8::7"] if aaaa is None else aaaa)


def test_each_port_is_a_way_of_its_own():
    """With the addresses that listen on it."""
    room, _ = made(["192.0.2.1:853", "192.0.2.2:8853", "192.0.2.3:853"], [])
    assert sorted(found(room, "_dns.resolver.arpa", "SVCB")) == [
        f'1 {NAME}. alpn="dot" port="853" ipv4hint="192.0.2.1,192.0.2.3"',
        f'2 {NAME}. alpn="dot" port="8853" ipv4hint="192.0.2.2"',
    ]


def test_records_of_the_operators_own_win():
    """Its addresses for the name are asked for below, and no hint says others."""
    room, below = made(["192.0.2.1:853"], [], records=[{"name": NAME, "value": "198.51.100.7"}])
    assert found(room, "_dns.resolver.arpa", "SVCB") == [f'1 {NAME}. alpn="dot" port="853"']
    found(room, NAME, "A")
    assert below.names == [(NAME, "A")]


def test_a_profile_that_may_be_chosen_has_names_of_its_own():
    """Its name has our addresses, and leads to its path."""
    room, _ = made(["192.0.2.1:853"], ["192.0.2.1:443"], About(profiles=("family",)))
    assert found(room, f"family.{NAME}", "A") == ["192.0.2.1"]
    assert sorted(found(room, f"_dns.family.{NAME}", "SVCB")) == [
        f'1 family.{NAME}. alpn="dot" port="853" ipv4hint="192.0.2.1"',
        f'2 family.{NAME}. alpn="h2" port="443" ipv4hint="192.0.2.1" dohpath="/dns-query/family{{?dns}}"',
    ]
    other, below = made(["192.0.2.1:853"])
    found(other, f"family.{NAME}", "A")
    assert below.names == [(f"family.{NAME}", "A")]


@pytest.mark.parametrize(("portal", "expected"), [
    ("https://notice.example", ["exterr=3,14-20,22-23", "infourl=https://notice.example/transparency"]),
    ("http://notice.example", ["exterr=3,14-20,22-23"]),
    ("", ["exterr=3,14-20,22-23"]),
    ("https://notice.example/" + "a" * 250, ["exterr=3,14-20,22-23"]),
])  # fmt: skip
@pytest.mark.parametrize("name", ["resolver.arpa", NAME])
def test_what_it_does_is_told_as_rfc_9606_has_it(name, portal, expected):
    """The extended errors that we give, and a page over https; no claim that names are minimised."""
    room, below = made(about=About(portal=portal))
    query = typed(name, "RESINFO")
    (rrset,) = said(query, ask(room, query)).answer
    (item,) = rrset
    data, strings = item.to_wire(), []
    while data:
        strings.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    assert (strings, rrset.ttl, below.asked) == (expected, 300, [])


@pytest.mark.parametrize(("name", "rtype"), [
    ("resolver.arpa", "A"), ("_dns.resolver.arpa", "A"), ("_dns.resolver.arpa", "TXT"), ("x.y.resolver.arpa", "SVCB"),
    ("resolver.arpa", "SVCB"), ("RESOLVER.arpa", "NS"),
])  # fmt: skip
@pytest.mark.parametrize("off", [False, True])
def test_nothing_of_resolver_arpa_is_asked_of_others(name, rtype, off):
    """No records, and an SOA of the zone: on as well as off."""
    room, below = made([], []) if off else made()
    query = typed(name, rtype)
    message = said(query, ask(room, query))
    assert (message.rcode(), message.answer, below.asked) == (0, [], [])
    assert [rrset.name.to_text().lower() for rrset in message.authority] == ["resolver.arpa."]


@pytest.mark.parametrize("encrypted", [{"dot": [], "doh": []}, {"discovery": False}])
def test_nothing_is_told_where_nothing_is_served_or_it_is_off(encrypted):
    """No designated resolver; and our name is asked for as any other."""
    room, below = made(**encrypted)
    assert found(room, "_dns.resolver.arpa", "SVCB") == []
    assert found(room, "resolver.arpa", "RESINFO") == []
    below.zone = {(NAME, "A"): f"{NAME} 60 IN A 198.51.100.7"}
    assert found(room, NAME, "A") == ["198.51.100.7"]


@pytest.mark.parametrize(("name", "rtype"), [
    (NAME, "TXT"), (NAME, "HTTPS"), (f"_dns.{NAME}", "A"), (f"www.{NAME}", "A"), ("arpa", "SOA"),
    ("xresolver.arpa", "A"), ("_dns.resolver.arpa.example", "SVCB"),
])  # fmt: skip
def test_all_else_is_asked_of_others(name, rtype):
    """Our name may have other records, in a zone of the operator's."""
    room, below = made()
    ask(room, typed(name, rtype))
    assert len(below.asked) == 1


def test_a_label_that_only_looks_like_the_zone_is_another_name():
    """A length octet within a label is no boundary."""
    room, below = made()
    below.zone = {("a\x08resolver.arpa", "A"): f"NOERROR\n{SOA}"}
    ask(room, question((b"a\x08resolver", b"arpa")))
    assert len(below.asked) == 1


def test_names_that_grow_too_long_for_dns_are_nobodys():
    """A long name with long profiles still starts."""
    name = ".".join(["a" * 60] * 4)
    room, _ = made(["192.0.2.1:853"], [], About(profiles=("b" * 63,)), name=name)
    assert found(room, "_dns.resolver.arpa", "SVCB") == [f'1 {name}. alpn="dot" port="853" ipv4hint="192.0.2.1"']


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=5), st.integers(0, 65535), st.booleans())
def test_any_question_is_answered_or_asked_of_others(labels, qtype, ours):
    """Each once; below resolver.arpa nobody else is asked, whatever the type."""
    room, below = made()
    query = question((*labels, b"resolver", b"arpa") if ours else (*labels, b"example")).about(qtype=qtype)
    below.zone = {}
    answer = ask(room, query)
    assert (below.asked == []) is ours
    if ours:
        assert answer.rcode == wire.NOERROR
        said(query, answer)
