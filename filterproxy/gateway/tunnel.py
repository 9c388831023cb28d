"""Tunnels: bytes between a client and an origin, moved by the kernel, unread by us.

Each way is a flow, and waits for one thing at a time: for its source to send, for its sink to take, or for its turn.
A flow takes no more from its source than its sink has room for, so that what a slow reader leaves waits in sockets.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .pipes import Pipe, Pipes

HALF_SECONDS: Final = 60.0
"""How long a tunnel may be idle at most, once one side has ended."""
_LOOKS: Final = 4
"""How often it is looked at within its idle time: it ends by so much later."""
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=12xI4xI")
"""The size of the send buffer and what is taken of it, among what SO_MEMINFO tells (linux/sock_diag.h)."""
type Ending = Literal["ended", "reset", "idle", "closed"]
"""Both sides ended; one was reset or could not be reached; nothing moved; or we closed it."""

_RESET: Final = struct.pack("ii", 1, 0)


def take_over(transport: asyncio.Transport) -> socket.socket:
    """Return the connection of `transport` as a socket that is the caller's, and close the transport, not that.

    What it has been given to write must have left: with `set_write_buffer_limits(0)` that is so unless `pause_writing`
    was called and `resume_writing` was not, and `get_write_buffer_size()` tells. Better: write nothing, and give it to
    `Tunnel.begin`. Its protocol is still told that the connection is lost, later. Raises ValueError where bytes wait,
    and OSError where no descriptor is left.
    """
    if transport.is_closing() or transport.get_write_buffer_size():
        raise ValueError("the transport is closing, or has yet to write")
    transport.pause_reading()
    taken = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    taken.setblocking(False)
    transport.close()
    return taken


class Flow:
    """One way of a tunnel."""

    __slots__ = (
        "_asked", "_held", "_inside", "_loop", "_pipe", "_pipes", "_reading", "_sink", "_source", "_tunnel", "_writing",
        "ended", "moved",
    )  # fmt: skip

    def __init__(self, tunnel: Tunnel, source: socket.socket, sink: socket.socket) -> None:
        """Move from `source` to `sink`, once it has begun."""
        self._tunnel: Tunnel | None = tunnel
        self._loop, self._pipes = tunnel.loop, tunnel.pipes
        self._source, self._sink = source, sink
        self._held = b""  # what goes before all that is still in the source
        self._pipe: Pipe | None = None
        self._inside = 0  # bytes in the pipe
        self._reading = self._writing = self._asked = False
        self.ended = False
        """Whether the source has sent all, and the sink was told so."""
        self.moved = 0
        """Bytes that the sink has taken."""

    def begin(self, first: bytes) -> None:
        """Send the bytes `first`, then what comes."""
        self._held = first
        self._ask()

    def queued(self) -> tuple[int, int]:
        """Return the bytes in the sink's send buffer, and how many there may be, as the kernel counts them."""
        size, taken = _MEMINFO.unpack_from(self._sink.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64))
        return taken, size

    def close(self) -> None:
        """Wait for nothing any more. The sockets are closed after that."""
        self._read(on=False)
        self._write(on=False)
        if self._pipe is not None:
            self._pipe.drain(self._inside)
            self._give_back(self._pipe)
        self._inside, self._held = 0, b""
        self._tunnel = None  # no circle is left: see the end of dns/streams.py

    # What it waits for

    def _ask(self) -> None:
        if not self._asked:  # else the loop says again what it said before
            self._asked = True
            self._pipes.ask(self)

    def _read(self, *, on: bool) -> None:
        if on is not self._reading:
            self._reading = on
            if on:
                self._loop.add_reader(self._source, self._ask)
            else:
                self._loop.remove_reader(self._source)

    def _write(self, *, on: bool) -> None:
        if on is not self._writing:
            self._writing = on
            if on:
                self._loop.add_writer(self._sink, self._ask)
            else:
                self._loop.remove_writer(self._sink)

    def _wait_for_source(self) -> None:
        self._write(on=False)
        self._read(on=True)

    def _wait_for_sink(self) -> None:
        self._read(on=False)
        self._write(on=True)

    # What it does in its turn

    def turn(self) -> None:
        """Move as much as one pipe takes, as far as it can be moved now."""
        self._asked = False
        tunnel = self._tunnel
        if tunnel is None or self.ended:
            return
        try:
            if self._held:
                self._send()
            if self._pipe is not None:
                self._pour(self._pipe)
            if not (self._held or self._inside):
                self._move(tunnel)
        except OSError:
            tunnel.cut("reset")  # whichever side it was: something is lost, and the other must see that

    def yield_pipe(self) -> None:
        """Keep in memory what is in the pipe, and give the pipe back."""
        if self._pipe is not None:
            self._held, self._inside = self._pipe.drain(self._inside), 0
            self._give_back(self._pipe)

    def _send(self) -> None:
        try:
            sent = self._sink.send(self._held)
        except BlockingIOError:
            sent = 0
        self.moved += sent
        self._held = self._held[sent:]
        if self._held:
            self._wait_for_sink()

    def _move(self, tunnel: Tunnel) -> None:
        taken, size = self.queued()
        if size - taken < taken >> 1:  # just then the kernel calls it not writable, so that this wait is no busy one
            self._wait_for_sink()
            return
        pipe = self._pipe = self._pipes.lend()
        most = min(size - taken, pipe.size)
        try:
            got = os.splice(self._source.fileno(), pipe.mouth, most, flags=_FLAGS)
        except OSError as exc:
            self._give_back(pipe)
            if not isinstance(exc, BlockingIOError):
                raise
            self._wait_for_source()
            return
        if not got:
            self._give_back(pipe)
            self._end(tunnel)
            return
        self._inside = got
        self._pour(pipe)
        if self._inside:
            return
        if got < most:
            self._wait_for_source()
        else:
            self._ask()

    def _pour(self, pipe: Pipe) -> None:
        sink = self._sink.fileno()
        try:
            while self._inside:
                sent = os.splice(pipe.end, sink, self._inside, flags=_FLAGS)
                self._inside -= sent
                self.moved += sent
        except BlockingIOError:
            self._pipes.keep(self)
            self._wait_for_sink()
        else:
            self._give_back(pipe)

    def _give_back(self, pipe: Pipe) -> None:
        self._pipe = None
        self._pipes.give(self, pipe)

    def _end(self, tunnel: Tunnel) -> None:
        self._read(on=False)
        self._write(on=False)
        self.ended = True
        self._sink.shutdown(socket.SHUT_WR)
        tunnel.half()


class Tunnel:
    """A client and an origin, and what they say to each other, until both have ended or something ends it."""

    __slots__ = (
        "_done", "_idle", "_mark", "_sockets", "_still", "_timer",
        "ending", "loop", "pipes", "to_client", "to_origin",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipes: Pipes,
        client: socket.socket,
        origin: socket.socket,
        idle: float,
        done: Callable[[Tunnel], None],
    ) -> None:
        """Own two TCP sockets that do not block, and close them, at the latest `idle` seconds and a quarter after the
        last byte was moved or left a send buffer. `done` is called then, once, with the tunnel.
        """
        self.loop, self.pipes = loop, pipes
        self.ending: Ending | None = None
        """Why it has ended."""
        self._sockets, self._idle = (client, origin), idle
        self._done: Callable[[Tunnel], None] | None = done
        for sock in self._sockets:
            # What waits for more to come would wait for an acknowledgement that the other side may delay.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.to_origin, self.to_client = Flow(self, client, origin), Flow(self, origin, client)
        self._still, self._mark = 0, (0, 0, 0, 0)
        self._timer = loop.call_later(idle / _LOOKS, self._look)

    def begin(self, to_origin: bytes = b"", to_client: bytes = b"") -> None:
        """Move what comes, after what was read already, or is ours to say."""
        self.to_origin.begin(to_origin)
        self.to_client.begin(to_client)

    def close(self) -> None:
        """End it now, as by a reset."""
        self.cut("closed")

    def half(self) -> None:
        """Take note that one way has ended: at the second, both sockets are closed; they still send what they hold."""
        if self.to_origin.ended and self.to_client.ended:
            self._finish("ended")
            return
        self._idle, self._still = min(self._idle, HALF_SECONDS), 0
        self._timer.cancel()
        self._timer = self.loop.call_later(self._idle / _LOOKS, self._look)

    def cut(self, ending: Ending) -> None:
        """Reset both connections: neither side may take what it has for all that there was."""
        if self.ending is None:
            for sock in self._sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        done, self._done, self.ending = self._done, None, ending
        self._timer.cancel()
        for flow in (self.to_origin, self.to_client):
            flow.close()
        for sock in self._sockets:
            sock.close()
        if done is not None:
            done(self)

    def _look(self) -> None:
        """End what stood still in all the latest looks. A splice resets no timer: this costs less, and is as good."""
        there, back = self.to_origin, self.to_client
        mark = (there.moved, back.moved, there.queued()[0], back.queued()[0])
        self._still = self._still + 1 if mark == self._mark else 0
        self._mark = mark
        if self._still < _LOOKS:
            self._timer = self.loop.call_later(self._idle / _LOOKS, self._look)
        else:
            self.cut("idle")
