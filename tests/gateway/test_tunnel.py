"""Tunnels on real sockets: every byte once and in order, ends as they were, and nothing left open."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import cast

import pytest

from filterproxy.gateway import tunnel as room
from filterproxy.gateway.pipes import Pipes
from filterproxy.gateway.tunnel import take_over
from tests.conftest import ROOT
from tests.gateway.pairs import LOOPS, Between, received, run, sent

MEGABYTE = 1 << 20


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """Return the name of a kind of loop."""
    return str(request.param)


def pool(most: int = 64) -> Pipes:
    return Pipes(asyncio.get_running_loop(), most)


def reset(sock: socket.socket) -> None:
    """Close as a program that dies does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def until(true, seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def exactly(sock: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        parts.append(await asyncio.get_running_loop().sock_recv(sock, size))
        size -= len(parts[-1])
    return b"".join(parts)


async def filled(sock: socket.socket) -> int:
    """Send until nobody takes any more for a while; return how many bytes were taken."""
    count, quiet = 0, 0
    while quiet < 20:
        try:
            count += sock.send(bytes(65_536))
            quiet = 0
        except BlockingIOError:
            quiet += 1
        await asyncio.sleep(0.005)
    return count


def test_every_byte_comes_both_ways_at_once(loop):
    """Tens of megabytes each way, in odd segments, after what was read before."""

    async def story() -> None:
        pipes = pool()
        between, dice = Between(pipes), random.Random(7)
        there, back = dice.randbytes(24 * MEGABYTE + 7), dice.randbytes(24 * MEGABYTE + 1)
        between.tunnel.begin(there[:100_001], back[:77])
        at_origin, at_client, *_ = await asyncio.gather(
            received(between.origin),
            received(between.client, 4_099),
            sent(between.client, there[100_001:], lambda: dice.choice((1, 3, 1_460, 65_537, 300_001))),
            sent(between.origin, back[77:], lambda: dice.choice((2, 1_449, 200_003))),
        )
        assert at_origin == there
        assert at_client == back
        assert await between.over() == "ended"
        assert (between.tunnel.to_origin.moved, between.tunnel.to_client.moved) == (len(there), len(back))
        assert pipes.kept == 0
        between.close()
        pipes.close()

    run(loop, story)


@pytest.mark.parametrize("first", ["client", "origin"])
def test_either_side_may_end_first(loop, first):
    """Who has ended still hears what the other says, and the tunnel ends with the second."""

    async def story() -> None:
        pipes = pool()
        between = Between(pipes)
        between.tunnel.begin()
        one, other = between.client, between.origin
        if first == "origin":
            one, other = other, one
        await sent(one, b"the question")
        assert await received(other) == b"the question"
        await asyncio.sleep(0.05)
        assert not between.ended
        _, heard = await asyncio.gather(sent(other, bytes(MEGABYTE)), received(one))
        assert heard == bytes(MEGABYTE)
        assert await between.over() == "ended"
        between.close()
        pipes.close()

    run(loop, story)


@pytest.mark.parametrize("small", [0, 8_192])
def test_a_slow_reader_holds_up_its_sender(loop, small):
    """What nobody reads waits in sockets, not with us; nothing turns meanwhile, and all of it comes in the end."""

    async def story() -> None:
        pipes = pool()
        between = Between(pipes, send=small, receive=small)
        between.tunnel.begin()
        taken = await filled(between.origin)
        assert pipes.kept <= 1
        flow = between.tunnel.to_client
        assert len(flow._held) + flow._inside <= 262_144
        used = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(0.5)
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime < 0.1
        between.origin.shutdown(socket.SHUT_WR)
        assert len(await received(between.client)) == taken
        between.close()
        pipes.close()

    run(loop, story)


@pytest.mark.parametrize("who", ["client", "origin"])
def test_a_reset_is_passed_on(loop, who):
    """A connection that breaks does not look to the other side as one that ended."""

    async def story() -> None:
        pipes = pool()
        between = Between(pipes)
        between.tunnel.begin(b"a", b"b")
        one, other = between.client, between.origin
        if who == "origin":
            one, other = other, one
        running = asyncio.get_running_loop()
        await asyncio.gather(running.sock_recv(one, 1), running.sock_recv(other, 1))
        reset(one)
        assert await between.over() == "reset"
        with pytest.raises(ConnectionResetError):
            await running.sock_recv(other, 1)
        between.close()
        pipes.close()

    run(loop, story)


@pytest.mark.parametrize("who", ["client", "origin"])
def test_a_reset_while_bytes_wait_leaves_nothing(loop, who):
    """Neither the pipe nor the tunnel is lost when the reader or the writer of a full tunnel goes."""

    async def story() -> None:
        pipes = pool(1)
        between = Between(pipes, send=8_192, receive=8_192)
        between.tunnel.begin(to_client=bytes(MEGABYTE))
        await filled(between.origin)
        reset(getattr(between, who))
        if who == "origin":  # that shows when the client reads
            with suppress(ConnectionResetError):
                await received(between.client)
        assert await between.over() == "reset"
        assert pipes.kept == 0
        between.close()
        pipes.close()

    run(loop, story)


def test_what_is_idle_ends(loop):
    """Neither sooner than was said nor much later; what moves a byte now and then stays."""

    async def story() -> None:
        pipes = pool()
        quiet, busy = Between(pipes, 0.4), Between(pipes, 0.4)
        began = asyncio.get_running_loop().time()
        quiet.tunnel.begin()
        busy.tunnel.begin()
        for _ in range(10):
            await asyncio.sleep(0.1)
            busy.client.send(b".")
        assert await quiet.over() == "idle"
        assert not busy.ended
        ended = asyncio.get_running_loop().time()
        assert await busy.over() == "idle"
        assert asyncio.get_running_loop().time() - ended < 1.5
        assert ended - began >= 0.4
        quiet.close()
        busy.close()
        pipes.close()

    run(loop, story)


def test_half_a_tunnel_waits_less(loop, monkeypatch):
    """Where one side has ended the other has a shorter time."""
    monkeypatch.setattr(room, "HALF_SECONDS", 0.2)

    async def story() -> None:
        pipes = pool()
        between = Between(pipes, 60)
        between.tunnel.begin()
        between.client.shutdown(socket.SHUT_WR)
        assert await between.over(2) == "idle"
        between.close()
        pipes.close()

    run(loop, story)


def test_a_reader_that_never_reads_is_left(loop):
    """A tunnel whose bytes nobody takes is as idle as one without any, and its pipe is free again."""

    async def story() -> None:
        pipes = pool()
        between = Between(pipes, 0.4, send=8_192, receive=8_192)
        between.tunnel.begin()
        with suppress(OSError):
            await filled(between.origin)
        assert await between.over(5) == "idle"
        assert pipes.kept == 0
        between.close()
        pipes.close()

    run(loop, story)


def test_four_pipes_serve_the_busy_beside_the_stalled(loop):
    """Of 90 tunnels whose clients do not read none takes from 40 others what they need, and all bytes come."""

    async def story() -> None:
        pipes = pool(4)
        stalled = [Between(pipes, send=4_096, receive=4_096) for _ in range(90)]
        for between in stalled:
            between.tunnel.begin()
        taken = await asyncio.gather(*(filled(between.origin) for between in stalled))
        busy, data = [Between(pipes) for _ in range(40)], random.Random(3).randbytes(MEGABYTE)
        for between in busy:
            between.tunnel.begin()
        jobs = [job for b in busy for job in (received(b.client), sent(b.origin, data))]
        heard = await asyncio.wait_for(asyncio.gather(*jobs), 30)
        assert all(heard[at] == data for at in range(0, 80, 2))
        assert pipes.kept <= 4
        for between in stalled:
            between.origin.shutdown(socket.SHUT_WR)
        late = await asyncio.gather(*(received(between.client) for between in stalled))
        assert [len(data) for data in late] == list(taken)
        for between in stalled + busy:
            between.close()
        pipes.close()

    run(loop, story)


def test_a_pipe_is_given_up_with_its_bytes_in_their_order(loop):
    """What goes from the pipe to memory comes before what the source has yet to say."""

    async def story() -> None:
        pipes, running = pool(), asyncio.get_running_loop()
        between = Between(pipes)
        between.tunnel.begin()
        flow = between.tunnel.to_client
        flow._pipe = pipes.lend()
        flow._inside = os.write(flow._pipe.mouth, b"first")
        pipes.keep(flow)
        flow.yield_pipe()
        assert pipes.kept == 0
        between.origin.send(b"second")
        between.origin.shutdown(socket.SHUT_WR)
        assert await asyncio.wait_for(received(between.client), 5) == b"firstsecond"
        await running.sock_sendall(between.client, b"x")
        between.close()
        pipes.close()

    run(loop, story)


def test_it_can_be_closed_at_any_time(loop):
    """Before it began, with bytes to move, and twice; `done` is called once."""

    async def story() -> None:
        pipes = pool()
        unborn, begun = Between(pipes), Between(pipes)
        unborn.close()
        begun.tunnel.begin(b"never sent")
        begun.close()
        begun.close()
        await asyncio.sleep(0)
        assert [await unborn.over(), await begun.over()] == ["closed", "closed"]
        pipes.close()

    run(loop, story)


def test_a_transport_gives_its_connection_away(loop):
    """No byte that the client sent is lost, before, during or after; and not before all was written."""

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport, self.read = cast("asyncio.Transport", transport), b""
            self.transport.set_write_buffer_limits(0)
            made.set_result(self)

        def data_received(self, data: bytes) -> None:
            self.read += data

    async def story() -> None:
        running = asyncio.get_running_loop()
        server = await running.create_server(Server, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setblocking(False)
        client.send(b"one ")
        protocol = await made
        await until(lambda: protocol.read)
        client.send(b"two ")
        protocol.transport.write(bytes(32 * MEGABYTE))
        with pytest.raises(ValueError, match="write"):
            take_over(protocol.transport)
        assert len(await asyncio.wait_for(exactly(client, 32 * MEGABYTE), 10)) == 32 * MEGABYTE
        await until(lambda: not protocol.transport.get_write_buffer_size())
        taken = take_over(protocol.transport)
        with pytest.raises(ValueError, match="closing"):
            take_over(protocol.transport)
        client.send(b"three")
        client.shutdown(socket.SHUT_WR)
        rest = await received(taken)
        assert protocol.read + rest == b"one two three"
        taken.send(b"still open")
        taken.close()
        assert await received(client) == b"still open"
        client.close()
        server.close()
        await server.wait_closed()

    made: asyncio.Future[Server]

    async def with_future() -> None:
        nonlocal made
        made = asyncio.get_running_loop().create_future()
        await story()

    run(loop, with_future)


MANY = """
import asyncio, json, os, resource, sys
import uvloop
from filterproxy.gateway.pipes import Pipes
from tests.gateway.pairs import Between, descriptors, received, sent

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def pipes_open():
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("pipe:")
        except OSError:
            pass
    return count

async def main():
    pipes, had = Pipes(asyncio.get_running_loop()), pipes_open() - 2
    warm = Between(pipes); warm.tunnel.begin(); await asyncio.sleep(.05); warm.close()
    before, open_before = rss(), descriptors()
    all = [Between(pipes, 300) for _ in range(4000)]
    for between in all:
        between.tunnel.begin()
    await asyncio.sleep(0.5)
    each = (rss() - before) / len(all)
    data = os.urandom(1 << 20)
    jobs = [job for b in all[::80] for job in (received(b.client), sent(b.origin, data))]
    heard = await asyncio.gather(*jobs)
    right, most = all_right(heard, data), pipes_open() - had
    for between in all:
        between.close()
    pipes_left = pipes.kept
    await asyncio.sleep(0.1)
    left = descriptors() - open_before - (most - 2)
    print(json.dumps({"each": each, "right": right, "pipes": most // 2, "kept": pipes_left, "left": left}))

def all_right(heard, data):
    return all(part == data for part in heard[::2]) and len(heard) == 100

if os.getuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
uvloop.run(main())
"""


def test_four_thousand_tunnels_are_little():
    """At most 20 KB each, both ends of the test with it; 50 of them busy need few pipes, and nothing is left open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 17_000:
        pytest.skip(f"{hard} descriptors: ulimit -Hn 20000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (17_000, hard))
    try:
        ran = subprocess.run(
            [sys.executable, "-c", MANY], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert found["each"] < 20_000
    assert found["right"]
    assert found["pipes"] <= 64
    assert (found["kept"], found["left"]) == (0, 0)
