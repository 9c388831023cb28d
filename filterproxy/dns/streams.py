"""TCP connections: many questions on each at once (RFC 7766), few connections for each client, and none for ever.

What a client sends, asks or leaves unread is bounded, so that a connection costs us little whatever is done with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from . import wire
from .asking import TCP, UDP
from .clients import share

if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import Reply, Way
    from .resolver import Count

OUTSTANDING = 32
"""Questions of one connection that may wait for their answers."""
UNREAD = 65_536
"""Bytes that may wait for a client to read them; beyond, none of its questions is begun."""
MAX_UNREAD = 8 * UNREAD
"""Bytes of answers, all begun before, that may come together; beyond, the client is left."""

STRANGERS = "strangers"
"""Under what those are counted who are not served: one share for all of them."""
STRANGER_SECONDS = 2.0
"""How long a stranger may take for the one question that is refused."""

LAST_SECONDS = 0.1
"""How long a connection is still read once we close: what its client has sent by then, nobody else can answer."""

Connection = asyncio.Task[None]


class Answers(Protocol):
    """Whoever answers a DNS message, and counts what happens on the way; such as Resolver."""

    @property
    def count(self) -> Count: ...

    def sharer(self, client: str) -> str | None: ...
    def answer(self, packet: bytes, client: str, reply: Reply, way: Way = UDP) -> None: ...


class Seats:
    """The places of connections, for all and for each client. Where none is free, whoever asked longest ago leaves."""

    def __init__(self, most: int) -> None:
        self._most, self._share = most, share(most)
        self._all: OrderedDict[Connection, str] = OrderedDict()
        self._of: dict[str, OrderedDict[Connection, None]] = {}

    def take(self, connection: Connection, sharer: str) -> None:
        """Give `connection` a place until it is done; if need be that of the same client, else of any, who is idle."""
        own = self._of.get(sharer, ())
        if len(own) >= self._share:
            self._evict(next(iter(own)))
        elif len(self._all) >= self._most:
            self._evict(next(iter(self._all)))
        self._all[connection] = sharer
        self._of.setdefault(sharer, OrderedDict())[connection] = None
        connection.add_done_callback(self._free)

    def asked(self, connection: Connection) -> None:
        """Note that a question came on `connection`."""
        if connection in self._all:
            self._all.move_to_end(connection)
            self._of[self._all[connection]].move_to_end(connection)

    def _evict(self, connection: Connection) -> None:
        self._free(connection)
        connection.cancel()

    def _free(self, connection: Connection) -> None:
        sharer = self._all.pop(connection, None)
        if sharer is None:
            return  # it was evicted
        own = self._of[sharer]
        del own[connection]
        if not own:
            del self._of[sharer]


class Stream:
    """One connection. Answers go out as they come, in any order; a stranger gets one."""

    def __init__(
        self,
        resolver: Answers,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: str,
        idle: float,
        *,
        asked: Callable[[], None],
        stranger: bool,
    ) -> None:
        self._resolver, self._reader, self._writer, self._client = resolver, reader, writer, client
        self._asked, self._stranger = asked, stranger
        self._idle = min(idle, STRANGER_SECONDS) if stranger else idle
        self._slots = asyncio.Semaphore(OUTSTANDING)
        self._tasks: set[asyncio.Task[None]] = set()
        writer.transport.set_write_buffer_limits(UNREAD)

    async def run(self, closing: asyncio.Event) -> None:
        """Serve until the client leaves, falls silent for the idle time, or `closing` is set; then answer the rest."""
        stop = asyncio.create_task(closing.wait())
        read = asyncio.create_task(self._read())
        try:
            await asyncio.wait((stop, read), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((read,), timeout=LAST_SECONDS)
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
                size = int.from_bytes(await self._reader.readexactly(2))
                if size < wire.HEADER.size:
                    return  # no question, nor worth the wait for one
                packet = await self._reader.readexactly(size)
            self._asked()
            task = asyncio.create_task(self._answer(packet))
            self._tasks.add(task)
            task.add_done_callback(self._answered)
            if self._stranger:
                return

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _answer(self, packet: bytes) -> None:
        await self._flush()
        if self._writer.is_closing():
            return
        reply = await self._reply(packet)
        if reply is None or self._writer.is_closing():
            return
        self._writer.write(len(reply).to_bytes(2) + reply)
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self._writer.transport.abort()
        await self._flush()

    def _reply(self, packet: bytes) -> asyncio.Future[bytes | None]:
        """Return the reply to `packet`, when it comes."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def told(reply: bytes | None, _: object) -> None:
            if not future.done():  # else the connection has ended
                future.set_result(reply)

        self._resolver.answer(packet, self._client, told, TCP)
        return future

    async def _flush(self) -> None:
        """Wait until the client has read nearly all it was sent; one that asks and does not read is left."""
        try:
            async with asyncio.timeout(self._idle):
                await self._writer.drain()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
