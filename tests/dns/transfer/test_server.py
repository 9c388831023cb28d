"""Zones over TLS on loopback: who is let in, what each is given, and that nobody holds up anybody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dns.message
import pytest

from filterproxy.dns.transfer import server as room
from filterproxy.dns.transfer.requests import Request
from filterproxy.dns.transfer.server import Given, Server
from tests.dns.transfer.house import KEYS, ZONES, query, receivers
from tests.dns.upstreams.servers import Authority

NAME = "transfer.example"


class Zone:
    """Gives so many messages of so many bytes."""

    def __init__(self, messages: int = 3, size: int = 100) -> None:
        self.messages, self.size = messages, size
        self.made = 0

    def answer(self, request: Request) -> Given:
        return Given("axfr", 7, 5, self._messages(request))

    def _messages(self, request: Request) -> Iterator[bytes]:
        for _ in range(self.messages):
            self.made += 1
            record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 0, self.size) + b"\0" * self.size
            yield struct.pack("!6H", request.ident, 0x8400, 1, 1, 0, 0) + request.question + record


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.gave: list[tuple[str, str, str]] = []
        self.why: list[tuple[str, str, str]] = []

    def given(self, receiver: str, list_id: str, given: Given, seconds: float) -> None:
        self.gave.append((receiver, list_id, given.kind))

    def refused(self, reason: str, receiver: str, list_id: str) -> None:
        self.why.append((reason, receiver, list_id))


class House:
    """A server and those who come to it."""

    def __init__(self, authority: Authority, connections: int) -> None:
        self.told, self.zones = Told(), dict[str, Any](dict.fromkeys(ZONES, Zone()))
        self.tls = authority.context(NAME, alpn=("dot",))
        self.trusts = ssl.create_default_context(cafile=authority.ca)
        self.trusts.set_alpn_protocols(["dot"])
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.server = Server(receivers(), self.zones.get, ZONES.get, lambda: self.tls, connections, self.told)
        self.server.add(self.listening)

    @contextlib.asynccontextmanager
    async def client(self, source: str = "127.0.0.1") -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            *self.listening.getsockname(), ssl=self.trusts, server_hostname=NAME, local_addr=(source, 0)
        )
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, packet: bytes) -> None:
        self.writer.write(len(packet).to_bytes(2) + packet)

    async def take(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2)))

    async def ask(self, asked: Any) -> Any:
        self.send(asked.to_wire())
        return dns.message.from_wire(await self.take(), keyring=asked.keyring, request_mac=asked.mac or b"")

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read(1) == b""
            except OSError:
                return True


@pytest.fixture
def house_of(tmp_path):
    @contextlib.asynccontextmanager
    async def begin(connections: int = 8) -> AsyncIterator[House]:
        house = House(Authority(tmp_path), connections)
        try:
            yield house
        finally:
            await house.server.close(1.0)
            house.listening.close()

    return begin


async def test_a_receiver_takes_a_zone_and_then_another(house_of):
    """On one connection, in its order, every message signed after the one before."""
    async with house_of() as house, house.client() as client:
        for _ in range(2):
            asked = query()
            client.send(asked.to_wire())
            context = None
            for _ in range(3):
                found = dns.message.from_wire(
                    await client.take(), keyring=KEYS["one"], request_mac=asked.mac, multi=True, tsig_ctx=context
                )
                context = found.tsig_ctx
                assert found.id == asked.id
                assert found.had_tsig
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "dot"
    assert house.told.gave == [("one", "open", "axfr")] * 2
    assert house.told.why == []


async def test_who_is_not_listed_gets_no_handshake(house_of):
    """Not a byte, and it is told to whoever keeps the record."""
    async with house_of() as house:
        with pytest.raises(OSError):  # noqa: PT011 - a reset or an end: the peer has gone
            async with house.client("127.0.3.1"):
                pass
    assert house.told.why == [("address", "", "")]


@pytest.mark.parametrize(("source", "asked", "rcode", "why"), [
    ("127.0.0.1", query(key=None), 5, ("unsigned", "", "")),
    ("127.0.0.1", query("secret.rpz.example"), 5, ("zone", "one", "secret")),
    ("127.0.0.1", query("none.rpz.example"), 5, ("zone", "one", "")),
    ("127.0.0.1", query("rpz.example"), 5, ("zone", "one", "")),
    ("127.0.0.1", query(key=KEYS["two"]), 5, ("address", "", "")),
    ("127.0.2.1", query("none.rpz.example", key=KEYS["two"]), 5, ("zone", "two", "")),
])  # fmt: skip
async def test_what_one_may_not_have_is_refused(house_of, source, asked, rcode, why):
    """A zone of others as one that is not there: the answers are alike, but for what was asked."""
    async with house_of() as house, house.client(source) as client:
        assert (await client.ask(asked)).rcode() == rcode
        assert (house.told.gave, house.told.why) == ([], [why])


async def test_a_confidential_zone_goes_to_whom_it_names(house_of):
    """And a zone that is not built yet is promised for later: SERVFAIL."""
    async with house_of() as house, house.client("127.0.2.1") as client:
        asked = query("secret.rpz.example", key=KEYS["two"])
        assert (await client.ask(asked)).rcode() == 0
        del house.zones["secret.rpz.example"]
        for _ in range(2):
            await client.take()
        assert (await client.ask(query("secret.rpz.example", key=KEYS["two"]))).rcode() == 2
    assert house.told.gave == [("two", "secret", "axfr")]
    assert house.told.why == [("not_ready", "two", "secret")]


async def test_what_cannot_be_read_ends_the_connection(house_of):
    """Also what is longer than any question, and what speaks no TLS."""
    async with house_of() as house:
        for wrong in (b"\x00\x05hello", b"\xff\xff", struct.pack("!H6H", 12, 1, 0, 9, 0, 0, 0)):
            async with house.client() as client:
                client.writer.write(wrong)
                while not await client.ended():
                    pass
        reader, writer = await asyncio.open_connection(*house.listening.getsockname())
        writer.write(query().to_wire())
        async with asyncio.timeout(5):
            with contextlib.suppress(OSError):
                await reader.read()
        writer.close()
    assert {why for why, _, _ in house.told.why} == {"malformed", "handshake"}
    assert house.told.gave == []


async def test_no_address_takes_all_seats(house_of):
    """A fourth of them at most, and two in any case; one that is given back is free for the next."""
    async with house_of(connections=8) as house, contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(house.client())
        await stack.enter_async_context(house.client())
        with pytest.raises(OSError):  # noqa: PT011 - as above
            await stack.enter_async_context(house.client())
        other = await stack.enter_async_context(house.client("127.0.0.7"))
        assert (await other.ask(query())).rcode() == 0
        first.writer.transport.abort()
        async with asyncio.timeout(5):
            tasks = house.server._tasks
            while list(tasks.values()).count("127.0.0.1") > 1:  # noqa: ASYNC110 - a number, not an event
                await asyncio.sleep(0.01)
        last = await stack.enter_async_context(house.client())
        assert (await last.ask(query())).rcode() == 0
    assert ("connections", "", "") in house.told.why


async def test_who_does_not_read_is_left(house_of, monkeypatch):
    """Of a long zone only what fits into buffers is made, and the rest is made for nobody."""
    monkeypatch.setattr(room, "STALLED", 0.3)
    async with house_of() as house:
        zone = house.zones["open.rpz.example"] = Zone(4000, 15_000)
        async with house.client() as client:
            client.writer.transport.pause_reading()
            client.send(query().to_wire())
            async with asyncio.timeout(10):
                while not house.told.why:  # noqa: ASYNC110 - a list, not an event
                    await asyncio.sleep(0.02)
        assert house.told.why == [("broken_off", "one", "open")]
        assert zone.made < zone.messages


async def test_who_is_silent_is_left(house_of, monkeypatch):
    """Also in the middle of a question."""
    monkeypatch.setattr(room, "IDLE", 0.2)
    async with house_of() as house, house.client() as client:
        client.writer.write(b"\0")
        assert await client.ended()


async def test_what_has_begun_is_finished_when_the_service_ends(house_of):
    """And whoever waits is not waited for."""
    async with house_of() as house, house.client() as client, house.client("127.0.0.7") as silent:
        zone = house.zones["open.rpz.example"] = Zone(200, 15_000)
        client.send(query().to_wire())
        await client.take()
        closing = asyncio.create_task(house.server.close(10.0))
        assert await silent.ended()
        for _ in range(zone.messages - 1):
            await client.take()
        assert await client.ended()
        async with asyncio.timeout(5):
            await closing
    assert house.told.gave == [("one", "open", "axfr")]
