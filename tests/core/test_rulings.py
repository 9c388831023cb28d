"""Who is served, and the strictest of several names."""

from __future__ import annotations

import pytest

from filterproxy.core.rulings import Door, plain
from filterproxy.core.urls import canonical
from tests.inspection.world import LISTS
from tests.policies import NOW, build


def door(*networks: str) -> Door:
    policy = build(LISTS)
    return Door(networks, lambda: policy, lambda: NOW)


@pytest.mark.parametrize(
    ("address", "as_"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
    ],
)
def test_clients_within_the_networks_are_admitted(address, as_):
    """An IPv4 client on an IPv6 socket is an IPv4 client."""
    found = door("10.0.0.0/8", "fe80::/10").admit(plain(address))
    assert (None if found is None else found.address) == as_


@pytest.mark.parametrize(
    ("hosts", "subject", "action"),
    [
        (["ok.example", "blocked.example"], "blocked.example", "block"),
        (["ok.example", "pages.example"], "pages.example", "inspect"),
        (["pages.example", "hosted.example", "blocked.example"], "hosted.example", "block"),
        (["ok.example"], "ok.example", "allow"),
    ],
)
def test_the_strictest_name_is_what_a_connection_is_told(hosts, subject, action):
    """The notice is about the name that was blocked, not the one beside it."""
    client = door("10.0.0.0/8").admit("10.0.0.1")
    assert client is not None
    ruling = client.connection(hosts)
    assert (ruling.subject, ruling.verdict.action) == (subject, action)


def test_a_request_is_told_its_url():
    """The canonical one, of the name that decided."""
    client = door("10.0.0.0/8").admit("10.0.0.1")
    urls = [canonical("http://ok.example/listed"), canonical("http://pages.example/listed")]
    assert client is not None
    ruling = client.request("GET", [url for url in urls if url])
    assert (ruling.subject, ruling.host) == ("http://pages.example/listed", "pages.example")
