"""Sockets of clients: UDP datagrams, of which `udp` takes care, and TCP connections, which `streams` serves.

The sockets are handed in, bound and listening, and are never closed here: the supervisor keeps them, so that what waits
in them when a worker stops is read by the next.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from .front import Front
from .streams import STRANGERS, Connection, Seats, Stream
from .udp import Door

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from filterproxy.settings.dns import Dns

    from .resolver import Resolver


class Serving:
    """What is being served, until it is closed."""

    def __init__(self, resolver: Resolver, settings: Dns) -> None:
        self._resolver, self._settings = resolver, settings
        # Twice as many may wait as may be asked of upstreams, so that what is too much gets its SERVFAIL.
        self._front = Front(resolver, 2 * settings.cache_entries, 2 * settings.max_inflight)
        self._udp: dict[int, Door] = {}
        self._tcp: list[asyncio.Task[None]] = []
        self._streams: set[asyncio.Task[None]] = set()
        self._seats = Seats(settings.tcp_connections)
        self._closing = asyncio.Event()

    def add_udp(self, sock: socket.socket) -> None:
        """Take questions from `sock`, which is bound."""
        door = self._udp[sock.fileno()] = Door(sock, self._front)
        door.open()

    def remove_udp(self, sock: socket.socket) -> None:
        """Take no more questions from `sock`. Those already taken are answered, so it must stay open for a while."""
        self._udp.pop(sock.fileno()).close()

    def add_tcp(self, sock: socket.socket) -> None:
        """Take connections from `sock`, which is listening."""
        sock.setblocking(False)
        self._tcp.append(asyncio.get_running_loop().create_task(self._accept(sock)))

    async def close(self, drain_seconds: float) -> None:
        """Take no more questions, and give those already taken `drain_seconds` to be answered."""
        self._closing.set()
        for door in self._udp.values():
            door.close()
        for task in self._tcp:
            task.cancel()
        await asyncio.gather(*self._tcp, return_exceptions=True)
        drained = _start(self._front.drained(), self._streams)
        _, late = await asyncio.wait(self._streams | {drained}, timeout=drain_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._resolver.close()
        await asyncio.sleep(0)  # what that answered leaves before the sockets may be closed

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
    resolver: Resolver,
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
