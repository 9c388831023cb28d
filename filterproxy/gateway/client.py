"""HTTP on a client's connection: requests are read one after the other, and answered in their order.

What a client sends ahead is understood a slice at a time, and waits unread beyond that; what it does not read, the
origin may not send on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from filterproxy.core.rulings import plain

from .exchange import Exchange
from .requests import SLICE, RefusedError, Requests
from .sweeping import NEVER

if TYPE_CHECKING:
    from filterproxy.core.policy import Policy

    from .house import House
    from .judging import Fixed
    from .origin import Origin
    from .requests import Fields, Request

LINGER: Final = 2.0
"""Seconds in which a client may take its last answer while what it still sends is thrown away."""
UNSENT: Final = 262_144
"""Bytes that wait for a client before the origin is told to wait."""
_RESET: Final = struct.pack("ii", 1, 0)


class Client(asyncio.Protocol):
    """One connection. Whoever made it, such as an `Opening`, gives it the transport."""

    __slots__ = (
        "_closing", "_current", "_eof", "_held", "_last", "_paused", "_policy", "_queue",
        "_reading", "_refused", "_requests", "_retiring", "_seat",
        "_turned", "address", "bound", "choked", "deadline", "first", "fixed", "house", "is_local",
        "profile", "source", "transport",
    )  # fmt: skip

    def __init__(
        self, house: House, fixed: Fixed | None = None, address: str = "", seat: str | None = None,
        first: socket.socket | None = None, source: str | None = None,
    ) -> None:  # fmt: skip
        """Serve requests that say where they go, or that all go to one place.

        `address` is the client's where the connection's is not, and `seat` what it has taken already. `first` is a
        connection to that place, ours from now on; further ones are made from `source` where that is given.
        """
        self.house, self.fixed, self.address, self.first, self.source = house, fixed, address, first, source
        self._seat = seat
        self._requests = Requests(self, house.blocks)
        self._current: Exchange | None = None
        """Whose answer is due."""
        self._reading: Exchange | None = None
        """Whose request is being read."""
        self._last: Exchange | None = None
        """Whose request was the last to begin."""
        self._queue: deque[Exchange] = deque()
        self._held = b""
        self._paused = self._closing = self._retiring = self._eof = self._turned = False
        self._refused = 0
        """With what status that is answered which cannot be read, once all before it is."""
        self.choked = False
        """Whether the client does not read what it is sent."""
        self.bound: dict[object, Origin] = {}
        """Connections to origins that nobody else may use, for they have taken this client's name."""
        self._policy: Policy | None = None
        self.profile: str | None = None
        """That of the client, None where it is not served."""
        self.is_local = False
        """Whether the client is a program of this machine, which may reach more."""
        self.deadline = NEVER
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    @property
    def closing(self) -> bool:
        """Whether no further request is served."""
        return self._closing or self._retiring

    def policy(self) -> Policy:
        """Return what is in force; with another policy the client may have another profile."""
        policy = self.house.policy()
        if policy is not self._policy:
            found = self.house.door.admit(self.address)
            self._policy, self.profile = policy, None if found is None else found.profile
        return policy

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        house = self.house
        if not self.address:
            self.address = plain(transport.get_extra_info("peername")[0])
        self.is_local = house.targets.is_local(self.address)
        if self._seat is None:
            self._seat = house.seats.take(self.address)
            if self._seat is None:
                house.count.event("http_over_limit")
                self._closing = True
                self.transport.abort()
                return
        self.transport.set_write_buffer_limits(UNSENT)
        self.deadline = house.loop.time() + house.waits.head
        house.sweeper.join(self)

    def data_received(self, data: bytes) -> None:
        if self._turned:  # another protocol comes, or what no one reads any more
            if not self._closing:
                self._held += data
            return
        if self._held:
            data, self._held = self._held + data, b""
        try:
            self._read(data)
        except Exception as exc:  # noqa: BLE001 - our own code failed: nothing of it may pass
            self.house.failed("client", exc)
            self.cut()

    def eof_received(self) -> bool:
        self._eof = True
        return not (self._current is None or self._closing or self._requests.within)  # it may still read its answer

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was, nobody is there
        self._closing = self._turned = True
        self._held = b""
        self.house.sweeper.leave(self)
        self._give_up_seat()
        for exchange in (self._current, *self._queue):
            if exchange is not None:
                exchange.abandon()
        self._queue.clear()
        self._current = self._reading = self._last = None
        self._requests.forget()
        for origin in list(self.bound.values()):
            origin.leave()
        self.bound.clear()
        self._close_first()

    def pause_writing(self) -> None:
        self.choked = True
        if self._current is not None:
            self._current.hold(yes=True)
        self.deadline = self.house.loop.time() + self.house.waits.answer

    def resume_writing(self) -> None:
        self.choked = False
        if self._current is not None:
            self._current.hold(yes=False)
        if not self._closing:
            self.deadline = NEVER if self._current is not None else self._between()
            self.go_on()

    def overdue(self) -> None:
        """End a wait that is too long."""
        if self._current is None and not self._closing and self._requests.within:
            self.refuse(408)
        else:
            self.transport.abort()

    def retire(self) -> None:
        """End between two requests."""
        self._retiring = True
        if self._current is None and not self._closing:
            self.finish()

    # What the reader tells

    def begun(self, request: Request) -> None:
        exchange = self._reading = self._last = Exchange(self, request)
        if self._current is None and not self._closing:
            self._current = exchange
            self.deadline = NEVER
            exchange.start()
        else:
            self._queue.append(exchange)  # at most those of one slice

    def body(self, piece: bytes) -> None:
        if self._reading is not None:
            self.deadline = self._idle()
            self._reading.send(piece)

    def ended(self, trailers: Fields) -> None:
        exchange, self._reading = self._reading, None
        if exchange is not None:
            if exchange is self._current:
                self.deadline = NEVER
            exchange.sent(trailers)

    # What exchanges ask for

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.transport.write(data)

    def finished(self, exchange: Exchange, *, keep: bool) -> None:
        """Take note that an exchange is over, both ways where `keep`; go on with the next, or end the connection."""
        if exchange is not self._current:
            return
        self._current = None
        if not keep or self._closing:
            self.finish()
            return
        while self._queue and self._current is None and not self._closing:
            self._current = following = self._queue.popleft()
            following.start()
        if self._current is None and not self._closing:
            if self._refused:
                self.refuse(self._refused)
                return
            if self._eof:
                self.finish()
                return
            self.deadline = self._between()
        self.go_on()

    def go_on(self) -> None:
        """Read on, if it waited for anything that is no more."""
        if self._paused and not self._stalled and not self._turned:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
            if self._held:
                # Not at once: what asks for this may be amid a call of the reader's.
                self.house.loop.call_soon(self.data_received, b"")

    def refuse(self, status: int) -> None:
        """Say why no more is read, and end the connection."""
        self.write(self.house.pages.refuse(status, None, keep=False))
        self.finish()

    def finish(self) -> None:
        """End the connection once what was said has left; what still comes is thrown away."""
        self._closing = self._turned = True
        self._held = b""
        transport = self.transport
        if transport.is_closing():
            return
        if self._eof or not (self._requests.within or self._queue):
            transport.close()
            self.deadline = self.house.loop.time() + self.house.waits.idle
            return
        # Closed with bytes unread, the kernel would reset the connection and take the answer with it.
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self.deadline = self.house.loop.time() + LINGER

    def cut(self) -> None:
        """End the connection so that nobody takes what came for all that there was."""
        self._closing = self._turned = True
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def stay(self, request: Request) -> None:
        """Go on with HTTP: the other protocol that `request` asked for is not spoken."""
        self._requests.stay(request)
        self._turned = False
        self.go_on()

    def taken(self) -> tuple[asyncio.Transport, bytes, str]:
        """Return the transport, what was read beyond the request, and the seat: all are the caller's from now on."""
        rest, self._held = self._held, b""
        seat, self._seat = self._seat, None
        self._closing = self._turned = True
        self._current = None
        self.house.sweeper.leave(self)
        self._close_first()
        assert seat is not None  # noqa: S101 - it is given up only when the connection is lost
        return self.transport, rest, seat

    # Reading

    @property
    def _stalled(self) -> bool:
        reading = self._reading
        return self.choked or bool(self._queue) or (reading is not None and reading.stalled)

    def _read(self, data: bytes) -> None:
        if self._current is None and not self._requests.within:
            self.deadline = self.house.loop.time() + self.house.waits.head
        at, size = 0, len(data)
        try:
            while at < size:
                if self._turned:
                    self._held = b"" if self._closing else data[at:]
                    break
                if self._stalled:
                    self._held = data[at:]
                    break
                end = at + SLICE
                rest = self._requests.feed(data if not at and size <= SLICE else data[at:end])
                if rest is None:
                    at = end
                    continue
                data, at = rest + data[end:], 0
                size = len(data)
                if self._turns():
                    self._turned, self._held = True, data
                    break
        except RefusedError as exc:
            self._broken(exc.status)
        if (self._held or self._stalled or self._turned) and not self._paused and not self._closing:
            self._paused = True
            self.transport.pause_reading()

    def _broken(self, status: int) -> None:
        """Answer what cannot be read, after all that was asked before it."""
        self.house.count.event("http_malformed")
        self._turned, self._refused, self._held = True, status, b""
        exchange, self._reading = self._reading, None
        if exchange is not None:
            exchange.broken(status)
        elif self._current is None:
            self.refuse(status)

    def _turns(self) -> bool:
        """Tell whether what follows is to be of the other protocol that was just asked for; else go on with HTTP."""
        last = self._last
        if last is not None and last.turned():
            return True
        if last is not None:
            self._requests.stay(last.request)
        return False

    def _between(self) -> float:  # the next request may have begun with the one before
        return self.house.loop.time() + self.house.waits.head if self._requests.within else self._idle()

    def _idle(self) -> float:
        return self.house.loop.time() + self.house.waits.idle

    def _give_up_seat(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            self.house.seats.leave(seat)

    def _close_first(self) -> None:
        first, self.first = self.first, None
        if first is not None:
            first.close()
