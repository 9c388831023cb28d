"""Whether those who ask look like one client."""

from __future__ import annotations

import pytest

from filterproxy.dns.crowd import MANY, NOBODY, Crowd, one_client

KEY = bytes(32)


def crowd(*addresses: str) -> str:
    seen = Crowd(KEY)
    for address in addresses:
        seen.meet(address)
    return seen.seen


@pytest.mark.parametrize(("addresses", "one"), [
    ([], False),
    (["192.0.2.1"], True),
    (["192.0.2.1", "192.0.2.1"], True),
    (["192.0.2.1", "192.0.2.2"], False),
    (["192.0.2.1", "2001:db8::1", "192.0.2.1"], False),
    (["127.0.0.1", "::1"], False),
    (["127.0.0.1", "192.0.2.1"], True),
])  # fmt: skip
def test_one_client_is_told_from_none_and_many(addresses, one):
    """One address other than this machine's own, however often, is one client."""
    assert one_client([crowd(*addresses)]) is one


@pytest.mark.parametrize(("workers", "one"), [
    ([["192.0.2.1"], ["192.0.2.1"]], True),
    ([["192.0.2.1"], []], True),
    ([["192.0.2.1"], ["192.0.2.2"]], False),
    ([["192.0.2.1"], ["192.0.2.1", "192.0.2.2"]], False),
])  # fmt: skip
def test_workers_are_compared(workers, one):
    """Two workers that saw the same client saw one; those that saw different ones did not."""
    assert one_client([crowd(*addresses) for addresses in workers]) is one


def test_no_address_is_kept():
    """What is kept of a client is a digest under a key, and after the second not even that."""
    assert "192.0.2.1" not in crowd("192.0.2.1")
    other = Crowd(b"k" * 32)
    other.meet("192.0.2.1")
    assert other.seen != crowd("192.0.2.1")
    assert crowd("192.0.2.1", "192.0.2.2") == MANY
    assert crowd() == NOBODY
