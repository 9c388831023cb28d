"""DNS over HTTPS (RFC 8484): one HTTP/2 connection of a client, a request for each question.

What a client sends, asks or leaves unread is bounded here as in `streams`, and what HTTP/2 adds to it in `http2`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from .asking import Way
from .doh_words import OK, TOO_LARGE, UNREADABLE, opening_of, refusals
from .guest import LAST_SECONDS, Guest
from .http2.connection import Http2
from .http2.frames import ENHANCE_YOUR_CALM

if TYPE_CHECKING:
    from collections.abc import Callable

    from .doh_words import Request
    from .guest import Back
    from .http2.heads import Heads

UNREAD: Final = 65_536
"""Bytes that may wait for a client to read them; beyond, none of its questions is begun."""
MAX_UNREAD: Final = 8 * UNREAD
"""Bytes of answers, all begun before, that may come together, or be held up by the client; beyond, it is left."""
STRANGER_SECONDS: Final = 2.0
"""How long a stranger may take for the one question that is refused."""

_FOREIGN: Final = b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Asked = tuple[int, "Request", bytes | None]


class Doh(asyncio.Protocol):
    """One connection. Answers go out as they come, in any order, those of one turn of the loop together; a stranger
    gets one.
    """

    def __init__(self, back: Back, client: str, heads: Heads[Request], idle: float, asked: Callable[[], None]) -> None:
        """Serve an IP address; `heads` are of all connections together, `asked` is called whenever a question came.

        After `idle` seconds without one what is open is answered, in as much time again, and the connection closed.
        """
        self._back, self._client, self._idle, self._asked = back, client, idle, asked
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._http = Http2(heads)
        self._guests: dict[str | None, Guest] = {}
        self._held: list[Asked] = []  # whole requests that wait until the client has read what it was sent
        self._scheduled = self._leaving = self._choked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(UNREAD)
        self._guest = self._guests[None] = Guest(self._back, self._client, Way(stream=True, encrypted=True))
        if not self._guest.served:
            self._idle = min(self._idle, STRANGER_SECONDS)
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(self._idle, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """Forget what was asked."""
        for guest in self._guests.values():
            guest.gone = True
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()
        self._http.lose()
        if not self.done.done():
            self.done.set_result(None)

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        http = self._http
        asked = http.receive(data)
        if asked:
            self._heard_at = self._loop.time()
            self._asked()
            self._take(asked)
        if http.over is not None:
            self._broken()
        elif http.size:
            self._flush()

    def _take(self, asked: list[Asked]) -> None:
        """Answer what is known of the questions, and ask the rest. Long and flat: it runs for every one."""
        http, guest = self._http, self._guest
        known, answer, now = guest.known, http.answer, guest.begin()
        for at, (stream, request, body) in enumerate(asked):
            if http.size > UNREAD:
                self._flush()
            if self._choked:
                self._held = asked[at:]
                break
            if request.status != OK or body is None:
                self._refuse(stream, request.status if body is not None else TOO_LARGE)
            elif request.profile is not None:
                self._ask_as(request.profile, request.packet or body, stream)
            else:
                packet = request.packet or body
                reply = known(packet[2:], now)
                if reply is None:
                    guest.ask(packet, partial(self._answered, stream))
                else:
                    answer(stream, opening_of(reply), packet[:2] + reply)
            if not guest.served:
                self.leave()
                for late, _, _ in asked[at + 1 :]:
                    http.ignore(late)
                break
        guest.tally()

    def _ask_as(self, profile: str, packet: bytes, stream: int) -> None:
        """Ask for a client that chose its profile."""
        guest = self._guests.get(profile)
        if guest is None:
            way = Way(stream=True, encrypted=True, profile=profile)
            guest = self._guests[profile] = Guest(self._back, self._client, way)
        guest.answer(packet, partial(self._answered, stream))

    def _answered(self, stream: int, reply: bytes | None) -> None:
        """Take the reply to what was asked on `stream`."""
        if reply is None:
            self._refuse(stream, UNREADABLE)
        else:
            self._http.answer(stream, opening_of(reply[2:]), reply)
        self._schedule()

    def _refuse(self, stream: int, status: int) -> None:
        """Answer what is no question."""
        self._back.count.event("dns_doh_refused")
        self._http.answer(stream, refusals()[status], b"")

    # What is sent

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._sends)

    def _sends(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        """Send what is ready."""
        http, transport = self._http, self._transport
        if self.done.done() or transport.is_closing():
            return
        if http.size:
            self._guest.tally()
            transport.write(http.take())
        if transport.get_write_buffer_size() > MAX_UNREAD:
            transport.abort()
        elif http.unread > MAX_UNREAD:
            http.end(ENHANCE_YOUR_CALM)
            self._broken()
        elif self._leaving and http.idle and not self._held:
            http.part()
            transport.write(http.take())
            self._close()

    def pause_writing(self) -> None:
        """Take nothing more from a client that does not read."""
        self._choked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on: it has read."""
        self._choked = False
        if self._held:
            held, self._held = self._held, []
            self._take(held)
            self._schedule()
        if not self._choked:
            self._transport.resume_reading()

    # The end

    def finish(self) -> None:
        """Read a moment longer, answer what was asked by then, and close."""
        self._loop.call_later(LAST_SECONDS, self.leave)

    def leave(self) -> None:
        """Take no more questions, and close once all are answered; after the idle time in any case."""
        if self._leaving or self.done.done():
            return
        self._leaving = True
        self._http.leave()
        self._restart(self._idle)
        self._schedule()

    def _look(self) -> None:
        """Leave a client that has asked nothing for long."""
        if self._leaving:
            self._transport.abort()
            return
        quiet = self._loop.time() - self._heard_at
        if quiet < self._idle:
            self._restart(self._idle - quiet)
        elif self._choked:
            self._transport.abort()
        else:
            self.leave()

    def _restart(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _broken(self) -> None:
        """Close after a client's mistake, or because it speaks something else."""
        if self.done.done() or self._transport.is_closing():
            return
        self._back.count.event("dns_doh_broken")
        self._transport.write(_FOREIGN if self._http.foreign else self._http.take())
        self._close()

    def _close(self) -> None:
        self._leaving = True
        self._held.clear()
        self._restart(STRANGER_SECONDS)  # for who does not read
        self._transport.close()
