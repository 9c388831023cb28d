"""Names by which software asks whether it may go past us: denied at once, and nothing else is."""

from __future__ import annotations

import pytest
from dnslib import QTYPE, RCODE
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import wire
from filterproxy.dns.bypass import CANARY, PRIVATE_RELAY, Denied
from filterproxy.dns.records import DENIAL_TTL
from filterproxy.settings.service import Bypass
from tests.dns.rooms import Below, ask, message, question

NAMES = (*CANARY, *PRIVATE_RELAY)


@pytest.mark.parametrize("rtype", ["A", "AAAA", "HTTPS", "TXT", "ANY"])
@pytest.mark.parametrize("name", [*NAMES, "Use-Application-DNS.net", "below.mask.icloud.com", "a.b.mask-h2.ICLOUD.com"])
def test_the_names_are_denied_with_all_below_them(name, rtype):
    """NXDOMAIN with an SOA of a minute, and why, whatever the type and the case: nobody is asked, nobody waits."""
    below = Below()
    query = question(name, rtype)
    answer = ask(Denied(below, Bypass()), query)
    said = message(query, answer)
    assert (RCODE[said.header.rcode], said.rr, answer.ede) == ("NXDOMAIN", [], 15)
    assert [(QTYPE[rr.rtype], rr.ttl) for rr in said.auth] == [("SOA", DENIAL_TTL)]
    assert str(said.auth[0].rname).rstrip(".").lower() in NAMES
    assert str(said.q.qname).rstrip(".") == name
    assert below.asked == []


@pytest.mark.parametrize("name", [
    "icloud.com", "www.icloud.com", "xmask.icloud.com", "mask-h3.icloud.com", "net", "application-dns.net",
    "use-application-dns.net.example", "mask.icloud.com.example",
])  # fmt: skip
def test_nothing_beside_them_is_denied(name):
    """Neither their parents nor their neighbours."""
    below = Below()
    ask(Denied(below, Bypass()), question(name))
    assert below.names == [(name, "A")]


def test_a_name_that_only_ends_in_the_same_bytes_is_another():
    """A length octet within a label is no boundary."""
    below = Below()
    ask(Denied(below, Bypass()), question((b"a\x04mask", b"icloud", b"com")))
    assert len(below.asked) == 1


@pytest.mark.parametrize(("canary", "private_relay", "denied"), [
    (True, False, CANARY), (False, True, PRIVATE_RELAY), (False, False, ()),
])  # fmt: skip
def test_each_switch_is_for_its_own_names(canary, private_relay, denied):
    """What is off is asked for as any other name."""
    below = Below()
    room = Denied(below, Bypass(canary=canary, private_relay=private_relay))
    for name in NAMES:
        ask(room, question(name))
    assert {name for name, _ in below.names} == set(NAMES) - set(denied)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_any_name_is_denied_or_asked_for(labels):
    """One of both, and NXDOMAIN of nothing but the names and what lies below them."""
    below = Below()
    answer = ask(Denied(below, Bypass()), question(labels))
    spelled = b".".join(labels).lower().decode("latin-1")
    if answer.rcode == wire.NXDOMAIN and not below.asked:
        assert any(spelled == name or spelled.endswith(f".{name}") for name in NAMES)
