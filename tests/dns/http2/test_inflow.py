"""Requests and their bodies: whole or refused, and no more of them kept than there is room for."""

from __future__ import annotations

import pytest

from filterproxy.dns.http2.frames import (
    END_STREAM,
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Broken,
)
from filterproxy.dns.http2.inflow import LONGEST_BODY, ROOM, STREAMS, Inflow
from filterproxy.dns.http2.outflow import Opening, Outflow
from tests.dns.http2.client import FOUND, Said
from tests.dns.http2.test_outflow import frames_of


class Side:
    """The receiving side of a connection, and what it says."""

    def __init__(self) -> None:
        self.spent = 0
        self.outflow = Outflow(self._ended)
        self.inflow = Inflow[Said](self.outflow, self._spend)

    def _ended(self, stream: int) -> None:
        self.inflow.ended(stream)

    def _spend(self) -> None:
        self.spent += 1

    def begin(self, stream: int, flags: int = 0, **fields: object) -> None:
        assert self.inflow.begins(stream)
        self.inflow.begin(stream, flags, Said(b"/", **fields))  # type: ignore[arg-type]

    def data(self, stream: int, part: bytes, flags: int = 0, pad: int = 0) -> None:
        self.inflow.data(stream, flags, len(part) + pad, part)

    def answer(self, stream: int) -> None:
        self.inflow.due -= 1
        if stream in self.inflow.open:
            self.outflow.answer(stream, Opening(FOUND, 0), b"")

    def resets(self) -> dict[int, int]:
        return {one.stream_id: one.error_code for one in frames_of(self.outflow.take()) if hasattr(one, "error_code")}

    def broken(self, *args: object, code: int, **named: object) -> None:
        with pytest.raises(Broken) as found:
            self.data(*args, **named)  # type: ignore[arg-type]
        assert found.value.code == code


def test_a_body_in_pieces_is_one():
    """A request is handed out when its client has said all, and not before."""
    side = Side()
    side.begin(1, length=4)
    side.data(1, b"ab")
    assert side.inflow.asked == []
    side.data(1, b"cd", END_STREAM)
    assert side.inflow.asked == [(1, Said(b"/", 4), b"abcd")]
    assert (side.inflow.due, side.resets()) == (1, {})


@pytest.mark.parametrize(
    ("length", "parts"), [(3, [b"ab"]), (3, [b"abcd"]), (3, [b"ab", b"cd"]), (0, [b"a"]), (5, [b""])]
)
def test_a_body_of_another_length_is_malformed(length, parts):
    """Content-length and body must agree (RFC 9113, section 8.1.1); the stream ends, not the connection."""
    side = Side()
    side.begin(1, length=length)
    for number, part in enumerate(parts):
        side.data(1, part, END_STREAM if number == len(parts) - 1 else 0)
    assert (side.inflow.asked, side.resets()) == ([], {1: PROTOCOL_ERROR})
    assert side.inflow.open == {}


def test_a_body_that_is_too_long_is_handed_out_as_such():
    """It would wait for a window that it does not get; one that does not care for windows is cut off."""
    side = Side()
    side.begin(1)
    side.data(1, bytes(LONGEST_BODY - 1))
    side.data(1, b"x")
    assert side.inflow.asked == [(1, Said(b"/"), None)]
    side.data(1, b"")
    side.answer(1)
    assert side.resets() == {1: NO_ERROR}
    side.data(1, b"abc")
    side.data(1, b"abc", END_STREAM)
    side.broken(1, b"abc", code=STREAM_CLOSED)
    side.begin(3)
    side.data(3, bytes(LONGEST_BODY - 1))
    side.data(3, b"xy")
    assert side.resets() == {3: FLOW_CONTROL_ERROR}


def test_all_bodies_share_one_room():
    """Whoever sends more than the window of the connection breaks it; whole ones give their room back."""
    side = Side()
    for _ in range(20):
        for stream in range(side.inflow.last + 1 | 1, side.inflow.last + 5, 2):
            side.begin(stream)
            side.data(stream, bytes(30_000), END_STREAM, pad=100)
            side.answer(stream)
    kept = range(side.inflow.last + 2, side.inflow.last + 8, 2)
    for stream in kept:
        side.begin(stream)
        side.data(stream, bytes(ROOM // 4))
    side.broken(kept[0], bytes(ROOM // 2), code=FLOW_CONTROL_ERROR)


def test_no_more_may_be_open_than_are_let():
    """The next is refused and may be tried again; also while answers are awaited that nobody waits for any more."""
    side = Side()
    for number in range(STREAMS):
        side.begin(2 * number + 1, END_STREAM)
        side.inflow.reset(2 * number + 1)
    assert (side.inflow.open, side.inflow.due) == ({}, STREAMS)
    side.begin(2 * STREAMS + 1, END_STREAM)
    assert side.resets() == {2 * STREAMS + 1: REFUSED_STREAM}
    side.answer(1)
    side.begin(2 * STREAMS + 3, END_STREAM)
    assert side.inflow.asked[-1][0] == 2 * STREAMS + 3
    assert side.resets() == {}


def test_streams_begin_in_order_and_once():
    """Even ones are ours; what has ended does not begin again (RFC 9113, section 5.1.1)."""
    side = Side()
    side.begin(5, END_STREAM)
    side.answer(5)
    for stream, code in ((2, PROTOCOL_ERROR), (3, STREAM_CLOSED), (5, STREAM_CLOSED)):
        with pytest.raises(Broken) as found:
            side.inflow.begins(stream)
        assert found.value.code == code
    side.broken(7, b"x", code=PROTOCOL_ERROR)
    side.broken(0, b"x", code=PROTOCOL_ERROR)
    side.broken(5, b"x", code=STREAM_CLOSED)
    with pytest.raises(Broken):
        side.inflow.reset(7)


def test_fields_behind_a_body_end_it():
    """Nothing else may; and there is none where the client had said all."""
    side = Side()
    side.begin(1)
    side.data(1, b"ab")
    side.inflow.trailers(1, END_STREAM)
    assert side.inflow.asked == [(1, Said(b"/"), b"ab")]
    with pytest.raises(Broken):
        side.inflow.trailers(1, END_STREAM)
    side.begin(3)
    side.inflow.trailers(3, 0)
    assert side.resets() == {3: PROTOCOL_ERROR}
    side.inflow.trailers(3, END_STREAM)


def test_who_sends_what_nobody_wants_spends():
    """Empty pieces, malformed requests and refused ones count as trouble; too many cut off at once end it."""
    side = Side()
    side.begin(1)
    side.data(1, b"")
    side.inflow.begin(3, 0, None)
    assert side.spent == 2
    for stream in range(5, 2 * STREAMS + 3, 2):
        side.inflow.begin(stream, 0, None)
    with pytest.raises(Broken):
        side.inflow.begin(2 * STREAMS + 3, 0, None)


def test_once_we_leave_nothing_new_is_begun():
    """What was begun goes on; the rest is passed over, whatever it is."""
    side = Side()
    side.begin(1)
    side.inflow.no_more = True
    side.begin(3, END_STREAM)
    side.data(3, b"x")
    side.inflow.reset(3)
    side.data(1, b"x", END_STREAM)
    assert side.inflow.asked == [(1, Said(b"/"), b"x")]
    assert side.resets() == {}
