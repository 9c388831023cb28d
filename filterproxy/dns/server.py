"""Sockets of clients: UDP datagrams, and TCP connections that carry many questions at once (RFC 7766).

The sockets are handed in, bound and listening, and are never closed here: the supervisor keeps them, so that what waits
in them when a worker stops is read by the next. UDP on a wildcard address answers from the address that the system
chooses, which is the wrong one on a machine with several; until then list each address.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from filterproxy.settings.tables import Dns

    from .resolver import Count

READ_AT_ONCE = 64
"""Datagrams read before other work gets its turn."""
MAX_DATAGRAM = 4096
"""Bytes of a question that are read; a longer one is cut and answered FORMERR."""
OUTSTANDING = 32
"""Questions of one TCP connection that may wait for their answers."""


class Answers(Protocol):
    """Whoever answers a DNS message, and counts what happens on the way; such as Resolver."""

    @property
    def count(self) -> Count: ...

    async def answer(self, packet: bytes, client: str, tcp: bool = False) -> bytes | None: ...  # noqa: FBT001, FBT002


class Serving:
    """What is being served, until it is closed."""

    def __init__(self, resolver: Answers, settings: Dns) -> None:
        self._resolver, self._settings = resolver, settings
        self._udp: list[socket.socket] = []
        self._tcp: list[asyncio.Task[None]] = []
        self._datagrams: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[None]] = set()
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
            if len(self._streams) >= self._settings.tcp_connections:
                connection.close()
                continue
            _start(self._connection(connection, address[0]), self._streams)

    async def _connection(self, sock: socket.socket, client: str) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=sock)
        except OSError:
            sock.close()
            return
        try:
            idle = self._settings.tcp_idle.total_seconds()
            await _Stream(self._resolver, reader, writer, client, idle).run(self._closing)
        finally:
            writer.transport.abort()


def _start(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    """Run `work`, held in `tasks` while it runs."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


class _Stream:
    """One TCP client. Answers go out as they come, in any order."""

    def __init__(
        self, resolver: Answers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str, idle: float
    ) -> None:
        self._resolver, self._reader, self._writer = resolver, reader, writer
        self._client, self._idle = client, idle
        self._slots = asyncio.Semaphore(OUTSTANDING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, closing: asyncio.Event) -> None:
        """Serve until the client leaves, falls silent for the idle time, or `closing` is set; then answer the rest."""
        stop = asyncio.create_task(closing.wait())
        read = asyncio.create_task(self._read())
        try:
            await asyncio.wait((stop, read), return_when=asyncio.FIRST_COMPLETED)
            read.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._idle)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._idle):
                    self._writer.close()
                    await self._writer.wait_closed()
        finally:
            for task in (stop, read, *self._tasks):
                task.cancel()
            await asyncio.gather(stop, read, *self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            await self._slots.acquire()
            async with asyncio.timeout(self._idle):
                packet = await self._reader.readexactly(int.from_bytes(await self._reader.readexactly(2)))
            task = asyncio.create_task(self._answer(packet))
            self._tasks.add(task)
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _answer(self, packet: bytes) -> None:
        reply = await self._resolver.answer(packet, self._client, tcp=True)
        if reply is None or self._writer.is_closing():
            return
        self._writer.write(len(reply).to_bytes(2) + reply)
        try:
            async with asyncio.timeout(self._idle):
                await self._writer.drain()
        except (OSError, TimeoutError):
            self._writer.transport.abort()  # a client that asks and does not read


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
