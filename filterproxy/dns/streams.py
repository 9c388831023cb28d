"""DNS over TCP and over TLS: many questions on each connection at once (RFC 7766, RFC 7858), few connections for each
client, and none for ever.

What a client sends, asks or leaves unread is bounded, so that a connection costs us little whatever is done with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, cast

from . import wire
from .clients import share
from .guest import LAST_SECONDS, Guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import Way
    from .guest import Back

OUTSTANDING: Final = 32
"""Questions of one connection that may wait for their answers."""
UNREAD: Final = 65_536
"""Bytes that may wait for a client to read them; beyond, none of its questions is begun."""
MAX_UNREAD: Final = 8 * UNREAD
"""Bytes of answers, all begun before, that may come together; beyond, the client is left."""
_LONG: Final = 4096
"""Bytes of a reply that is not kept back for others of the same turn."""
_SHORTEST: Final = wire.HEADER.size
"""Bytes of what may be a question."""

STRANGER_SECONDS: Final = 2.0
"""How long a stranger may take for the one question that is refused."""

Connection = asyncio.Task[None]


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


class Stream(asyncio.BufferedProtocol):
    """One connection. Answers go out as they come, in any order, those of one turn of the loop together; a stranger
    gets one.
    """

    def __init__(
        self, back: Back, client: str, way: Callable[[asyncio.Transport], Way], idle: float, asked: Callable[[], None]
    ) -> None:
        """Serve an IP address; `way` is asked once it is connected, `asked` is called whenever questions came.

        After `idle` seconds without one what is open is answered, in as much time again, and the connection closed.
        """
        self._back, self._client, self._way, self._idle, self._asked = back, client, way, idle, asked
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._rest = b""
        self._out: list[bytes] = []
        self._open = 0  # questions that wait for their answers
        self._held = False  # `_rest` holds a question that cannot be begun yet
        self._reading, self._scheduled, self._leaving = True, False, False
        self._choked_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(UNREAD)
        self._guest = Guest(self._back, self._client, self._way(self._transport))
        if not self._guest.served:
            self._idle = min(self._idle, STRANGER_SECONDS)
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_at(self._heard_at + self._idle, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """Forget what was asked."""
        guest = self._guest
        guest.gone, guest.choked = True, False
        guest.waiting.clear()
        self._timer.cancel()
        self._rest, self._held = b"", False
        self._out.clear()
        # What is left must be no circle: of one that is set aside (see runtime/garbage.py) nothing would be freed.
        del self._transport, self._asked, self._way
        if not self.done.done():
            self.done.set_result(None)

    def finish(self) -> None:
        """Read a moment longer, answer what was asked by then, and close."""
        self._loop.call_later(LAST_SECONDS, self._leave)

    # What the client sends

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it is as large as anyone would want
        """Return where to read to: a room that all connections share, for it is emptied at once."""
        return self._back.room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if not self._leaving:
            data = bytes(self._back.room[:nbytes])
            self._take(self._rest + data if self._rest else data)

    def eof_received(self) -> bool:
        """Answer what is open to a client that sends no more; over TLS that ends the connection."""
        self._leave()
        return self._transport.get_extra_info("ssl_object") is None

    def _take(self, data: bytes) -> None:
        """Answer what is known of the questions in `data`, and ask the rest. Long and flat: it runs for every one."""
        at, size, end, out, guest, last = 0, 0, len(data), self._out, self._guest, False
        known, now = guest.known, guest.begin()
        self._held = False
        while at + 2 <= end and not last:
            length = data[at] << 8 | data[at + 1]
            if length < _SHORTEST:
                last = True  # no question, nor worth the wait for one
                break
            begin = at + 2
            if begin + length > end:
                break
            if self._open >= OUTSTANDING or self._choked_at is not None:
                self._held = True
                break
            at = begin + length
            reply = known(data[begin + 2 : at], now)
            if reply is None:
                self._open += 1
                guest.ask(data[begin:at], self._answered)
            else:
                out += (len(reply) + 2).to_bytes(2), data[begin : begin + 2], reply
                size += len(reply)
                if size > UNREAD:
                    size = 0
                    self._flush()
            last = not guest.served
        self._rest = b"" if last else data[at:]
        if at:
            self._heard_at = self._loop.time()
            self._asked()
        self._flush()
        if last:
            self._leave()
        elif self._held is self._reading and not self._leaving:
            self._reading = not self._held
            (self._transport.resume_reading if self._reading else self._transport.pause_reading)()

    # What it is told

    def _answered(self, reply: bytes | None) -> None:
        self._open -= 1
        if self._guest.gone:
            return
        if reply is not None:
            self._out += len(reply).to_bytes(2), reply
            if len(reply) > _LONG:
                self._flush()  # so that it is known at once where the client does not read
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Send what was answered in a turn of the loop, and begin what waited for that."""
        self._scheduled = False
        if self._guest.gone:
            return
        self._flush()
        self._go_on()

    def _flush(self) -> None:
        out = self._out
        if not out:
            return
        self._guest.tally()
        self._transport.write(b"".join(out))
        out.clear()
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Begin no question until the client has read more of what it was told."""
        self._guest.choked, self._choked_at = True, self._loop.time()

    def resume_writing(self) -> None:
        """Begin them again."""
        self._choked_at = None
        self._guest.resume()
        self._go_on()

    def _go_on(self) -> None:
        if self._held:
            self._take(self._rest)
        if self._leaving:
            self._end()

    # The end

    def _leave(self) -> None:
        """Read no more; close as soon as all is answered that was asked."""
        if self._guest.gone:
            return
        if not self._leaving:
            self._leaving, self._heard_at = True, self._loop.time()
            if self._reading:
                self._reading = False
                self._transport.pause_reading()
        self._end()

    def _end(self) -> None:
        if not (self._open or self._held or self._out):
            self._transport.close()  # what it has not read yet is still sent

    def _look(self) -> None:
        """Leave a client that is silent, and one that does not read."""
        now, idle, choked = self._loop.time(), self._idle, self._choked_at
        heard = self._heard_at + idle <= now
        if (heard and self._leaving) or (choked is not None and choked + idle <= now):
            self._transport.abort()
            return
        if heard:
            self._leave()
        until = self._heard_at if choked is None else min(self._heard_at, choked)
        self._timer = self._loop.call_at(until + idle, self._look)
