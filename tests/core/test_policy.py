from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.decide import decide
from filterproxy.core.model import Connection
from tests.policies import NOW, build, table

PROFILES = [
    {"id": "lan", "networks": ["192.0.2.0/24", "2001:db8::/32"]},
    {"id": "child", "networks": ["192.0.2.64/26", "2001:db8:1::/48"]},
    {"id": "one", "networks": ["192.0.2.65/32"]},
]


@pytest.mark.parametrize(
    ("client", "profile"),
    [
        ("192.0.2.1", "lan"),
        ("192.0.2.64", "child"),
        ("192.0.2.65", "one"),
        ("192.0.2.128", "lan"),
        ("198.51.100.1", None),
        ("::ffff:192.0.2.65", "one"),
        ("2001:db8:1::5", "child"),
        ("2001:db8:2::5%eth0", "lan"),
        ("2001:db9::1", None),
        ("no address", None),
    ],
)
def test_the_longest_prefix_wins(client, profile):
    """IPv4, IPv6 and IPv4 in IPv6; who is in no network is not served."""
    assert build({}, PROFILES).profile_of(client) == profile


def test_without_profiles_everyone_has_the_default_one():
    """A configuration that names no profile serves every address with every list."""
    policy = build({})
    assert policy.profile_of("198.51.100.1") == policy.profile_of("2001:db8::1") == "default"


def test_lists_that_were_read_again_say_the_same():
    """Only when they were read changes, and what is known of hosts stays known."""
    listed = table("one")
    before = build({listed: ["a.example"]})
    after = before.read_again(7, {"list:one": NOW + timedelta(hours=1)})
    assert after.says is before.says
    assert after.bundle.host("a.example") is before.bundle.host("a.example")
    assert (after.generation, after.bundle.segments[0].loaded_at) == (7, NOW + timedelta(hours=1))
    assert (before.generation, before.bundle.segments[0].loaded_at) == (1, NOW)
    assert decide(Connection("default", "a.example"), after, NOW).blocked


@pytest.mark.parametrize(
    ("options", "lines", "same"),
    [
        ({}, ["a.example"], True),
        ({"max_age": "1d"}, ["a.example"], True),
        ({"on_failure": "closed"}, ["a.example"], True),
        ({"on_failure": "closed", "max_age": "1d"}, ["a.example"], False),
        ({"on_failure": "closed"}, None, False),
    ],
)
def test_a_list_that_fails_closed_with_its_age_is_judged_anew(options, lines, same):
    """What was refused because it was too old is served once it was read again."""
    before = build({table("one", **options): lines})
    later = NOW + timedelta(days=2)
    after = before.read_again(2, {"list:one": later})
    assert (after.says is before.says) is same
    assert decide(Connection("default", "fine.example"), after, later).blocked is (lines is None)


@given(st.ip_addresses(v=4))
def test_profiles_agree_with_the_obvious_search(client):
    """The quick look-up finds what a walk over all networks finds."""
    found = [
        (network.prefixlen, str(profile["id"]))
        for profile in PROFILES
        for network in map(ipaddress.ip_network, profile["networks"])
        if client in network
    ]
    assert build({}, PROFILES).profile_of(str(client)) == (max(found)[1] if found else None)
