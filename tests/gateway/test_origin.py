"""A connection to an origin: one request at a time, and who asked is told all of it or that there is no more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import pytest

from filterproxy.gateway import origin as room
from filterproxy.gateway.origin import Origin
from filterproxy.gateway.sweeping import Sweeper
from tests.gateway.pairs import LOOPS, run
from tests.gateway.street import until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Told:
    """Who asks."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def answered(self, response) -> None:
        self.said.append(response.status)

    def body(self, piece) -> None:
        if self.said and isinstance(self.said[-1], bytes):
            self.said[-1] += piece
        else:
            self.said.append(bytes(piece))

    def ended(self, trailers) -> None:
        self.said.append("ended")

    def switched(self, rest) -> None:
        self.said.append(("switched", rest))

    def lost(self) -> None:
        self.said.append("lost")

    def flush(self) -> None:
        pass

    def choked(self, *, yes) -> None:
        self.said.append(("choked", yes))


async def ended(told: Told) -> None:
    """Wait until an answer is whole."""
    await until(lambda: told.said[-1:] == ["ended"])


@contextlib.asynccontextmanager
async def meeting():
    """Yield an origin, the socket at its other end, the sweeper, and who was told that it is gone."""
    loop, gone = asyncio.get_running_loop(), []
    sweeper = Sweeper(loop)
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    made = Origin("key", sweeper, lambda origin: gone.append(origin.key))
    await loop.create_unix_connection(lambda: made, sock=ours)
    try:
        yield made, theirs, sweeper, gone
    finally:
        made.leave()
        theirs.close()
        await asyncio.sleep(0.01)
        sweeper.close()
        assert gone == ["key"]
        assert len(sweeper) == 0


def test_a_request_is_answered_and_the_next_may_come(loop):
    """On the same connection; what was asked has reached the other side."""

    async def story() -> None:
        async with meeting() as (made, theirs, _, gone):
            for number in range(2):
                told = Told()
                assert made.fit
                made.ask(told, GET, is_head=False)
                assert not made.fit
                await until(lambda: theirs.recv(999, socket.MSG_PEEK) == GET)
                theirs.recv(999)
                theirs.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
                await ended(told)
                assert told.said == [200, b"page", "ended"]
                assert made.used == number + 1
            assert gone == []

    run(loop, story)


@pytest.mark.parametrize(("answer", "said"), [
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", [200, b"x", "ended"]),
    (b"HTTP/1.0 200 OK\r\n\r\nall", [200, b"all", "ended"]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", [200, b"x", "lost"]),
    (b"HTTP/1.1 200 OK\r\nContent-Le", ["lost"]), (b"", ["lost"]), (b"\x00\x01", ["lost"]),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", [200, b"x", "ended"]),
])  # fmt: skip
def test_one_that_ends_is_not_used_again(loop, answer, said):
    """Be its last answer whole, cut short or nonsense."""

    async def story() -> None:
        async with meeting() as (made, theirs, _, gone):
            told = Told()
            made.ask(told, GET, is_head=False)
            if answer:
                theirs.send(answer)
            theirs.shutdown(socket.SHUT_WR)
            await until(lambda: bool(gone))
            assert told.said[-1] == said[-1] or (told.said, said[-1]) == ([200, "lost"], "ended")
            assert not made.fit

    run(loop, story)


def test_what_nobody_asked_for_ends_it(loop):
    """It would answer somebody else."""

    async def story() -> None:
        async with meeting() as (_, theirs, _, gone):
            theirs.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await until(lambda: bool(gone))

    run(loop, story)


def test_one_that_is_silent_for_too_long_is_lost(loop, monkeypatch):
    """With a question open; without one it is closed in silence."""
    monkeypatch.setattr(room, "SILENT", 0.1)
    monkeypatch.setattr(room, "IDLE", 0.1)

    async def story() -> None:
        async with meeting() as (made, _, _, gone):
            told = Told()
            made.ask(told, GET, is_head=False)
            await until(lambda: bool(gone))
            assert told.said == ["lost"]
        async with meeting() as (made, _, _, gone):
            made.rest()
            assert 0 <= made.idle_for(0.1) < 0.1
            await until(lambda: bool(gone))

    run(loop, story)


def test_it_waits_for_who_cannot_take_more(loop):
    """And goes on where it was."""

    async def story() -> None:
        async with meeting() as (made, theirs, _, _):
            told = Told()
            made.ask(told, GET, is_head=False)
            made.hold(yes=True)
            theirs.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
            await asyncio.sleep(0.05)
            assert told.said == []
            made.hold(yes=False)
            await until(lambda: told.said[-1:] == ["ended"])

    run(loop, story)


def test_who_sends_too_much_is_told_to_wait(loop):
    """Until the origin has taken it."""

    async def story() -> None:
        async with meeting() as (made, theirs, _, _):
            told = Told()
            made.ask(told, b"POST / HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n", is_head=False)
            made.send(b"x" * 5_000_000)
            await until(lambda: told.said == [("choked", True)])
            got = 0
            while got < 5_000_000:
                got += len(await asyncio.get_running_loop().sock_recv(theirs, 1 << 20))
            await until(lambda: told.said[-1:] == [("choked", False)])

    run(loop, story)


def test_nothing_is_left_of_it_once_it_is_gone(loop):
    """No circle that only the collector would find."""

    async def story() -> None:
        async with meeting() as (made, _, _, _):
            made.ask(Told(), GET, is_head=False)
            made.leave()

    def there() -> int:
        return sum(isinstance(item, Origin) for item in gc.get_objects())

    gc.collect()
    before = there()
    gc.disable()
    try:
        run(loop, story)
        assert there() == before
    finally:
        gc.enable()
