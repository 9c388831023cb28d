"""Who is served, and under what the share of each is counted."""

from __future__ import annotations

import ipaddress

import pytest

from filterproxy.dns.clients import Client, read_client, share

NETWORKS = [ipaddress.ip_network(item) for item in ("192.0.2.0/24", "2001:db8::/32", "fe80::/10")]


@pytest.mark.parametrize(("text", "client"), [
    ("192.0.2.7", Client("192.0.2.7", "192.0.2.7")),
    ("::ffff:192.0.2.7", Client("192.0.2.7", "192.0.2.7")),
    ("2001:db8:1:2ff::7", Client("2001:db8:1:2ff::7", "2001:db8:1:200::/56")),
    ("2001:DB8:1:201:0::8", Client("2001:db8:1:201::8", "2001:db8:1:200::/56")),
    ("fe80::7%eth0", Client("fe80::7", "fe80::7")),
    ("198.51.100.7", None),
    ("2001:db9::7", None),
    ("", None),
    ("name.example", None),
])  # fmt: skip
def test_a_client_is_its_address_and_shares_what_its_customer_has(text, client):
    """All addresses of an IPv6 customer have one share, for their number costs nothing."""
    assert read_client(text, NETWORKS) == client


@pytest.mark.parametrize(("most", "own"), [(1, 1), (7, 1), (8, 1), (200, 25)])
def test_a_share_is_an_eighth_and_never_nothing(most, own):
    """Else a small bound would serve nobody."""
    assert share(most) == own
