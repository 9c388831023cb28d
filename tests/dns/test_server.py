"""Sockets of clients: UDP and TCP on one port, on asyncio and on uvloop alike."""

from __future__ import annotations

import asyncio
import socket

import pytest
from dnslib import RCODE, DNSRecord

from filterproxy.dns.server import serve
from filterproxy.settings.dns import Dns
from tests.dns.fakes import Bench, Upstream, bench, query
from tests.dns.sockets import Echo, Sockets, Stream, named, over_udp, served


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


def test_closing_answers_what_was_taken_and_leaves_the_rest_in_the_socket(run):
    """The next who gets the sockets answers what came meanwhile: nothing queued is lost."""

    async def story() -> None:
        sockets = Sockets()
        first = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
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
        second = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        assert (await queued)[:2] == b"\0\3"
        assert (await waiting.receive()).header.id == 4
        await second.close(0.1)
        for item in (stream, waiting):
            item.close()
        sockets.close()

    run(story)


def test_closing_answers_what_was_sent_on_connections_that_are_open(run):
    """The next who gets the sockets cannot have it: it waits in the connection, which is ours."""

    async def story() -> None:
        sockets = Sockets()
        serving = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        streams = [await Stream.to(sockets.address) for _ in range(20)]
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(serving.close(2))
        await asyncio.sleep(0.02)  # as long as a question is on its way
        for number, stream in enumerate(streams):
            stream.send(named("slow.example", number))
        assert [(await stream.receive()).header.id for stream in streams] == list(range(20))
        await closing
        for stream in streams:
            assert await stream.ended()
            stream.close()
        sockets.close()

    run(story)


def test_closing_does_not_wait_beyond_its_time(run):
    """What is not answered by then is given up."""

    async def story() -> None:
        class Never(Echo):
            def answer(self, *_: object) -> None:
                pass

        sockets = Sockets()
        serving = await serve(Never(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        stream = await Stream.to(sockets.address)
        stream.send(named("x.example"))
        with pytest.raises(TimeoutError):
            await over_udp(sockets.address, named("x.example"), wait=0.1)
        before = asyncio.get_running_loop().time()
        await serving.close(0.1)
        assert asyncio.get_running_loop().time() - before < 2
        assert not serving._streams
        stream.close()
        sockets.close()

    run(story)


def test_a_flood_of_slow_questions_is_bounded(run):
    """Beyond the bound datagrams are dropped and counted; the client asks again."""

    async def story() -> None:
        echo = Echo()
        async with served(echo, max_inflight=40) as (_, sockets):
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.connect(sockets.address)
                for number in range(50):
                    sock.send(named("slow.example", number))
                await asyncio.sleep(0.1)
        assert echo.most == 10
        assert echo.count.events["dns_overload"] == 40

    run(story)
