"""Connections, over TCP and over TLS: answered in any order, and bounded in number, in time and in memory, for each
client.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import weakref
from pathlib import Path
from typing import Any

import pytest
from dnslib import RCODE
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import streams
from filterproxy.dns.asking import TCP
from filterproxy.dns.guest import Back
from filterproxy.dns.server import Serving
from filterproxy.dns.streams import OUTSTANDING
from tests.dns.fakes import bench, ede
from tests.dns.pairs import Files, Pair
from tests.dns.sockets import STRANGERS, Echo, Over, Sockets, Stream, named


@pytest.fixture(params=["tcp", "dot"])
def over(request: pytest.FixtureRequest, tmp_path: Path) -> Over:
    """Return a way for streams."""
    if request.param == "tcp":
        return Over()
    files = Files(tmp_path)
    return Over(files, files.write(Pair()))


async def left(serving: Serving, but: int = 0) -> bool:
    """Tell whether all connections `but` so many end within five seconds."""
    for _ in range(100):
        if len(serving._streams) <= but:
            return True
        await asyncio.sleep(0.05)
    return False


def test_answers_over_tcp_come_as_they_are_ready(run, over):
    """A slow answer holds up no other on the same connection (RFC 7766, section 7)."""

    async def story() -> None:
        async with over.served(Echo()) as (_, sockets):
            stream = await over.to(sockets)
            stream.send(named("slow.example", 1))
            stream.send(named("quick.example", 2))
            assert [(await stream.receive()).header.id for _ in range(2)] == [2, 1]
            stream.close()

    run(story)


def test_one_connection_takes_no_more_than_its_share(run, over):
    """Questions beyond the bound wait in the socket, and are answered later."""

    async def story() -> None:
        echo = Echo()
        async with over.served(echo) as (_, sockets):
            stream = await over.to(sockets)
            for number in range(2 * OUTSTANDING):
                stream.send(named("slow.example", number))
            found = {(await stream.receive()).header.id for _ in range(2 * OUTSTANDING)}
            stream.close()
        assert found == set(range(2 * OUTSTANDING))
        assert echo.most == OUTSTANDING

    run(story)


def test_a_silent_connection_is_closed(run, over):
    """Also one that sends half a message, or asks what is met with silence, and one that never reads."""

    async def story() -> None:
        async with over.served(Echo(), idle=0.2) as (_, sockets):
            streams = [await over.to(sockets) for _ in range(3)]
            streams[1].writer.write(b"\0\x20abc")
            streams[2].send(b"silent")
            assert await asyncio.gather(*(stream.ended() for stream in streams)) == [True] * 3
            for stream in streams:
                stream.close()

    run(story)


def test_what_cannot_hold_a_header_ends_the_connection(run, over):
    """It asks nothing, so it keeps nothing open; what was asked before is still answered."""

    async def story() -> None:
        async with over.served(Echo()) as (_, sockets):
            stream = await over.to(sockets)
            stream.send(named("slow.example", 1))
            stream.writer.write(b"\0\x0b" + bytes(11))
            assert (await stream.receive()).header.id == 1
            assert await stream.ended()
            stream.close()

    run(story)


async def deaf(over: Over, sockets: Sockets) -> Stream:
    """Return a client that reads nothing, where the system keeps next to nothing for it."""
    over.listening(sockets).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stream = await over.to(sockets)
    stream.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return stream


def test_a_client_that_does_not_read_is_given_no_more_and_left(run, over):
    """Questions are begun while there is room for their answers, then none; after the idle time it is left."""

    async def story() -> None:
        echo = Echo()
        async with over.served(echo, idle=0.5) as (serving, sockets):
            stream = await deaf(over, sockets)
            for number in range(OUTSTANDING):
                stream.send(named("big.example", number))
            await asyncio.sleep(0.3)
            assert 1 <= len(echo.clients) <= 8
            begun = len(echo.clients)
            assert await left(serving)
            assert len(echo.clients) == begun
            stream.writer.transport.abort()

    run(story)


def test_answers_that_come_together_do_not_pile_up(run, over):
    """They were all begun while there was room; a client that reads none of them is left at once."""

    async def story() -> None:
        async with over.served(Echo(), idle=15) as (serving, sockets):
            stream = await deaf(over, sockets)
            for number in range(OUTSTANDING):
                stream.send(named("slow-big.example", number))
            await asyncio.sleep(0.1)
            assert len(serving._streams) == 1
            assert await left(serving)
            stream.writer.transport.abort()

    run(story)


def test_a_stranger_is_refused_once_and_then_left(run, over):
    """It gets the one answer there is for it, and no connection to keep."""

    async def story() -> None:
        here = bench(clients=("10.0.0.0/8",))
        async with over.served(here.resolver) as (_, sockets):
            stream = await over.to(sockets)
            stream.send(named("blocked.example", 1))
            stream.send(named("blocked.example", 2))
            reply = await stream.receive()
            assert (RCODE[reply.header.rcode], ede(reply)) == ("REFUSED", 18)
            assert await stream.ended()
            stream.close()
        assert here.counts.events["dns_refused_client"] == 1

    run(story)


def test_all_strangers_have_one_share_of_the_connections(run, over):
    """The next takes the place of the one before, and never that of a client who is served."""

    async def story() -> None:
        async with over.served(Echo(), connections=8) as (_, sockets):
            client = await over.to(sockets)
            strangers = [await over.to(sockets, f"{STRANGERS}{number}") for number in range(9)]
            assert await asyncio.gather(*(item.ended() for item in strangers[:-1])) == [True] * 8
            for item in (client, strangers[-1]):
                item.send(named("quick.example", 7))
                assert (await item.receive()).header.id == 7
            for item in (client, *strangers):
                item.close()

    run(story)


def test_one_client_has_no_more_connections_than_its_share(run, over):
    """Its own connection that asked longest ago makes room, and those of others stay."""

    async def story() -> None:
        async with over.served(Echo(), connections=16) as (_, sockets):
            other = await over.to(sockets, "127.0.0.2")
            first, second = await over.to(sockets), await over.to(sockets)
            first.send(named("quick.example", 1))
            await first.receive()
            third = await over.to(sockets)
            assert await second.ended()
            for item in (other, first, third):
                item.send(named("quick.example", 2))
                assert (await item.receive()).header.id == 2
            for item in (other, first, second, third):
                item.close()

    run(story)


def test_where_all_places_are_taken_the_idlest_makes_room(run, over):
    """Also that of another client; and the place of one that leaves is free again."""

    async def story() -> None:
        async with over.served(Echo(), connections=2) as (serving, sockets):
            first, second = [await over.to(sockets, f"127.0.0.{number}") for number in (1, 2)]
            first.send(named("quick.example", 1))
            await first.receive()
            third = await over.to(sockets, "127.0.0.3")
            assert await second.ended()
            third.close()
            assert await left(serving, but=1)
            fourth = await over.to(sockets, "127.0.0.4")
            for item in (first, fourth):
                item.send(named("quick.example", 2))
                assert (await item.receive()).header.id == 2
            for item in (first, second, fourth):
                item.close()
        for seats in (serving._seats, serving._encrypted_seats):
            assert not seats._all
            assert not seats._of

    run(story)


def test_who_asks_much_and_reads_gets_all_of_it(run, over):
    """However long the answers are that come together, and however many there are from memory."""

    async def story() -> None:
        async with over.served(Echo()) as (_, sockets):
            stream = await over.to(sockets)
            for number in range(2 * OUTSTANDING):
                stream.send(named("big.example", number))
            for _ in range(2 * OUTSTANDING):
                async with asyncio.timeout(5):
                    size = int.from_bytes(await stream.reader.readexactly(2))
                    assert len(await stream.reader.readexactly(size)) == 60_000
            stream.close()
        here = bench(clients=("127.0.0.0/8",))
        async with over.served(here.resolver) as (_, sockets):
            stream = await over.to(sockets)
            for number in range(5000):
                stream.send(named("blocked.example", number))
            assert {(await stream.receive()).header.id for _ in range(5000)} == set(range(5000))
            stream.close()
        assert here.counts.events["dns_memo"] >= 5000 - OUTSTANDING

    run(story)


def test_who_sends_no_more_is_still_answered(run):
    """A client over TCP may close its half as soon as it has asked (RFC 7766, section 6.2.4)."""

    async def story() -> None:
        over = Over()
        async with over.served(Echo()) as (serving, sockets):
            stream = await over.to(sockets)
            stream.send(named("slow.example", 1))
            stream.send(named("quick.example", 2))
            stream.writer.write_eof()
            assert [(await stream.receive()).header.id for _ in range(2)] == [2, 1]
            assert await stream.ended()
            assert await left(serving)
            stream.close()

    run(story)


def test_questions_that_drip_in_end_with_the_idle_time(run, over):
    """A byte now and then is no question, and keeps nothing open."""

    async def story() -> None:
        async with over.served(Echo(), idle=0.3) as (serving, sockets):
            stream = await over.to(sockets)
            begun = asyncio.get_running_loop().time()
            for byte in b"\0\x20" + bytes(20):
                stream.writer.write(bytes((byte,)))
                await asyncio.sleep(0.05)
                if not serving._streams:
                    break
            assert asyncio.get_running_loop().time() - begun < 0.8
            stream.writer.transport.abort()

    run(story)


class Wire(asyncio.Transport):
    """A connection in memory: what is sent on it, and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed, self.reads = b"", False, True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent += data

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True

    def close(self) -> None:
        self.closed, self.reads = True, False

    abort = close


async def fed(pieces: list[bytes], resolver: Any) -> Wire:
    """Return a connection on which `pieces` came."""
    wire, back = Wire(), Back(resolver, 100)
    serves = streams.Stream(back, "127.0.0.1", lambda _: TCP, 10, lambda: None)
    serves.connection_made(wire)
    for piece in pieces:
        for _ in range(100):
            if wire.reads:
                break
            await asyncio.sleep(0)
        if not wire.reads:
            break
        serves.get_buffer(-1)[: len(piece)] = piece
        serves.buffer_updated(len(piece))
    for _ in range(20):
        await asyncio.sleep(0)
    serves.connection_lost(None)
    return wire


@given(st.lists(st.tuples(st.sampled_from(["quick.example", "silent.example", "a.example"]), st.binary(max_size=700))),
       st.lists(st.integers(1, 400), min_size=1))  # fmt: skip
def test_however_a_stream_is_cut_into_pieces_each_question_is_asked_once(asked, sizes):
    """And answered once where it is answered at all."""
    packets = [named(name, number) + more for number, (name, more) in enumerate(asked)]
    rest, pieces, echo = b"".join(len(item).to_bytes(2) + item for item in packets), [], Echo()
    for size in itertools.cycle(sizes):
        if not rest:
            break
        pieces.append(rest[:size])
        rest = rest[size:]
    wire = asyncio.run(fed(pieces, echo))
    expected = [item for item in packets if b"silent" not in item]
    assert wire.sent == b"".join(len(item).to_bytes(2) + item for item in expected)
    assert len(echo.clients) == len(packets)


@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=10))
def test_whatever_comes_on_a_stream_is_answered_or_dropped(pieces):
    """Whole replies are sent back, each begun by its length; nothing is raised."""
    rest = asyncio.run(fed(pieces, bench(clients=("127.0.0.0/8",)).resolver)).sent
    while rest:
        size = int.from_bytes(rest[:2])
        assert size >= 12
        assert rest[4] & 0x80
        assert len(rest) >= 2 + size
        rest = rest[2 + size :]


def test_a_connection_that_ended_leaves_nothing_behind(run, over):
    """No circle of objects either: workers set aside what is old, and of those nothing would ever be freed."""

    async def story() -> None:
        async with over.served(Echo()) as (serving, sockets):
            for ends in (Stream.close, lambda stream: stream.writer.transport.abort()):
                stream = await over.to(sockets)
                stream.send(named("quick.example"))
                await stream.receive()
                (there,) = serving._connected
                served = weakref.ref(there)
                del there
                ends(stream)
                assert await left(serving)
                await asyncio.sleep(0.05)
                assert served() is None

    gc.disable()
    try:
        run(story)
    finally:
        gc.enable()


def test_a_connection_that_is_left_unread_leaves_nothing_behind(run, over):
    """What waited until the client had read is let go of, or it would be a circle."""

    async def story() -> None:
        async with over.served(Echo(), idle=0.5) as (serving, sockets):
            stream = await deaf(over, sockets)
            for number in range(OUTSTANDING):
                stream.send(named("big.example", number))
            await asyncio.sleep(0.2)
            (there,) = serving._connected
            assert there._guest.waiting
            served = weakref.ref(there)
            del there
            assert await left(serving)
            await asyncio.sleep(0.05)
            assert served() is None
            stream.writer.transport.abort()

    gc.disable()
    try:
        run(story)
    finally:
        gc.enable()
