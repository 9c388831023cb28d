"""Where the proxy may connect to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from filterproxy.inspection.targets import TargetRefusedError, Targets


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
    assert Targets((), (), 8080).allows(address, 80) is allowed


def test_what_the_operator_allows_is_reached_but_never_ourselves():
    """`allow_targets` opens a network; the proxy's own port on loopback stays shut."""
    targets = Targets(["127.0.0.0/8", "64:ff9b::/96"], [], 8080)
    assert targets.allows("127.0.0.1", 80)
    assert targets.allows("64:ff9b::c000:201", 80)
    assert not targets.allows("127.0.0.1", 8080)


def test_the_portal_is_reached_on_its_port_only():
    """It may lie on loopback."""
    targets = Targets((), [("127.0.0.1", 8000), ("portal.test", 8000)], 8080)
    assert targets.allows_host("127.0.0.1", 8000)
    assert not targets.allows_host("127.0.0.1", 8001)
    assert targets.allows_host("any.test", 80)


async def answers(*addresses):
    asked = []

    async def resolve(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return asked, resolve


async def test_inner_answers_are_dropped_and_the_rest_kept():
    """One good address is enough."""
    _, resolve = await answers("10.0.0.1", "192.0.2.1")
    found = await Targets((), (), 8080).checked(resolve)("a.test", 80)
    assert [info[4][0] for info in found] == ["192.0.2.1"]


async def test_a_name_with_nothing_but_inner_answers_is_refused():
    """So is what is no name at all."""
    _, resolve = await answers("10.0.0.1")
    checked = Targets((), [("portal.test", 8000)], 8080).checked(resolve)
    for host in ("a.test", "a b", None):
        with pytest.raises(TargetRefusedError):
            await checked(host, 80)
    assert await checked("portal.test", 8000)
    assert await checked("0.0.0.0", 80, flags=socket.AI_PASSIVE)


async def test_an_answer_is_kept_for_a_moment():
    """The CONNECT and the connection made for it see the same answer."""
    asked, resolve = await answers("192.0.2.1")
    checked = Targets((), (), 8080).checked(resolve)
    await asyncio.gather(*(checked("a.test", 80, type=socket.SOCK_STREAM) for _ in range(1)))
    await checked("a.test", 80, type=socket.SOCK_STREAM)
    assert asked == ["a.test"]


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
    targets = Targets((), (), 8080, local=local)
    assert targets.allows(address, 81, client) is allowed
    assert not targets.allows(address, 8080, client)
