"""TCP connections: answered in any order, and bounded in number, in time and in memory, for each client."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

from dnslib import RCODE

from filterproxy.dns.server import Serving
from filterproxy.dns.streams import OUTSTANDING
from tests.dns.fakes import bench, ede
from tests.dns.sockets import STRANGERS, Echo, Sockets, Stream, named, served


async def left(serving: Serving, but: int = 0) -> bool:
    """Tell whether all connections `but` so many end within five seconds."""
    for _ in range(100):
        if len(serving._streams) <= but:
            return True
        await asyncio.sleep(0.05)
    return False


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


def test_what_cannot_hold_a_header_ends_the_connection(run):
    """It asks nothing, so it keeps nothing open; what was asked before is still answered."""

    async def story() -> None:
        async with served(Echo()) as (_, sockets):
            stream = await Stream.to(sockets.address)
            stream.send(named("slow.example", 1))
            stream.writer.write(b"\0\x0b" + bytes(11))
            assert (await stream.receive()).header.id == 1
            assert await stream.ended()
            stream.close()

    run(story)


async def deaf(sockets: Sockets) -> Stream:
    """Return a client that reads nothing, where the system keeps next to nothing for it."""
    sockets.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = await Stream.to(sockets.address)
    stream.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return stream


def test_a_client_that_does_not_read_is_given_no_more_and_left(run):
    """Questions are begun while there is room for their answers, then none; after the idle time it is left."""

    async def story() -> None:
        echo = Echo()
        async with served(echo, tcp_idle=timedelta(seconds=0.5)) as (serving, sockets):
            stream = await deaf(sockets)
            for number in range(OUTSTANDING):
                stream.send(named("big.example", number))
            await asyncio.sleep(0.3)
            assert 1 <= len(echo.clients) <= 8
            begun = len(echo.clients)
            assert await left(serving)
            assert len(echo.clients) == begun
            stream.writer.transport.abort()

    run(story)


def test_answers_that_come_together_do_not_pile_up(run):
    """They were all begun while there was room; a client that reads none of them is left at once."""

    async def story() -> None:
        async with served(Echo(), tcp_idle=timedelta(seconds=15)) as (serving, sockets):
            stream = await deaf(sockets)
            for number in range(OUTSTANDING):
                stream.send(named("slow-big.example", number))
            await asyncio.sleep(0.1)
            assert len(serving._streams) == 1
            assert await left(serving)
            stream.writer.transport.abort()

    run(story)


def test_a_stranger_is_refused_once_and_then_left(run):
    """It gets the one answer there is for it, and no connection to keep."""

    async def story() -> None:
        here = bench(clients=("10.0.0.0/8",))
        async with served(here.resolver) as (_, sockets):
            stream = await Stream.to(sockets.address)
            stream.send(named("blocked.example", 1))
            stream.send(named("blocked.example", 2))
            reply = await stream.receive()
            assert (RCODE[reply.header.rcode], ede(reply)) == ("REFUSED", 18)
            assert await stream.ended()
            stream.close()
        assert here.counts.events["dns_refused_client"] == 1

    run(story)


def test_all_strangers_have_one_share_of_the_connections(run):
    """The next takes the place of the one before, and never that of a client who is served."""

    async def story() -> None:
        async with served(Echo(), tcp_connections=8) as (_, sockets):
            client = await Stream.to(sockets.address)
            strangers = [await Stream.to(sockets.address, f"{STRANGERS}{number}") for number in range(9)]
            assert await asyncio.gather(*(item.ended() for item in strangers[:-1])) == [True] * 8
            for item in (client, strangers[-1]):
                item.send(named("quick.example", 7))
                assert (await item.receive()).header.id == 7
            for item in (client, *strangers):
                item.close()

    run(story)


def test_one_client_has_no_more_connections_than_its_share(run):
    """Its own connection that asked longest ago makes room, and those of others stay."""

    async def story() -> None:
        async with served(Echo(), tcp_connections=16) as (_, sockets):
            other = await Stream.to(sockets.address, "127.0.0.2")
            first, second = await Stream.to(sockets.address), await Stream.to(sockets.address)
            first.send(named("quick.example", 1))
            await first.receive()
            third = await Stream.to(sockets.address)
            assert await second.ended()
            for item in (other, first, third):
                item.send(named("quick.example", 2))
                assert (await item.receive()).header.id == 2
            for item in (other, first, second, third):
                item.close()

    run(story)


def test_where_all_places_are_taken_the_idlest_makes_room(run):
    """Also that of another client; and the place of one that leaves is free again."""

    async def story() -> None:
        async with served(Echo(), tcp_connections=2) as (serving, sockets):
            first, second = [await Stream.to(sockets.address, f"127.0.0.{number}") for number in (1, 2)]
            first.send(named("quick.example", 1))
            await first.receive()
            third = await Stream.to(sockets.address, "127.0.0.3")
            assert await second.ended()
            third.close()
            assert await left(serving, but=1)
            fourth = await Stream.to(sockets.address, "127.0.0.4")
            for item in (first, fourth):
                item.send(named("quick.example", 2))
                assert (await item.receive()).header.id == 2
            for item in (first, second, fourth):
                item.close()
        assert not serving._seats._all
        assert not serving._seats._of

    run(story)
