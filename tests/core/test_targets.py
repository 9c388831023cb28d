"""Where connections may go."""

from __future__ import annotations

import pytest

from filterproxy.core.targets import Targets


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.1", True), ("8.8.8.8", True), ("2001:db8::1", True), ("172.15.0.1", True), ("172.16.0.1", False),
        ("10.1.2.3", False), ("127.0.0.1", False), ("0.0.0.0", False), ("100.64.0.1", False), ("169.254.0.1", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("::", False), ("::1", False), ("::ffff:192.0.2.1", False),
        ("64:ff9b::c000:201", False), ("2002:c000:201::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("ff02::1", False), ("::192.0.2.1", False), ("no address", False), ("", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_reached(address, allowed):
    """Inner, special and wrapped addresses are refused."""
    assert Targets((), (), (8080,)).allows(address, 80) is allowed


def test_what_the_operator_allows_is_reached_but_never_ourselves():
    """`allow_targets` opens a network; the proxy's own port on loopback stays shut."""
    targets = Targets(["127.0.0.0/8", "64:ff9b::/96"], [], (8080,))
    assert targets.allows("127.0.0.1", 80)
    assert targets.allows("64:ff9b::c000:201", 80)
    assert not targets.allows("127.0.0.1", 8080)


def test_the_portal_is_reached_on_its_port_only():
    """It may lie on loopback."""
    targets = Targets((), [("127.0.0.1", 8000), ("portal.test", 8000)], (8080,))
    assert targets.allows_host("127.0.0.1", 8000)
    assert not targets.allows_host("127.0.0.1", 8001)
    assert targets.allows_host("any.test", 80)


@pytest.mark.parametrize(
    ("local", "client", "address", "allowed"),
    [
        (True, "127.0.0.1", "127.0.0.1", True),
        (True, "::1", "::1", True),
        (True, "127.0.0.1", "10.0.0.1", False),
        (True, "192.168.1.5", "127.0.0.1", False),
        (False, "127.0.0.1", "127.0.0.1", False),
        (True, "no address", "127.0.0.1", False),
    ],
)
def test_a_program_of_this_machine_reaches_its_own_loopback(local, client, address, allowed):
    """It could by itself; nobody else can by way of us, and the rest of the network stays shut to both."""
    targets = Targets((), (), (8080,), local=local)
    assert targets.allows(address, 81, client) is allowed
    assert not targets.allows(address, 8080, client)
