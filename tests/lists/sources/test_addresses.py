from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists.sources import addresses


@pytest.mark.parametrize("address", [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:224.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1",
    "3fff::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1",
    "ff0e::1", "4000::1", "nonsense", "",
])  # fmt: skip
def test_what_is_not_of_the_internet_is_not_public(address):
    """Private, loopback, link-local, shared, multicast, reserved, and each of these inside an IPv6 address."""
    assert not addresses.public(address)
    with pytest.raises(SourceError, match="private or reserved"):
        addresses.allowed([address], private=False)
    assert addresses.allowed([address], private=True) == [address]


@pytest.mark.parametrize("address", [
    "8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1",
    "::ffff:8.8.8.8", "64:ff9b::808:808",
])  # fmt: skip
def test_what_is_of_the_internet_is_public(address):
    """Also where a network without IPv4 translates it."""
    assert addresses.public(address)


def test_of_several_addresses_only_the_public_are_kept():
    """A private one among them is never connected to; each is tried once, and not too many."""
    assert addresses.allowed(["127.0.0.1", "8.8.8.8", "8.8.8.8", "::1"], private=False) == ["8.8.8.8"]
    assert len(addresses.allowed([f"8.8.8.{number}" for number in range(99)], private=False)) == addresses.MOST
    with pytest.raises(SourceError, match="no address"):
        addresses.allowed([], private=True)


@given(st.text(max_size=50))
def test_any_text_is_judged(text):
    """Whatever a resolver says is public or not."""
    assert addresses.public(text) in (True, False)


def test_a_name_is_resolved_by_the_system():
    """The system's resolver knows this machine; spelled as a number it is the same one."""
    assert set(addresses.resolved("localhost", 443, 10)) <= {"127.0.0.1", "::1"}
    assert addresses.resolved("127.0.0.1", 443, 10) == ["127.0.0.1"]


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_a_source_error(error):
    """Its text says no more than that."""

    def fails(host, port):
        raise error

    with pytest.raises(SourceError, match="^the name does not resolve$"):
        addresses.resolved("lists.example", 443, 10, fails)


def test_a_resolver_that_hangs_is_not_waited_for():
    """At the latest after the time given, whatever the system does."""
    free = threading.Event()

    def hangs(host, port):
        free.wait(10)
        return ["127.0.0.1"]

    start = time.monotonic()
    with pytest.raises(SourceError, match="not resolved in time"):
        addresses.resolved("lists.example", 443, 0.1, hangs)
    assert time.monotonic() - start < 5
    free.set()
