"""What is sent: all of it, in pieces, and never more than the client has room for."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, Frame, HeadersFrame
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.http2.frames import LARGEST_WINDOW, LONGEST_FRAME, WINDOW, Broken
from filterproxy.dns.http2.outflow import Opening, Outflow


def frames_of(data: bytes) -> list[Frame]:
    found = []
    while data:
        one, length = Frame.parse_frame_header(memoryview(data[:9]))
        one.parse_body(memoryview(data[9 : 9 + length]))
        found.append(one)
        data = data[9 + length :]
    return found


class Client:
    """Counts what it gave room for and what came, by stream."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.closed: set[int] = set()
        self.outflow = Outflow(self.ended.append)
        self.window, self.initial = WINDOW, WINDOW
        self.gained: dict[int, int] = {}
        self.came: dict[int, bytes] = {}

    def read(self) -> None:
        for one in frames_of(self.outflow.take()):
            if isinstance(one, DataFrame):
                size = len(one.data)
                assert size <= LONGEST_FRAME
                self.came[one.stream_id] += one.data
                self.window -= size
                self.gained[one.stream_id] -= size
                assert self.window >= 0
                assert self.initial + self.gained[one.stream_id] >= 0
                assert one.stream_id not in self.closed
                if "END_STREAM" in one.flags:
                    self.closed.add(one.stream_id)
            else:
                assert isinstance(one, HeadersFrame)
                self.came[one.stream_id], self.gained[one.stream_id] = b"", self.gained.get(one.stream_id, 0)


STEP = st.one_of(
    st.tuples(st.just("answer"), st.integers(1, 50_000)),
    st.tuples(st.just("widen"), st.integers(1, 40_000)),
    st.tuples(st.just("stream"), st.integers(1, 40_000)),
    st.tuples(st.just("initial"), st.integers(0, 70_000)),
)


@given(st.lists(STEP, max_size=30))
def test_no_window_is_overrun_and_nothing_is_lost(steps):
    """However windows change: what was sent fits them, and when there is room for all, all has come."""
    client = Client()
    outflow, bodies = client.outflow, {}
    for number, (what, size) in enumerate(steps):
        stream = 2 * number + 1
        if what == "answer":
            bodies[stream] = bytes([number]) * size
            outflow.answer(stream, Opening(b"\x88", size), bodies[stream])
        elif what == "widen":
            client.window += size
            outflow.widen(size)
        elif what == "stream" and (waiting := list(outflow.waiting)):
            client.gained[waiting[0]] = client.gained.get(waiting[0], 0) + size
            assert outflow.widen_stream(waiting[0], size)
        elif what == "initial":
            client.initial = size
            outflow.begin_with(size)
        client.read()
        assert outflow.kept == sum(map(len, outflow.waiting.values()))
    client.window += 10_000_000
    outflow.widen(10_000_000)
    client.initial = 200_000
    outflow.begin_with(200_000)
    client.read()
    assert client.came == bodies
    assert sorted(client.ended) == sorted(client.closed) == sorted(bodies)
    assert not outflow.waiting
    assert outflow.kept == outflow.size == 0


def test_windows_have_an_end():
    """More than 2^31-1 breaks the connection, or the stream alone (RFC 9113, section 6.9.1)."""
    for wrong in (
        lambda outflow: outflow.widen(LARGEST_WINDOW),
        lambda outflow: outflow.begin_with(LARGEST_WINDOW + 1),
        lambda outflow: (outflow.widen_stream(1, 1), outflow.begin_with(LARGEST_WINDOW)),
    ):
        with pytest.raises(Broken):
            wrong(Outflow(lambda _: None))
    assert not Outflow(lambda _: None).widen_stream(1, LARGEST_WINDOW)


def test_a_table_that_must_be_small_is_given_up_once():
    """The first head behind that says so (RFC 7541, section 4.2), no other."""
    outflow = Outflow(lambda _: None)
    outflow.forget()
    for stream in (1, 3):
        outflow.answer(stream, Opening(b"\x88", 1), b"x")
    found = [one.data for one in frames_of(outflow.take()) if isinstance(one, HeadersFrame)]
    assert found == [b"\x20\x88", b"\x88"]


def test_what_nobody_waits_for_is_forgotten():
    """Its bytes are given up, and its windows."""
    outflow = Outflow(lambda _: None)
    outflow.begin_with(0)
    outflow.answer(1, Opening(b"\x88", 5), b"hello")
    assert outflow.kept == 5
    outflow.drop(1)
    assert (outflow.kept, outflow.waiting) == (0, {})


@pytest.mark.parametrize("body", [b"", b"short", bytes(WINDOW + 1)])
def test_of_a_stream_that_ended_nothing_is_kept(body):
    """Neither what its window had more: that is not to count when all windows are widened."""
    ended: list[int] = []
    outflow = Outflow(ended.append)
    outflow.widen(LARGEST_WINDOW - WINDOW)
    for stream in (1, 3):
        assert outflow.widen_stream(stream, 100)
        outflow.answer(stream, Opening(b"\x88", len(body)), body)
    assert ended == [1, 3]
    assert not outflow._gained
    outflow.begin_with(LARGEST_WINDOW)
