"""What an HTTP/2 connection has to send: answers, as far as the client's windows have room (RFC 9113, section 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    HEADERS,
    LARGEST_WINDOW,
    LONGEST_FRAME,
    WINDOW,
    Broken,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Opening:
    """The head of an answer with a body of `size` bytes, and all that stands around it but the stream's number."""

    __slots__ = ("block", "first", "second")

    def __init__(self, block: bytes, size: int) -> None:
        """Take the head as HPACK has it; it must neither use nor change a table."""
        self.block = block
        self.first = frame(HEADERS, END_HEADERS if size else END_HEADERS | END_STREAM, 0, block)[:5]
        self.second = block + frame(DATA, END_STREAM, 0, bytes(min(size, LONGEST_FRAME)))[:5] if size else block


class Outflow:
    """The sending side of one connection."""

    def __init__(self, ended: Callable[[int], None]) -> None:
        """`ended` is told of a stream all of whose answer is sent."""
        self.waiting: dict[int, bytes] = {}
        """Bodies, or their rests, that no window has room for."""
        self.kept = 0
        """Bytes of these."""
        self.size = 0
        """Bytes that `take` would return."""
        self._ended = ended
        self._out: list[bytes] = []
        self._window = self._initial = WINDOW
        self._gained: dict[int, int] = {}  # what a stream's window has more than those begin with, or less
        self._forget = False

    def say(self, data: bytes) -> None:
        """Send frames that no window holds up."""
        self._out.append(data)
        self.size += len(data)

    def take(self) -> bytes:
        """Return what is to be sent now."""
        data = b"".join(self._out)
        self._out.clear()
        self.size = 0
        return data

    def answer(self, stream: int, opening: Opening, body: bytes) -> None:
        """Send an answer, or as much of it as there is room for."""
        size, number = len(body), stream.to_bytes(4)
        if (
            size <= self._window
            and size <= self._initial
            and size <= LONGEST_FRAME
            and not self.waiting
            and not self._forget
        ):
            self._window -= size
            self.size += size + 64
            if self._gained:
                self._gained.pop(stream, None)
            if size:
                self._out.append(b"".join((opening.first, number, opening.second, number, body)))
            else:
                self._out.append(b"".join((opening.first, number, opening.block)))
            self._ended(stream)
            return
        block = opening.block
        if self._forget:
            block, self._forget = b"\x20" + block, False
        self.say(frame(HEADERS, opening.first[4], stream, block))
        if not body:
            self._gained.pop(stream, None)
            self._ended(stream)
            return
        self.waiting[stream] = body
        self.kept += size
        self.pump()

    def lose(self) -> None:
        """Let go of all: the connection is lost, and nothing is to be sent any more."""
        self.waiting.clear()
        self._gained.clear()
        self._out.clear()
        self.kept = self.size = 0
        del self._ended

    def drop(self, stream: int) -> None:
        """Forget a stream."""
        self._gained.pop(stream, None)
        self.kept -= len(self.waiting.pop(stream, b""))

    def forget(self) -> None:
        """Give up our HPACK table, which we never use, for the client wants it small: the next head says so.

        RFC 7541, sections 4.2 and 6.3.
        """
        self._forget = True

    def begin_with(self, window: int) -> None:
        """Let the windows of all streams, also of those that are open, begin with so many bytes. Raises Broken."""
        if any(window + gained > LARGEST_WINDOW for gained in (0, *self._gained.values())):
            raise Broken(FLOW_CONTROL_ERROR)
        self._initial = window
        self.pump()

    def widen(self, more: int) -> None:
        """Give the window of the connection `more` bytes. Raises Broken."""
        self._window += more
        if self._window > LARGEST_WINDOW:
            raise Broken(FLOW_CONTROL_ERROR)
        self.pump()

    def widen_stream(self, stream: int, more: int) -> bool:
        """Give the window of an open stream `more` bytes, and return whether it can be so large."""
        gained = self._gained.get(stream, 0) + more
        if self._initial + gained > LARGEST_WINDOW:
            return False
        self._gained[stream] = gained
        self.pump()
        return True

    def pump(self) -> None:
        """Send of what waits as much as there is room for, each in its turn."""
        for stream, body in list(self.waiting.items()):
            gained = self._gained.get(stream, 0)
            room = min(self._window, self._initial + gained)
            if room <= 0:
                continue
            for at in range(0, min(room, len(body)), LONGEST_FRAME):
                part = body[at : min(room, at + LONGEST_FRAME)]
                last = at + len(part) == len(body)
                self.say(frame(DATA, END_STREAM if last else 0, stream, part))
            sent = min(room, len(body))
            self._window -= sent
            self.kept -= sent
            if sent == len(body):
                del self.waiting[stream]
                self._gained.pop(stream, None)
                self._ended(stream)
            else:
                self._gained[stream], self.waiting[stream] = gained - sent, body[sent:]
