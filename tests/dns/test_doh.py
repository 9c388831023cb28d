"""DNS over HTTPS on a connection: answered in any order, and bounded in time and in memory, as over TCP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import socket
import weakref
from collections.abc import AsyncIterator
from typing import cast

import pytest
from dnslib import RCODE, DNSRecord

from filterproxy.dns.doh import Doh
from filterproxy.dns.doh_words import Site
from filterproxy.dns.guest import Back
from filterproxy.dns.http2.frames import PING, frame
from filterproxy.dns.http2.heads import Heads
from filterproxy.dns.resolver import Resolver
from tests.dns.fakes import CLIENT, Bench, bench, ede
from tests.dns.http2.client import Answer, Client
from tests.dns.sockets import named

MEDIA = ("content-type", "application/dns-message")
TOGETHER = 40


class Never:
    """Asks nobody, and tells that it was to."""

    def __init__(self) -> None:
        self.met = asyncio.Event()

    def ask(self, query: object, then: object) -> None:
        self.met.set()


class Served:
    """What serves connections on a socket of a test, as `Serving` does inside TLS."""

    def __init__(self, resolver: Resolver, client: str, idle: float) -> None:
        self.back = Back(resolver, 1000)
        self.heads = Heads(Site("/dns-query", frozenset({"default"})).understand)
        self.client, self.idle = client, idle
        self.connections: list[Doh] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.asked = 0
        self.port = 0

    def made(self) -> Doh:
        self.connections.append(Doh(self.back, self.client, self.heads, self.idle, self._asked))
        return self.connections[-1]

    def _asked(self) -> None:
        self.asked += 1


@contextlib.asynccontextmanager
async def served(here: Bench, client: str = CLIENT, idle: float = 5.0) -> AsyncIterator[Served]:
    side = Served(here.resolver, client, idle)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    side.port = sock.getsockname()[1]
    server = await asyncio.get_running_loop().create_server(side.made, sock=sock)
    try:
        yield side
    finally:
        server.close()
        for one in side.connections:
            if not one.done.done():
                one._transport.abort()
        for writer in side.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


class Browser(Client):
    """A client on a socket."""

    @classmethod
    async def to(cls, side: Served, *, update: bool = True) -> Browser:
        made = cls(update=update)
        made.reader, made.writer = await asyncio.open_connection("127.0.0.1", side.port)
        side.writers.append(made.writer)
        made.h2.initiate_connection()
        return made

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def get(self, packet: bytes, path: str = "/dns-query") -> int:
        text = base64.urlsafe_b64encode(packet).decode().rstrip("=")
        return self.ask(f"{path}?dns={text}")

    def post(self, packet: bytes, path: str = "/dns-query") -> int:
        return self.ask(path, packet, MEDIA, ("content-length", str(len(packet))))

    def send(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def until(self, *streams: int) -> list[Answer]:
        """Return the answers of those streams, within five seconds."""
        self.send()
        async with asyncio.timeout(5):
            while not all(self.answers[stream].ended for stream in streams):
                data = await self.reader.read(65_536)
                assert data, "the connection ended"
                self.receive(data)
                self.send()
        return [self.answers[stream] for stream in streams]

    async def ended(self) -> bool:
        """Tell whether the other side closes, within three seconds."""
        try:
            async with asyncio.timeout(3):
                while data := await self.reader.read(65_536):
                    self.receive(data)
                return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def rcode(answer: Answer) -> str:
    assert answer.head[b"content-type"] == b"application/dns-message"
    assert int(answer.head[b"content-length"]) == len(answer.body)
    return cast("str", RCODE[DNSRecord.parse(answer.body).header.rcode])


def test_questions_are_answered_by_get_and_by_post(run):
    """Blocked names too, by 200, and both ways alike; the second time from memory."""

    async def story() -> None:
        here = bench()
        async with served(here) as side:
            client = await Browser.to(side)
            for _ in range(3):
                asked = named("x.blocked.example", 7)
                found = await client.until(client.get(asked), client.post(asked))
                assert [(one.status, rcode(one), one.body[:2]) for one in found] == [(200, "NXDOMAIN", b"\0\7")] * 2
                assert found[0].body == found[1].body
                assert found[0].head[b"cache-control"] == b"private, max-age=60"
            assert side.asked >= 3
        assert here.counts.events["dns_queries"] == 6
        assert here.counts.events["dns_memo"] >= 4
        assert len(here.counts.verdicts) == 6

    run(story)


def test_a_slow_answer_holds_up_no_other(run):
    """Each has a stream; those that nobody answers stay open."""

    async def story() -> None:
        here = bench(rest=Never())
        async with served(here) as side:
            client = await Browser.to(side)
            slow = [client.get(named(f"n{number}.example")) for number in range(TOGETHER)]
            (quick,) = await client.until(client.get(named("blocked.example")))
            assert rcode(quick) == "NXDOMAIN"
            assert not any(client.answers[stream].ended for stream in slow)

    run(story)


def test_a_profile_may_be_chosen_by_the_path(run):
    """Only one that may: others are not there."""

    async def story() -> None:
        async with served(bench()) as side:
            client = await Browser.to(side)
            streams = [client.get(named("blocked.example"), f"/dns-query/{name}") for name in ("default", "other")]
            found = await client.until(*streams)
            assert [one.status for one in found] == [200, 404]
            assert rcode(found[0]) == "NXDOMAIN"

    run(story)


def test_what_is_no_question_gets_its_status(run):
    """400, 404, 405, 413, 414 and 415; the connection goes on, and they are counted."""

    async def story() -> None:
        here = bench()
        async with served(here) as side:
            client = await Browser.to(side)
            asked = named("blocked.example")
            answer = asked[:2] + b"\x81\x80" + asked[4:]
            streams = [
                client.get(b"x" * 11), client.get(answer), client.post(b"x"), client.post(answer),
                client.get(asked, "/elsewhere"), client.ask("/dns-query", None, method="DELETE"),
                client.get(bytes(4000)), client.ask("/dns-query", asked, ("content-type", "text/plain")),
            ]  # fmt: skip
            found = await client.until(*streams)
            assert [one.status for one in found] == [400, 400, 400, 400, 404, 405, 414, 415]
            long = client.ask("/dns-query", bytes(65_535), MEDIA, ("content-length", "70000"), ends=False)
            found = await client.until(long, client.get(asked))
            assert [one.status for one in found] == [413, 200]
        assert here.counts.events["dns_doh_refused"] == 9

    run(story)


def test_a_stranger_is_refused_once_and_then_left(run):
    """It gets the one answer there is for it, and no connection to keep."""

    async def story() -> None:
        async with served(bench(clients=("10.0.0.0/8",))) as side:
            client = await Browser.to(side)
            first, second = client.get(named("blocked.example")), client.get(named("blocked.example"))
            (found,) = await client.until(first)
            assert (rcode(found), ede(DNSRecord.parse(found.body))) == ("REFUSED", 18)
            assert await client.ended()
            assert not client.answers[second].ended

    run(story)


def test_a_silent_connection_is_closed(run):
    """Also one that sends pings, half a question, or nothing from the first; it is told that we leave."""

    async def story() -> None:
        async with served(bench(), idle=0.3) as side:
            clients = [await Browser.to(side) for _ in range(4)]
            clients[1].send()
            clients[2].ask("/dns-query", None)
            clients[2].writer.write(clients[2].h2.data_to_send()[:-3])
            clients[3].send()

            async def pings() -> None:
                for _ in range(20):
                    if not clients[3].writer.transport.is_closing():
                        clients[3].writer.write(frame(PING, 0, 0, bytes(8)))
                    await asyncio.sleep(0.05)

            ping = asyncio.create_task(pings())
            assert await asyncio.gather(*(client.ended() for client in clients)) == [True] * 4
            assert clients[1].goaway == 0
            await ping

    run(story)


def test_a_client_that_does_not_read_is_given_no_more_and_left(run):
    """Its windows are wide open, but it reads nothing: some answers are made, then none, and in the end it is left."""

    async def story() -> None:
        here = bench()
        async with served(here, idle=0.6) as side:
            client = await Browser.to(side, update=False)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.h2.increment_flow_control_window(2**30)
            while not side.connections or not side.connections[0]._choked:
                for _ in range(100):
                    client.get(named("blocked.example"))
                client.send()
                client.h2.streams.clear()  # as if answered: it asks on and on
                await asyncio.sleep(0)
            (one,) = side.connections
            begun = here.counts.events["dns_queries"]
            async with asyncio.timeout(5):
                await one.done
            assert here.counts.events["dns_queries"] == begun

    run(story)


def test_a_client_without_http2_is_told_so(run):
    """Whoever speaks HTTP/1.1 gets a short answer in it; and is counted."""

    async def story() -> None:
        here = bench()
        async with served(here) as side:
            reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
            writer.write(b"GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: dns.example\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.read()).startswith(b"HTTP/1.1 505 ")
            side.writers.append(writer)
        assert here.counts.events["dns_doh_broken"] == 1

    run(story)


def test_who_breaks_a_rule_is_told_and_left(run):
    """By a GOAWAY that says which; and is counted."""

    async def story() -> None:
        here = bench()
        async with served(here) as side:
            client = await Browser.to(side)
            client.send()
            client.writer.write(frame(PING, 0, 0, bytes(7)))
            assert await client.ended()
            assert client.goaway == 6
        assert here.counts.events["dns_doh_broken"] == 1

    run(story)


def test_closing_answers_what_was_asked(run):
    """Also what comes a moment later; then the connection ends, with a word."""

    async def story() -> None:
        async with served(bench()) as side:
            client = await Browser.to(side)
            await client.until(client.get(named("blocked.example")))
            side.connections[0].finish()
            (late,) = await client.until(client.get(named("blocked.example")))
            assert rcode(late) == "NXDOMAIN"
            assert await client.ended()
            assert client.goaway == 0
            await asyncio.wait_for(side.connections[0].done, 2)

    run(story)


def test_a_client_that_goes_leaves_nothing_behind(run):
    """Its questions are answered for nobody, and nothing is raised."""

    async def story() -> None:
        never = Never()
        async with served(bench(rest=never)) as side:
            client = await Browser.to(side)
            client.get(named("n1.example"))
            client.send()
            async with asyncio.timeout(5):
                await never.met.wait()
            client.writer.transport.abort()
            async with asyncio.timeout(5):
                await side.connections[0].done
            side.connections[0]._answered(1, bytes(20))
            await asyncio.sleep(0.01)

    run(story)


@pytest.mark.parametrize("path", ["/elsewhere", "/dns-query/default"])
def test_a_stranger_gets_one_answer_whatever_it_asks(run, path):
    """Neither what is no question nor a profile that it may not choose keeps its connection."""

    async def story() -> None:
        async with served(bench(clients=("10.0.0.0/8",))) as side:
            client = await Browser.to(side)
            first, second = client.get(named("blocked.example"), path), client.get(named("blocked.example"), path)
            await client.until(first)
            assert await client.ended()
            assert not client.answers[second].ended

    run(story)


def test_a_connection_that_ended_leaves_no_circle(run):
    """Workers set aside what is old (see runtime/garbage.py), and of circles there nothing would ever be freed."""

    async def story() -> None:
        async with served(bench()) as side:
            client = await Browser.to(side)
            await client.until(client.get(named("blocked.example")))
            (one,) = side.connections
            http, done = weakref.ref(one._http), one.done
            client.writer.transport.abort()
            async with asyncio.timeout(5):
                await done
            side.connections.clear()
            del one
            await asyncio.sleep(0.05)
            assert http() is None

    gc.disable()
    try:
        run(story)
    finally:
        gc.enable()


def test_what_comes_behind_the_end_is_not_counted_as_a_mistake(run):
    """A client that was left politely, or told of its mistake already, makes no other."""

    async def story() -> None:
        here = bench()
        async with served(here) as side:
            client = await Browser.to(side)
            await client.until(client.get(named("blocked.example")))
            (one,) = side.connections
            one.leave()
            await asyncio.sleep(0)
            one.data_received(frame(PING, 0, 0, bytes(8)))
            assert await client.ended()
            assert here.counts.events["dns_doh_broken"] == 0

    run(story)
