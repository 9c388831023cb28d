"""Who is slow, or comes in masses, keeps nobody else out of the portal."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from filterproxy.portal.networks import Networks
from filterproxy.runtime import control
from filterproxy.runtime.visitors import Visitor
from tests.portal.world import World, make_world

HEAD = b"GET /healthz HTTP/1.1\r\nHost: notice.example\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Hasty(Visitor):
    """The same with little time and room."""

    head_seconds = 0.4
    request_seconds = 0.8
    most_of_a_network = 4


class Portal:
    """A portal of its own on loopback, and connections to it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.held: list[Streams] = []

    async def connect(self, sent: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection(*self.address)
        self.held.append((reader, writer))
        writer.write(sent)
        return reader, writer

    async def is_served(self) -> bool:
        reader, _ = await self.connect(HEAD + b"Connection: close\r\n\r\n")
        return (await _rest(reader)).startswith(b"HTTP/1.1 200 OK")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""


@asynccontextmanager
async def serving(world: World, proxies: Iterable[str] = ()) -> AsyncIterator[Portal]:
    """Serve the portal as the control process does, but for the patience."""
    config = control._config(world.parts, 1)
    made: Any = partial(Hasty, proxies=Networks(proxies))
    config.http = made
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = control._Server(config)
        task = asyncio.create_task(server.serve([sock]))
        await control._started([server], [task])
        portal = Portal(sock.getsockname())
        try:
            yield portal
        finally:
            for _, writer in portal.held:
                writer.close()
            server.should_exit = True
            await task


@pytest.fixture
def world(tmp_path):
    made = make_world(tmp_path)
    yield made
    made.parts.store.close()


async def test_the_control_process_serves_visitors(world):
    """What is tested here is what the portal runs on, with its patience of ten seconds."""
    made: Any = control._config(world.parts, 1).http
    assert made.func is Visitor
    assert Visitor.head_seconds == 10


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", HEAD + b"X-Slow: ", HEAD + b"\r\n"])
async def test_a_connection_without_a_whole_head_ends(world, sent):
    """Silent from the start, in the midst of a head, or after an answer: the connection is gone after its time."""
    async with serving(world) as portal:
        begun = asyncio.get_running_loop().time()
        reader, _ = await portal.connect(sent)
        await _rest(reader)
        assert 0.3 < asyncio.get_running_loop().time() - begun < 2


async def test_a_head_that_comes_drop_by_drop_ends_too(world):
    """Each byte renews nothing."""
    async with serving(world) as portal:
        reader, writer = await portal.connect()
        for byte in HEAD[:40]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.03)
            if reader.at_eof() or reader.exception():
                break
        else:
            pytest.fail("it was still open")


async def test_a_body_that_goes_on_after_the_answer_ends(world):
    """Who is answered and still sends holds no place."""
    async with serving(world) as portal:
        reader, writer = await portal.connect(
            b"POST / HTTP/1.1\r\nHost: games.example\r\nContent-Length: 999999999\r\n\r\n"
        )
        for _ in range(100):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.03)
            if reader.at_eof() or reader.exception():
                break
        else:
            pytest.fail("it was still open")


async def test_one_network_leaves_room_for_others(world):
    """Beyond its share a network's connections are dropped at once, and it is served again once some have ended."""
    async with serving(world) as portal:
        for _ in range(Hasty.most_of_a_network):
            await portal.connect()
        await asyncio.sleep(0.05)
        assert not await portal.is_served()
        await asyncio.sleep(0.6)
        assert await portal.is_served()


async def test_a_trusted_proxy_may_have_all_the_room(world):
    """Everybody comes through it."""
    async with serving(world, ["127.0.0.0/8"]) as portal:
        for _ in range(3 * Hasty.most_of_a_network):
            await portal.connect()
        assert await portal.is_served()


async def test_a_person_who_reads_page_after_page_keeps_the_connection(world):
    """Each answer begins the time anew."""
    async with serving(world) as portal:
        reader, writer = await portal.connect()
        for _ in range(4):
            writer.write(HEAD + b"\r\n")
            assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert await reader.readexactly(3) == b"ok\n"
            await asyncio.sleep(0.2)


async def test_the_page_of_a_body_that_is_too_large_arrives(world):
    """A browser that sends far too much sees why, over a real connection."""
    async with serving(world) as portal:
        size = 2_000_000
        head = b"POST /appeal HTTP/1.1\r\nHost: notice.example\r\nContent-Length: %d\r\n\r\n" % size
        reader, writer = await portal.connect(head)
        writer.write(b"x" * size)
        await writer.drain()
        answer = await _rest(reader)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"That is too much at once" in answer


async def test_an_absolute_form_is_answered_for_the_host_it_names(world):
    """A client that takes us for a proxy is answered by what it asked for, not by its Host field."""
    async with serving(world) as portal:
        for line, status in ((b"http://notice.example/healthz", b"200"), (b"http://games.example/healthz", b"451")):
            for host in (b"notice.example", b"games.example"):
                sent = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (line, host)
                reader, _ = await portal.connect(sent)
                assert (await _rest(reader)).split(b" ")[1] == status
