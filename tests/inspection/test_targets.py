"""What names lead to, where they are resolved for dialling."""

from __future__ import annotations

import asyncio
import socket

import pytest

from filterproxy.core.targets import Targets
from filterproxy.inspection.targets import TargetRefusedError, checked


async def answers(*addresses):
    asked = []

    async def resolve(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return asked, resolve


async def test_inner_answers_are_dropped_and_the_rest_kept():
    """One good address is enough."""
    _, resolve = await answers("10.0.0.1", "192.0.2.1")
    found = await checked(Targets((), (), (8080,)), resolve)("a.test", 80)
    assert [info[4][0] for info in found] == ["192.0.2.1"]


async def test_a_name_with_nothing_but_inner_answers_is_refused():
    """So is what is no name at all."""
    _, resolve = await answers("10.0.0.1")
    resolved = checked(Targets((), [("portal.test", 8000)], (8080,)), resolve)
    for host in ("a.test", "a b", None):
        with pytest.raises(TargetRefusedError):
            await resolved(host, 80)
    assert await resolved("portal.test", 8000)
    assert await resolved("0.0.0.0", 80, flags=socket.AI_PASSIVE)


async def test_an_answer_is_kept_for_a_moment():
    """The CONNECT and the connection made for it see the same answer."""
    asked, resolve = await answers("192.0.2.1")
    resolved = checked(Targets((), (), (8080,)), resolve)
    await asyncio.gather(*(resolved("a.test", 80, type=socket.SOCK_STREAM) for _ in range(1)))
    await resolved("a.test", 80, type=socket.SOCK_STREAM)
    assert asked == ["a.test"]
