"""A client's connection: order, bounds, waits, and what becomes of it when somebody is gone."""

from __future__ import annotations

import asyncio
import gc

import pytest

from filterproxy.gateway.client import Client
from filterproxy.gateway.exchange import Exchange
from tests.gateway.pairs import run
from tests.gateway.street import PAGE, Street, body_of, street, until

HOST = b"Host: x\r\n"


def told(story, **how) -> None:
    """Run a story on a street."""

    async def within() -> None:
        async with street(**how) as found:
            await story(found)

    run("uvloop", within)


def get(found: Street, path: str, host: str = "ok.example", more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (found.url(host, path).encode(), HOST, more)


def test_requests_sent_ahead_are_answered_in_their_order():
    """Blocked ones among them, however long the origin takes for the others."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            await asyncio.sleep(0.05 if b"/slow" in head else 0)
            body = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        found.shop.handle = handle
        caller = await found.call()
        caller.send(
            get(found, "/slow"), get(found, "/", "blocked.example"), get(found, "/2"), get(found, "/listed",
                "pages.example"),
            get(found, "/", "blocked.example"), get(found, "/3"),
        )  # fmt: skip
        replies = [await caller.reply() for _ in range(6)]
        assert [reply.status for reply in replies] == [200, 403, 200, 451, 403, 200]
        assert [reply.body for reply in replies if reply.status == 200] == [b"/slow", b"/2", b"/3"]

    told(story)


@pytest.mark.parametrize("cut", [1, 7, 100, 20_000])
def test_requests_come_in_any_pieces(cut):
    """Heads, bodies and what follows them, a few bytes at a time or all at once."""

    async def story(found: Street) -> None:
        bodies: list[bytes] = []

        async def handle(reader, writer, head) -> None:
            bodies.append(await body_of(reader, head))
            writer.write(PAGE)

        found.shop.handle = handle
        post = b"POST %b HTTP/1.1\r\n%bContent-Length: 40000\r\n\r\n" % (found.url("ok.example").encode(), HOST)
        stream = get(found, "/1") + post + b"y" * 40_000 + get(found, "/2") + get(found, "/3")
        stream = stream if cut > 10 else stream.replace(b"40000", b"00400").replace(b"y" * 40_000, b"y" * 400)
        caller = await found.call()

        async def send() -> None:
            for at in range(0, len(stream), cut):
                caller.send(stream[at : at + cut])
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        assert [(await caller.reply()).body for _ in range(4)] == [b"page"] * 4
        await sending
        assert bodies == [b"", b"y" * (40_000 if cut > 10 else 400), b"", b""]

    told(story)


def test_what_is_sent_ahead_waits_unread():
    """A client that sends a thousand requests at once costs no more than a few."""

    async def story(found: Street) -> None:
        gate = asyncio.Event()

        async def handle(reader, writer, head) -> None:
            await gate.wait()
            writer.write(PAGE)

        found.shop.handle = handle
        caller = await found.call()
        requests = b"".join(get(found, f"/{number}") for number in range(3000))
        caller.send(requests)
        await asyncio.sleep(0.3)
        (client,) = [item for item in found.house.sweeper._all if isinstance(item, Client)]
        assert len(client._queue) < 400
        assert len(client._held) < 300_000
        gate.set()
        for _ in range(3000):
            assert (await caller.reply()).status == 200

    told(story)


def test_a_slow_client_makes_the_origin_wait():
    """What it does not read is not read from the origin either, but for what fits into buffers."""

    async def story(found: Street) -> None:
        sent = 0

        async def handle(reader, writer, head) -> bool:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1000):
                writer.write(b"x" * 100_000)
                await writer.drain()
                sent += 100_000
            return True

        found.shop.handle = handle
        caller = await found.call()
        caller.send(get(found, "/"))
        await asyncio.sleep(0.7)
        before = sent
        await asyncio.sleep(0.3)
        assert before == sent < 50_000_000
        reply = await caller.reply()
        assert len(reply.body) == 100_000_000

    told(story)


def test_who_reads_no_answer_is_given_no_more():
    """However many listed pages it asks for: notices are longer than what asks for them."""

    async def story(found: Street) -> None:
        caller = await found.call()
        requests = get(found, "/", "blocked.example") * 20_000
        caller.send(requests)
        await asyncio.sleep(1)
        (client,) = [item for item in found.house.sweeper._all if isinstance(item, Client)]
        assert client.choked
        assert client.transport.get_write_buffer_size() < 3_000_000
        assert len(client._held) < 300_000
        asked = found.counts.events["notices"]
        assert asked < 2000
        for _ in range(asked + 1000):
            assert (await caller.reply()).status == 403

    told(story)


def test_a_slow_origin_makes_the_client_wait():
    """Its body is read no faster than the origin takes it, and comes through whole."""

    async def story(found: Street) -> None:
        gate = asyncio.Event()
        got: list[int] = []

        async def handle(reader, writer, head) -> None:
            await gate.wait()
            got.append(len(await body_of(reader, head)))
            writer.write(PAGE)

        found.shop.handle = handle
        caller = await found.call()
        head = f"POST {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"
        caller.send(head.encode())
        for _ in range(500):
            caller.send(b"x" * 100_000)
        await asyncio.sleep(0.5)
        assert caller.writer.transport.get_write_buffer_size() > 10_000_000
        gate.set()
        assert (await caller.reply()).status == 200
        assert got == [50_000_000]

    told(story)


def test_a_client_that_has_said_all_may_still_read_its_answer():
    """A half-closed connection is served to its end."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            await asyncio.sleep(0.05)
            writer.write(PAGE)

        found.shop.handle = handle
        caller = await found.call()
        caller.send(get(found, "/1") + get(found, "/2"))
        caller.writer.write_eof()
        assert [(await caller.reply()).body for _ in range(2)] == [b"page", b"page"]
        assert not await caller.ended()

    told(story)


@pytest.mark.parametrize(("when", "how"), [
    ("head", "close"), ("body", "close"), ("head", "reset"), ("dialling", "reset"), ("body", "reset"), ("waiting",
        "reset"),
    ("answer", "reset"),
])  # fmt: skip
def test_whenever_a_client_vanishes_nothing_is_left(when, how):
    """No connection, no place, nothing that waits; the street is empty at the end of every story."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            if when == "answer":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 1000)
            await reader.read()
            return True

        found.shop.handle = handle
        caller = await found.call()
        post = f"POST {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nxx".encode()
        caller.send({"head": b"GET http://ok", "body": post}.get(when, get(found, "/")))
        if when != "dialling":
            await asyncio.sleep(0.05)
        getattr(caller, how)()
        await found.empty()
        assert len(found.house.pool) == 0

    told(story)


@pytest.mark.parametrize(("sent", "status"), [(b"", None), (b"GET http://ok.exa", 408), (b"\r\n", 408)])
def test_a_head_must_come_within_its_time(sent, status):
    """From its first byte on; whoever says nothing is left without a word."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(sent)
        if status is None:
            assert await caller.rest() == b""
        else:
            assert (await caller.reply()).status == status

    told(story, gateway={"limits": {"head": 1, "idle": 1}})


def test_a_head_that_trickles_does_not_get_more_time():
    """Slowloris: a byte now and then is no progress."""

    async def story(found: Street) -> None:
        caller = await found.call()
        start = asyncio.get_running_loop().time()
        caller.send(b"GET http://ok.example/ HTTP/1.1\r\n")

        async def trickle() -> None:
            while True:
                caller.send(b"X: y\r\n")
                await asyncio.sleep(0.2)

        task = asyncio.create_task(trickle())
        assert (await caller.reply()).status == 408
        assert asyncio.get_running_loop().time() - start < 3
        task.cancel()

    told(story, gateway={"limits": {"head": 1}})


def test_a_connection_is_not_kept_idle_for_ever():
    """Nor one whose body stands still."""

    async def story(found: Street) -> None:
        caller, other = await found.call(), await found.call()
        await caller.get(found.url("ok.example"))
        other.send(f"POST {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx".encode())
        assert await caller.rest() == b""
        await other.ended()

    told(story, gateway={"limits": {"idle": 1}})


def test_a_head_has_a_length_at_most():
    """431, whatever it consists of."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(b"GET http://ok.example/ HTTP/1.1\r\n" + b"X: %b\r\n" % (b"y" * 90_000))
        assert (await caller.reply()).status == 431
        await caller.ended()
        assert found.shop.heads == []

    told(story)


def test_a_client_has_so_many_places():
    """One more is sent away at once; where one is given up there is room again."""

    async def story(found: Street) -> None:
        one, two = await found.call(), await found.call()
        assert (await one.get(found.url("ok.example"))).status == 200
        assert (await two.get(found.url("ok.example"))).status == 200
        third = await found.call()
        assert await third.rest() == b""
        one.close()
        await until(lambda: found.house.seats.taken == 1)
        assert (await (await found.call()).get(found.url("ok.example"))).status == 200
        assert found.counts.events["http_over_limit"] == 1

    told(story, gateway={"limits": {"per_client": 2}})


def test_who_is_not_served_is_told_so():
    """403 to everything, also to what is listed."""

    async def story(found: Street) -> None:
        caller = await found.call()
        assert (await caller.get(found.url("ok.example"))).status == 403
        assert (await caller.get(found.url("blocked.example"))).status == 403
        assert found.counts.events["http_refused_client"] == 2
        assert found.counts.verdicts == []

    told(story, gateway={"clients": ["10.0.0.0/8"]})


def test_nothing_is_left_of_a_connection_once_it_is_gone():
    """No circle that only the collector would find."""

    async def story(found: Street) -> None:
        caller = await found.call()
        await caller.get(found.url("ok.example"))
        await caller.get(found.url("blocked.example"))
        caller.close()
        await found.empty()

    def there() -> int:
        return sum(isinstance(item, Client | Exchange) for item in gc.get_objects())

    gc.collect()
    before = there()
    gc.disable()
    try:
        told(story)
        assert there() == before
    finally:
        gc.enable()


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n"


def test_a_websocket_becomes_a_tunnel():
    """With what either side had said already; bytes go both ways until both have ended."""

    async def whole(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            assert b"Upgrade: websocket\r\n" in head
            writer.write(
                b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst"
            )
            while data := await reader.read(100):
                writer.write(data.upper())
            return True

        found.shop.handle = handle
        caller = await found.call()
        reply = await caller.ask(get(found, "/chat", more=UPGRADE) + b"ahead")
        assert (reply.status, reply.field("sec-websocket-accept")) == (101, "y")
        assert await caller.reader.readexactly(10) == b"firstAHEAD"
        caller.send(b"more")
        assert await caller.reader.readexactly(4) == b"MORE"
        caller.writer.write_eof()
        assert await caller.rest() == b""
        assert found.counts.events["http_upgrades"] == 1

    told(whole)


def test_an_upgrade_that_is_not_granted_leaves_http_as_it_was():
    """The next request is read, what was sent ahead too; other protocols are not asked for at all."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(get(found, "/1", more=UPGRADE) + get(found, "/2"))
        assert [(await caller.reply()).body for _ in range(2)] == [b"page", b"page"]
        more = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"
        caller.send(get(found, "/3", more=more) + get(found, "/4"))
        assert [(await caller.reply()).body for _ in range(2)] == [b"page", b"page"]
        assert (await caller.ask(get(found, "/", "blocked.example", more=UPGRADE))).status == 403
        post = f"POST {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\n".encode()
        caller.send(post + UPGRADE + b"Content-Length: 3\r\n\r\nabc" + get(found, "/5"))
        assert [(await caller.reply()).body for _ in range(2)] == [b"page", b"page"]
        upgrades = [b"upgrade" in head.lower() for head in found.shop.heads]
        assert upgrades == [True, False, False, False, False, False]

    told(story)


def test_a_head_behind_a_whole_request_has_its_time_as_well():
    """That it came along with another makes it no connection between two requests."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(get(found, "/1") + b"GET http://ok.exa")
        assert [(await caller.reply()).status for _ in range(2)] == [200, 408]

    told(story, gateway={"limits": {"head": 1, "idle": 20}})
