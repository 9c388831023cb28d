"""The server's side of HTTP/2 (RFC 9113), as much as DNS over HTTPS needs: no push, no priorities, short bodies.

It owns no socket. What a client sends goes into `receive`, which returns the requests that are whole; `take` returns
what is to be sent. Whatever breaks the rules, or only wastes our time, ends the connection with the code that the RFC
has for it; all that a client can make us keep is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import frames
from .frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    LARGEST_WINDOW,
    LONGEST_FRAME,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    Broken,
    frame,
    number,
    unpadded,
)
from .heads import MOST, Reader, Unreadable
from .inflow import ROOM, STREAMS, Head, Inflow
from .outflow import Outflow

if TYPE_CHECKING:
    from .heads import Heads
    from .outflow import Opening

PATIENCE: Final = 1000
"""Frames that ask nothing, which a client may send before it asks."""
EARNED: Final = 8
"""How many more it may send for each request that was answered."""

_GREETING: Final = frame(
    SETTINGS,
    0,
    0,
    SETTING.pack(frames.MAX_CONCURRENT_STREAMS, STREAMS) + SETTING.pack(frames.MAX_HEADER_LIST_SIZE, MOST),
) + frame(WINDOW_UPDATE, 0, 0, (ROOM - WINDOW).to_bytes(4))


class Http2[H: Head]:
    """One connection."""

    def __init__(self, heads: Heads[H]) -> None:
        self.over: int | None = None
        """The code that the connection has ended with, once it has; nothing that comes then is looked at."""
        self.foreign = False
        """Whether it ended because the client speaks something else; nothing was said to it."""
        self._reader = Reader(heads)
        self._rest = b""
        self._greeted = self._settled = False
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and the head so far, where more must follow
        self._patience = PATIENCE
        self._outflow = Outflow(self._ended)
        self._inflow = Inflow[H](self._outflow, self._spend)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked is answered and taken, as far as the client lets us."""
        return not self._inflow.due and not self._inflow.open and not self._outflow.size

    @property
    def due(self) -> int:
        """Requests that have no answer yet, whether or not anybody waits for it."""
        return self._inflow.due

    @property
    def size(self) -> int:
        """Bytes that `take` would return, about."""
        return self._outflow.size

    @property
    def unread(self) -> int:
        """Bytes of answers that the client's windows hold up."""
        return self._outflow.kept

    def take(self) -> bytes:
        """Return what is to be sent now."""
        return self._outflow.take()

    def receive(self, data: bytes) -> list[tuple[int, H, bytes | None]]:
        """Return the requests that `data` completes: stream, head and body; None for a body that is too long.

        Each of them is to get one `answer`.
        """
        if self._rest:
            data = self._rest + data
        at = 0
        if not self._greeted and self.over is None:
            at = self._greet(data)
        asked: list[tuple[int, H, bytes | None]] = []
        if self.over is not None or not self._greeted:
            return asked
        self._inflow.asked = asked
        try:
            at = self._read(data, at)
        except Broken as exc:
            self.end(exc.code)
        except Unreadable as exc:
            self.end(ENHANCE_YOUR_CALM if exc.calm else COMPRESSION_ERROR)
        else:
            self._rest = data[at:]
        return asked

    def answer(self, stream: int, opening: Opening, body: bytes) -> None:
        """Answer a request; where nobody waits for it any more, that is all."""
        inflow = self._inflow
        inflow.due -= 1
        if stream in inflow.open and self.over is None:
            self._outflow.answer(stream, opening, body)

    def ignore(self, stream: int) -> None:
        """Give a request no answer, ever."""
        self._inflow.due -= 1
        self._inflow.drop(stream)

    def leave(self) -> None:
        """Begin nothing more: what comes from now on is passed over."""
        self._inflow.no_more = True

    def lose(self) -> None:
        """Let go of all: the connection is lost. Answers may still be given, to nobody."""
        if self.over is None:
            self.over = NO_ERROR
        self._rest, self._block = b"", None
        # What is left must be no circle: of one that is set aside (see runtime/garbage.py) nothing would be freed.
        self._inflow.lose()
        self._outflow.lose()

    def part(self) -> None:
        """Say that we leave, and which request was the last (section 6.8): others may be put elsewhere.

        Only when all is answered, for some clients take no answer that comes behind it.
        """
        self.leave()
        self.end(NO_ERROR)

    def end(self, code: int) -> None:
        """End the connection, and say why."""
        if self.over is None:
            self.over = code
            if self._greeted:
                last = self._inflow.last
                self._outflow.say(frame(GOAWAY, 0, 0, last.to_bytes(4) + code.to_bytes(4)))

    def _ended(self, stream: int) -> None:
        self._patience = min(PATIENCE, self._patience + EARNED)
        try:
            self._inflow.ended(stream)
        except Broken as exc:
            self.end(exc.code)

    def _spend(self, number: int = 1) -> None:
        self._patience -= number
        if self._patience < 0:
            raise Broken(ENHANCE_YOUR_CALM)

    # What comes

    def _greet(self, data: bytes) -> int:
        """Read the preface, and return the offset behind it."""
        if data[: len(PREFACE)] != PREFACE[: len(data)]:
            self.over, self.foreign = PROTOCOL_ERROR, True
        elif len(data) < len(PREFACE):
            self._rest = data
        else:
            self._greeted = True
            self._outflow.say(_GREETING)
        return len(PREFACE)

    def _read(self, data: bytes, at: int) -> int:
        """Read all whole frames from `at` on, and return the offset behind them. Raises Broken and Unreadable."""
        inflow, reader, size, unpack = self._inflow, self._reader, len(data), frames.HEAD.unpack_from
        while size - at >= 9:
            high, low, kind, flags, stream = unpack(data, at)
            length = high << 8 | low
            end = at + 9 + length
            if length > LONGEST_FRAME:
                raise Broken(FRAME_SIZE_ERROR)
            if end > size:
                break
            if kind == HEADERS and flags == 5 and self._settled and self._block is None:
                # The usual request without a body, known by its bytes: it takes one look-up and no call.
                head = reader.heads.young.get(reader.table + data[at + 9 : end])
                if (
                    head is not None
                    and inflow.last < stream < 0x80000000
                    and stream & 1
                    and head.length <= 0
                    and inflow.due < STREAMS > len(inflow.open)
                    and not inflow.no_more
                ):
                    inflow.last, inflow.open[stream] = stream, None
                    inflow.due += 1
                    inflow.asked.append((stream, head, b""))
                    at = end
                    continue
            self._frame(kind, flags, stream & 0x7FFFFFFF, data[at + 9 : end])
            at = end
        return at

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind != CONTINUATION or stream != self._block[0]):  # section 6.2
            raise Broken(PROTOCOL_ERROR)
        if not self._settled and (kind != SETTINGS or flags & ACK):  # section 3.4
            raise Broken(PROTOCOL_ERROR)
        if kind == DATA:
            self._inflow.data(stream, flags, len(payload), unpadded(flags, payload))
        elif kind == HEADERS:
            self._headers(stream, flags, payload)
        elif kind == CONTINUATION:
            self._continuation(flags, payload)
        else:
            self._spend()
            if kind in _RULES:
                _check(kind, stream, len(payload))
            if kind == WINDOW_UPDATE:
                self._window_update(stream, number(payload) & LARGEST_WINDOW)
            elif kind == RST_STREAM:
                self._inflow.reset(stream)
            elif kind == SETTINGS:
                self._settings(flags, payload)
            elif kind == PING and not flags & ACK:
                self._outflow.say(frame(PING, ACK, 0, payload))
            elif kind == PUSH_PROMISE:
                raise Broken(PROTOCOL_ERROR)

    def _headers(self, stream: int, flags: int, payload: bytes) -> None:
        self._inflow.begins(stream)
        block = unpadded(flags, payload)
        if flags & PRIORITIZED:
            if len(block) < 5:
                raise Broken(FRAME_SIZE_ERROR)
            block = block[5:]
        self._head(stream, flags, block)

    def _continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise Broken(PROTOCOL_ERROR)
        self._spend(PATIENCE // 8)  # nobody needs one, and many of them are an attack
        stream, first, block = self._block
        self._block = None
        self._head(stream, first | flags & END_HEADERS, block + payload)

    def _head(self, stream: int, flags: int, block: bytes) -> None:
        if len(block) > MOST:
            raise Broken(ENHANCE_YOUR_CALM)
        if not flags & END_HEADERS:
            self._block = stream, flags, block
        elif self._inflow.begins(stream):
            self._inflow.begin(stream, flags, self._reader.read(block))
        else:
            self._reader.unpack(block)  # those behind it depend on it
            self._inflow.trailers(stream, flags)

    def _window_update(self, stream: int, more: int) -> None:
        if stream > self._inflow.last and not self._inflow.no_more:
            raise Broken(PROTOCOL_ERROR)
        if not stream:
            if not more:
                raise Broken(PROTOCOL_ERROR)
            self._outflow.widen(more)
        elif stream in self._inflow.open:
            if not more:  # section 6.9
                self._inflow.refuse(stream, PROTOCOL_ERROR)
            elif not self._outflow.widen_stream(stream, more):
                self._inflow.refuse(stream, FLOW_CONTROL_ERROR)

    def _settings(self, flags: int, payload: bytes) -> None:
        if len(payload) % SETTING.size or (flags & ACK and payload):
            raise Broken(FRAME_SIZE_ERROR)
        if flags & ACK:
            return
        self._settled = True
        self._spend(len(payload) // SETTING.size)
        for name, value in SETTING.iter_unpack(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                self._outflow.begin_with(value)
            elif name == frames.HEADER_TABLE_SIZE and value < frames.TABLE:
                self._outflow.forget()
            elif (name == frames.ENABLE_PUSH and value > 1) or (
                name == frames.MAX_FRAME_SIZE and not LONGEST_FRAME <= value < 1 << 24
            ):
                raise Broken(PROTOCOL_ERROR)
        self._outflow.say(frame(SETTINGS, ACK, 0))


_RULES: Final = {
    PRIORITY: (True, 5), RST_STREAM: (True, 4), SETTINGS: (False, None), PING: (False, 8), GOAWAY: (False, None),
    WINDOW_UPDATE: (None, 4),
}  # fmt: skip
"""Of frames that ask nothing: whether they are about a stream, and how long they are; None where either may be."""


def _check(kind: int, stream: int, length: int) -> None:
    """Raise Broken where such a frame cannot be."""
    of_stream, size = _RULES[kind]
    if of_stream is not None and of_stream != (stream > 0):
        raise Broken(PROTOCOL_ERROR)
    if size is not None and length != size:
        raise Broken(FRAME_SIZE_ERROR)
