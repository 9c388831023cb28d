"""Sockets of clients: UDP datagrams, and TCP connections, which `streams` serves.

The sockets are handed in, bound and listening, and are never closed here: the supervisor keeps them, so that what waits
in them when a worker stops is read by the next. UDP on a wildcard address answers from the address that the system
chooses, which is the wrong one on a machine with several; until then list each address.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from .streams import STRANGERS, Answers, Connection, Seats, Stream

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from filterproxy.settings.tables import Dns

READ_AT_ONCE = 64
"""Datagrams read before other work gets its turn."""
MAX_DATAGRAM = 4096
"""Bytes of a question that are read; a longer one is cut and answered FORMERR."""


class Serving:
    """What is being served, until it is closed."""

    def __init__(self, resolver: Answers, settings: Dns) -> None:
        self._resolver, self._settings = resolver, settings
        self._udp: list[socket.socket] = []
        self._tcp: list[asyncio.Task[None]] = []
        self._datagrams: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[None]] = set()
        self._seats = Seats(settings.tcp_connections)
        self._most = 2 * settings.max_inflight  # more than may wait for upstreams, so that these get their SERVFAIL
        self._closing = asyncio.Event()

    def add_udp(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._udp.append(sock)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable, sock)

    def add_tcp(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._tcp.append(asyncio.get_running_loop().create_task(self._accept(sock)))

    async def close(self, drain_seconds: float) -> None:
        """Take no more questions, and give those already taken `drain_seconds` to be answered."""
        self._closing.set()
        loop = asyncio.get_running_loop()
        for sock in self._udp:
            loop.remove_reader(sock.fileno())
        for task in self._tcp:
            task.cancel()
        await asyncio.gather(*self._tcp, return_exceptions=True)
        if tasks := self._datagrams | self._streams:
            _, late = await asyncio.wait(tasks, timeout=drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # UDP

    def _readable(self, sock: socket.socket) -> None:
        for _number in range(READ_AT_ONCE):
            try:
                packet, address = sock.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return  # read by another worker, or all read
            except OSError:
                continue  # an ICMP error about an earlier reply: nothing that concerns this socket
            if len(self._datagrams) >= self._most:
                self._resolver.count.event("dns_overload")  # silence: the client asks again
                continue
            _start(self._datagram(sock, packet, address), self._datagrams)

    async def _datagram(self, sock: socket.socket, packet: bytes, address: tuple[Any, ...]) -> None:
        reply = await self._resolver.answer(packet, address[0])
        if reply is not None:
            with contextlib.suppress(OSError):  # a full buffer or a client that has gone: UDP promises nothing
                sock.sendto(reply, address)

    # TCP

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, or the client has gone before we came
                continue
            self._resolver.count.event("dns_tcp_connections")
            sharer = self._resolver.sharer(address[0])
            task = _start(self._connection(connection, address[0], stranger=sharer is None), self._streams)
            self._seats.take(task, sharer or STRANGERS)
            await asyncio.sleep(0)  # it begins, and so closes its socket, before another can take its place

    async def _connection(self, sock: socket.socket, client: str, *, stranger: bool) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=sock)
        except OSError:
            sock.close()
            return
        idle = self._settings.tcp_idle.total_seconds()
        asked = partial(self._seats.asked, cast("Connection", asyncio.current_task()))
        try:
            stream = Stream(self._resolver, reader, writer, client, idle, asked=asked, stranger=stranger)
            await stream.run(self._closing)
        finally:
            writer.transport.abort()


def _start(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    """Run `work`, held in `tasks` while it runs."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def serve(
    resolver: Answers,
    udp_sockets: Sequence[socket.socket],
    tcp_sockets: Sequence[socket.socket],
    settings: Dns,
) -> Serving:
    """Start to answer on sockets that are bound, and listening where they are TCP."""
    serving = Serving(resolver, settings)
    for sock in udp_sockets:
        serving.add_udp(sock)
    for sock in tcp_sockets:
        serving.add_tcp(sock)
    return serving
