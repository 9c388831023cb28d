"""Sockets of clients: UDP and TCP on one port, on asyncio and on uvloop alike."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import uvloop
from dnslib import RCODE, DNSRecord

from filterproxy.dns.server import OUTSTANDING, Serving, serve
from filterproxy.settings.tables import Dns
from tests.dns.fakes import Bench, Counts, Upstream, bench, query

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request):
    """Return what runs a coroutine function to its end, on a loop of each kind."""

    def runs(story: Callable[[], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(story(), 20))

    return runs


class Sockets:
    """A UDP and a TCP socket on one port, as the supervisor hands them over."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.address = self.tcp.getsockname()
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(self.address)

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()


@contextlib.asynccontextmanager
async def served(resolver, **settings) -> AsyncIterator[tuple[Serving, Sockets]]:
    sockets = Sockets()
    serving = await serve(resolver, [sockets.udp], [sockets.tcp], Dns(**settings))
    try:
        yield serving, sockets
    finally:
        await serving.close(1)
        sockets.close()


async def over_udp(address, packet: bytes, wait: float = 2) -> bytes:
    with socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(address)
        sock.send(packet)
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), wait)


class Stream:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, address) -> Stream:
        return cls(*await asyncio.open_connection(*address))

    def send(self, packet: bytes) -> None:
        self.writer.write(len(packet).to_bytes(2) + packet)

    async def receive(self) -> DNSRecord:
        async with asyncio.timeout(5):
            return DNSRecord.parse(await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2))))

    async def ended(self) -> bool:
        """Tell whether the other side has closed, within two seconds."""
        try:
            async with asyncio.timeout(2):
                return await self.reader.read() == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


class Echo:
    """Answers with the packet itself; what begins with `s` a moment later. Counts."""

    def __init__(self) -> None:
        self.count = Counts()
        self.clients: list[tuple[str, bool]] = []
        self.busy = self.most = 0

    async def answer(self, packet: bytes, client: str, tcp: bool = False) -> bytes | None:
        self.clients.append((client, tcp))
        self.busy += 1
        self.most = max(self.most, self.busy)
        if b"slow" in packet:
            await asyncio.sleep(0.2)
        self.busy -= 1
        return None if b"silent" in packet else packet


def named(name: str, ident: int = 1) -> bytes:
    return bytes(query(name, ident=ident).pack())


def test_a_question_is_answered_over_udp_and_tcp(run):
    """The resolver behind both is one; forwarding to an upstream works on either loop."""

    async def story() -> None:
        lines = "\n".join(f'fine.example 60 IN TXT "{number:050d}"' for number in range(40))
        async with Upstream({("fine.example", "TXT"): lines}) as upstream:
            here: Bench = bench(upstream.address)
            async with served(here.resolver) as (_, sockets):
                blocked = DNSRecord.parse(await over_udp(sockets.address, named("blocked.example")))
                fine = bytes(query("fine.example", "TXT").pack())
                cut = DNSRecord.parse(await over_udp(sockets.address, fine))
                stream = await Stream.to(sockets.address)
                stream.send(fine)
                whole = await stream.receive()
                stream.close()
        assert RCODE[blocked.header.rcode] == "NXDOMAIN"
        assert (cut.header.tc, len(whole.rr)) == (1, 40)
        assert here.counts.events["dns_tcp_connections"] == 1

    run(story)


def test_answers_over_tcp_come_as_they_are_ready(run):
    """A slow answer holds up no other on the same connection (RFC 7766, section 7)."""

    async def story() -> None:
        async with served(Echo()) as (_, sockets):
            stream = await Stream.to(sockets.address)
            stream.send(named("slow.example", 1))
            stream.send(named("quick.example", 2))
            assert [(await stream.receive()).header.id for _ in range(2)] == [2, 1]
            stream.close()

    run(story)


def test_one_connection_takes_no_more_than_its_share(run):
    """Questions beyond the bound wait in the socket, and are answered later."""

    async def story() -> None:
        echo = Echo()
        async with served(echo) as (_, sockets):
            stream = await Stream.to(sockets.address)
            for number in range(2 * OUTSTANDING):
                stream.send(named("slow.example", number))
            found = {(await stream.receive()).header.id for _ in range(2 * OUTSTANDING)}
            stream.close()
        assert found == set(range(2 * OUTSTANDING))
        assert echo.most == OUTSTANDING

    run(story)


def test_a_silent_connection_is_closed(run):
    """Also one that sends half a message, or asks what is met with silence, and one that never reads."""

    async def story() -> None:
        async with served(Echo(), tcp_idle=timedelta(seconds=0.2)) as (_, sockets):
            streams = [await Stream.to(sockets.address) for _ in range(3)]
            streams[1].writer.write(b"\0\x20abc")
            streams[2].send(b"silent")
            assert await asyncio.gather(*(stream.ended() for stream in streams)) == [True] * 3
            for stream in streams:
                stream.close()

    run(story)


def test_a_client_that_does_not_read_is_left(run):
    """Its answers do not pile up in our memory."""

    async def story() -> None:
        async with served(Echo(), tcp_idle=timedelta(seconds=0.2)) as (serving, sockets):
            stream = await Stream.to(sockets.address)
            stream.reader._limit = 1  # type: ignore[attr-defined]  # the client's loop stops reading too
            with contextlib.suppress(ConnectionError):
                for _ in range(800):
                    stream.send(bytes(60_000))
                    await asyncio.wait_for(stream.writer.drain(), 2)
            for _ in range(100):
                if not serving._streams:
                    break
                await asyncio.sleep(0.05)
            assert not serving._streams
            stream.writer.transport.abort()

    run(story)


def test_more_connections_than_allowed_are_closed_at_once(run):
    """Those before them are served on, and their places become free again."""

    async def story() -> None:
        async with served(Echo(), tcp_connections=2) as (_, sockets):
            first, second = await Stream.to(sockets.address), await Stream.to(sockets.address)
            third = await Stream.to(sockets.address)
            assert await third.ended()
            first.send(named("quick.example", 7))
            assert (await first.receive()).header.id == 7
            second.close()
            await asyncio.sleep(0.1)
            fourth = await Stream.to(sockets.address)
            fourth.send(named("quick.example", 8))
            assert (await fourth.receive()).header.id == 8
            for stream in (first, third, fourth):
                stream.close()

    run(story)


def test_closing_answers_what_was_taken_and_leaves_the_rest_in_the_socket(run):
    """The next who gets the sockets answers what came meanwhile: nothing queued is lost."""

    async def story() -> None:
        sockets = Sockets()
        first = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())
        stream = await Stream.to(sockets.address)
        stream.send(named("slow.example", 1))
        taken = asyncio.create_task(over_udp(sockets.address, named("slow.example", 2)))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(first.close(2))
        await asyncio.sleep(0)
        queued = asyncio.create_task(over_udp(sockets.address, named("quick.example", 3)))
        waiting = await Stream.to(sockets.address)
        waiting.send(named("quick.example", 4))
        await closing
        assert (await stream.receive()).header.id == 1
        assert (await taken)[:2] == b"\0\2"
        assert await stream.ended()
        second = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())
        assert (await queued)[:2] == b"\0\3"
        assert (await waiting.receive()).header.id == 4
        await second.close(0.1)
        for item in (stream, waiting):
            item.close()
        sockets.close()

    run(story)


def test_closing_does_not_wait_beyond_its_time(run):
    """What is not answered by then is given up."""

    async def story() -> None:
        class Never(Echo):
            async def answer(self, *_: object) -> None:
                await asyncio.sleep(60)

        sockets = Sockets()
        serving = await serve(Never(), [sockets.udp], [sockets.tcp], Dns())
        stream = await Stream.to(sockets.address)
        stream.send(named("x.example"))
        with pytest.raises(TimeoutError):
            await over_udp(sockets.address, named("x.example"), wait=0.1)
        before = asyncio.get_running_loop().time()
        await serving.close(0.1)
        assert asyncio.get_running_loop().time() - before < 2
        assert not serving._datagrams | serving._streams
        stream.close()
        sockets.close()

    run(story)


def test_a_flood_of_slow_questions_is_bounded(run):
    """Beyond the bound datagrams are dropped and counted; the client asks again."""

    async def story() -> None:
        echo = Echo()
        async with served(echo, max_inflight=5) as (_, sockets):
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.connect(sockets.address)
                for number in range(50):
                    sock.send(named("slow.example", number))
                await asyncio.sleep(0.1)
        assert echo.most == 10
        assert echo.count.events["dns_overload"] == 40

    run(story)
