"""Zones over TLS (RFC 9103): listed addresses only, one question after the other, and nobody waits for a slow reader.

A connection is taken from an address that some receiver may come from, else it is closed before a handshake. What it
asks is answered in its order; a transfer is given message by message, with a turn for everything else in between.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from .requests import LONGEST, REFUSED, SERVFAIL, Refusal, Request, read

if TYPE_CHECKING:
    import socket

    from .receivers import Receivers

HANDSHAKE: Final = 10.0
IDLE: Final = 30.0
"""Seconds that a connection may be silent."""
STALLED: Final = 20.0
"""Seconds in which what was sent must be taken, as far as our memory for it goes."""
WHOLE: Final = 900.0
"""Seconds for one transfer."""
_UNSENT: Final = 256 * 1024
"""Bytes that wait for a reader at most, beside what the kernel holds."""
_EACH: Final = 4
"""Of all connections the part that one address may have: a fourth, but two in any case."""


class Given(NamedTuple):
    """An answer: what it is, of which serial, how many records, and its messages, unsigned."""

    kind: str
    """`axfr`, `ixfr` or `soa`."""
    serial: int
    records: int
    messages: Iterator[bytes]


class Zone(Protocol):
    """A zone as it is now."""

    def answer(self, request: Request) -> Given:
        """Return what answers this request; each message leaves room for `request.room` bytes."""
        ...


class Tell(Protocol):
    """Who keeps the record of transfers."""

    def given(self, receiver: str, list_id: str, given: Given, seconds: float) -> None: ...
    def refused(self, reason: str, receiver: str, list_id: str) -> None: ...


class Server:
    """What is being served, until it is closed."""

    def __init__(
        self, receivers: Receivers, zones: Callable[[str], Zone | None], known: Callable[[str], str | None],
        context: Callable[[], ssl.SSLContext], connections: int, tell: Tell,
    ) -> None:  # fmt: skip
        """`known` tells which list a zone's name is of, and `zones` gives that zone once it is there."""
        self._receivers, self._zones, self._known, self._context, self._tell = receivers, zones, known, context, tell
        self._most, self._each = connections, max(2, connections // _EACH)
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._idle: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._closing = False

    def add(self, sock: socket.socket) -> None:
        """Take connections from `sock`, which is listening and stays its owner's."""
        sock.setblocking(False)
        self._accepting.append(asyncio.get_running_loop().create_task(self._accept(sock)))

    async def close(self, drain: float) -> None:
        """Take nothing more, and give what is under way so many seconds to end."""
        self._closing = True
        for task in (*self._accepting, *self._idle):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=drain)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, or it has gone before we came
                continue
            address = address.partition("%")[0]
            if not self._receivers.listed(address):
                self._tell.refused("address", "", "")
            elif not self._seat(address):
                self._tell.refused("connections", "", "")
            else:
                task = loop.create_task(self._connection(connection, address))
                self._tasks[task] = address
                task.add_done_callback(self._ended)
                await asyncio.sleep(0)  # it begins, and so closes its socket whatever becomes of it
                continue
            connection.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._idle.discard(task)

    def _seat(self, address: str) -> bool:
        """Tell whether one more may come from this address."""
        return len(self._tasks) < self._most and list(self._tasks.values()).count(address) < self._each

    async def _connection(self, sock: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LONGEST, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._context(), ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=1.0
            )
        except (OSError, ssl.SSLError, TimeoutError, asyncio.CancelledError):
            sock.close()
            self._tell.refused("handshake", "", "")
            return
        transport.set_write_buffer_limits(_UNSENT)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer, address)
            with suppress(OSError, TimeoutError):
                writer.close()
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
        finally:
            transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        """Answer one question after the other, until there is one that ends it."""
        task = asyncio.current_task()
        while task is not None and not self._closing:
            self._idle.add(task)
            async with asyncio.timeout(IDLE):
                length = int.from_bytes(await reader.readexactly(2))
                packet = await reader.readexactly(length) if length <= LONGEST else b""
            self._idle.discard(task)
            asked = read(packet, self._receivers, address, int(time()))
            if isinstance(asked, Refusal):
                self._tell.refused(asked.reason, asked.receiver, "")
                if asked.reply is not None:
                    await _send(writer, asked.reply)
                if asked.reply is None or asked.reason == "malformed":
                    return
            else:
                await self._answer(asked, writer)

    async def _answer(self, asked: Request, writer: asyncio.StreamWriter) -> None:
        list_id = self._known(asked.zone)
        if list_id is None or not self._receivers.may(asked.receiver, list_id):
            self._tell.refused("zone", asked.receiver.id, list_id or "")
            await _send(writer, asked.refusal(REFUSED, int(time())))
        elif (zone := self._zones(asked.zone)) is None:
            self._tell.refused("not_ready", asked.receiver.id, list_id)
            await _send(writer, asked.refusal(SERVFAIL, int(time())))
        else:
            begun = monotonic()
            given = zone.answer(asked)
            try:
                async with asyncio.timeout(WHOLE):
                    for message in given.messages:
                        await _send(writer, asked.finished(message, int(time())))
            except (OSError, TimeoutError):
                self._tell.refused("broken_off", asked.receiver.id, list_id)
                raise
            self._tell.given(asked.receiver.id, list_id, given, monotonic() - begun)


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(len(message).to_bytes(2) + message)
    async with asyncio.timeout(STALLED):
        await writer.drain()
    await asyncio.sleep(0)  # a reader that takes all at once leaves nobody else a turn otherwise
