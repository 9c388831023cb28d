"""The requests of one HTTP/2 connection: their bodies until they are whole, and which streams are still open.

All bodies that are not whole yet share one window, so a client can make us keep no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from .frames import (
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    STREAM_CLOSED,
    WINDOW,
    WINDOW_UPDATE,
    Broken,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outflow import Outflow

STREAMS: Final = 100
"""Requests of one connection that may be open at once, or whose answer is still awaited though nobody waits for it."""
LONGEST_BODY: Final = WINDOW
"""Bytes of a body: as long as a DNS message can be, and as the window that each stream begins with."""
ROOM: Final = 2 * WINDOW
"""Bytes of bodies, not yet whole, of one connection."""


class Head(Protocol):
    """What is made of a request's head."""

    @property
    def length(self) -> int:
        """The length of its body as it says; -1 where it does not."""
        ...


class _Body[H]:
    """The body of an open request, as far as it came; without `head` nobody wants it any more."""

    __slots__ = ("data", "flow", "head")

    def __init__(self, head: H | None) -> None:
        self.head, self.data, self.flow = head, bytearray(), 0


class Inflow[H: Head]:
    """The receiving side of one connection, less its frames."""

    def __init__(self, outflow: Outflow, spend: Callable[[], None]) -> None:
        """`spend` is told of what is asked for nothing; it raises Broken where there was too much of that."""
        self.last = 0
        """The latest stream that was begun."""
        self.no_more = False
        """Whether streams behind that are passed over, as they are once we have said that we leave."""
        self.due = 0
        """Requests that were handed out and have no answer yet, whether or not anybody waits for it."""
        self.asked: list[tuple[int, H, bytes | None]] = []
        """Requests that are whole: stream, head and body; None for a body that is too long."""
        self.open: dict[int, _Body[H] | None] = {}
        """Streams without a whole answer; None where the client has said all."""
        self._outflow, self._spend = outflow, spend
        self._cut: set[int] = set()  # streams that we ended while their client was sending
        self._room, self._owed = ROOM, 0

    @property
    def full(self) -> bool:
        """Whether no more requests may begin."""
        return self.due >= STREAMS or len(self.open) >= STREAMS

    def begins(self, stream: int) -> bool:
        """Return whether a head on `stream` begins it; else it ends one that is open, or was cut. Raises Broken."""
        if not stream & 1:
            raise Broken(PROTOCOL_ERROR)
        if stream > self.last:
            return True
        if stream not in self.open and stream not in self._cut:
            raise Broken(STREAM_CLOSED)
        return False

    def begin(self, stream: int, flags: int, head: H | None) -> None:
        """Take the head of a request; None for a malformed one."""
        if self.no_more:
            return
        self.last = stream
        ended = flags & END_STREAM
        if head is None or (ended and head.length > 0):
            self._refuse(stream, flags, PROTOCOL_ERROR)
        elif self.full:
            self._refuse(stream, flags, REFUSED_STREAM)
        elif ended:
            self.open[stream] = None
            self._hand_out(stream, head, b"")
        else:
            self.open[stream] = _Body(head)

    def trailers(self, stream: int, flags: int) -> None:
        """Take the fields behind a body; what they say is nothing to us."""
        if stream in self._cut:
            if flags & END_STREAM:
                self._cut.discard(stream)
            return
        body = self.open[stream]
        if body is None:
            raise Broken(STREAM_CLOSED)
        if flags & END_STREAM:
            self._whole(stream, body)
        else:  # RFC 9113, section 8.1
            self._refuse(stream, flags, PROTOCOL_ERROR)

    def data(self, stream: int, flags: int, flow: int, part: bytes) -> None:
        """Take a piece of a body, which was `flow` bytes with its padding."""
        if not stream or (stream > self.last and not self.no_more):
            raise Broken(PROTOCOL_ERROR)
        self._room -= flow
        if self._room < 0:
            raise Broken(FLOW_CONTROL_ERROR)
        if not part and not flags & END_STREAM:
            self._spend()
        body = self.open.get(stream)
        if body is None:
            self._unwanted(stream, flags, flow)
            return
        body.flow += flow
        if body.head is None:
            self._give(body)
            if flags & END_STREAM:
                self.open[stream] = None
            return
        body.data += part
        if body.flow > LONGEST_BODY:
            self._refuse(stream, flags, FLOW_CONTROL_ERROR)
        elif 0 <= body.head.length < len(body.data):
            self._refuse(stream, flags, PROTOCOL_ERROR)
        elif flags & END_STREAM:
            self._whole(stream, body)
        elif body.flow == LONGEST_BODY:  # it could only wait for a window that it will not get
            self.open[stream] = _Body(None)
            self._hand_out(stream, body.head, None)
            self._give(body)

    def _unwanted(self, stream: int, flags: int, flow: int) -> None:
        """Take a piece of a body that has no stream any more."""
        if stream <= self.last and stream not in self._cut:
            raise Broken(STREAM_CLOSED)
        self._owe(flow)
        if flags & END_STREAM:
            self._cut.discard(stream)

    def _whole(self, stream: int, body: _Body[H]) -> None:
        """Take a request whose client has said all."""
        self._give(body)
        self.open[stream] = None
        head = body.head
        if head is None:
            return
        if head.length not in (-1, len(body.data)):  # section 8.1.1
            self._refuse(stream, END_STREAM, PROTOCOL_ERROR)
        elif self.due >= STREAMS:
            self._refuse(stream, END_STREAM, REFUSED_STREAM)
        else:
            self._hand_out(stream, head, bytes(body.data))

    def _hand_out(self, stream: int, head: H, body: bytes | None) -> None:
        self.due += 1
        self.asked.append((stream, head, body))

    def reset(self, stream: int) -> None:
        """Take that the client wants no answer. It is awaited all the same, and counts until then."""
        if not stream or (stream > self.last and not self.no_more):
            raise Broken(PROTOCOL_ERROR)
        self._cut.discard(stream)
        self.drop(stream)

    def ended(self, stream: int) -> None:
        """Take that an answer is sent; what its client still sends is not wanted."""
        body = self.open.pop(stream, None)
        if body is not None:
            self._give(body)
            self._cut_off(stream, NO_ERROR)

    def refuse(self, stream: int, code: int) -> None:
        """End an open stream without an answer."""
        self._refuse(stream, END_STREAM if self.open[stream] is None else 0, code)

    def _refuse(self, stream: int, flags: int, code: int) -> None:
        self._spend()
        self.drop(stream)
        if flags & END_STREAM:
            self._outflow.say(frame(RST_STREAM, 0, stream, code.to_bytes(4)))
        else:
            self._cut_off(stream, code)

    def _cut_off(self, stream: int, code: int) -> None:
        self._outflow.say(frame(RST_STREAM, 0, stream, code.to_bytes(4)))
        self._cut.add(stream)
        if len(self._cut) > STREAMS:  # that many at once are no accident
            raise Broken(ENHANCE_YOUR_CALM)

    def lose(self) -> None:
        """Let go of all: the connection is lost, and no answer is awaited."""
        self.open.clear()
        self.asked = []
        del self._spend

    def drop(self, stream: int) -> None:
        """Forget a stream."""
        body = self.open.pop(stream, None)
        if body is not None:
            self._give(body)
        self._outflow.drop(stream)

    def _give(self, body: _Body[H]) -> None:
        """Let the client send as much again as that body held."""
        flow, body.flow = body.flow, 0
        self._owe(flow)

    def _owe(self, flow: int) -> None:
        """See that `flow` bytes are given back to the window, before it could hold anybody up."""
        self._owed += flow
        if self._owed and (self._owed >= ROOM // 4 or self._room < ROOM // 4):
            self._outflow.say(frame(WINDOW_UPDATE, 0, 0, self._owed.to_bytes(4)))
            self._room += self._owed
            self._owed = 0
