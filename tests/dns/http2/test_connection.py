"""HTTP/2 as other software speaks it, as nobody should, and as those speak it who want to be a burden."""

from __future__ import annotations

import gc
import weakref

import pytest
from hpack import Encoder
from hyperframe.frame import GoAwayFrame, RstStreamFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.dns.http2 import frames, inflow
from filterproxy.dns.http2.connection import PATIENCE, Http2
from filterproxy.dns.http2.frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    frame,
)
from filterproxy.dns.http2.heads import Heads
from filterproxy.dns.http2.outflow import Opening
from tests.dns.http2.client import FOUND, Client, Pair, said
from tests.dns.http2.test_outflow import frames_of

HELLO = PREFACE + frame(SETTINGS, 0, 0)
BLOCK = Encoder().encode([(":method", "GET"), (":scheme", "https"), (":path", "/")])
WHOLE = END_HEADERS | END_STREAM


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, SETTING.pack(name, value))


def code_of(*said_frames: bytes, hello: bytes = HELLO, answer: bool = True) -> int | None:
    """Return how the connection ends that says that; what is asked is answered at once."""
    pair = Pair.__new__(Pair)
    pair.server, pair.asked, pair.held = Http2(Heads(said)), [], []
    for data in (hello, *said_frames):
        pair.put(data, hold=not answer)
    code = pair.server.over
    sent = frames_of(pair.server.take())
    goaway = [one.error_code for one in sent if isinstance(one, GoAwayFrame)]
    assert goaway == ([] if code is None or pair.server.foreign else [code])
    assert pair.server.receive(WHOLE.to_bytes() + bytes(100)) == [] or code is None
    return code


def test_a_library_s_client_is_served():
    """By GET and POST, many at once, with bodies up to the longest, again and again."""
    pair = Pair()
    for number in range(30):
        streams = {pair.client.ask(f"/{number}"): f"/{number}".encode()}
        for size in (1, 1000, 20_000):
            streams[pair.client.ask("/", bytes([number]) * size)] = bytes([number]) * size
        pair.turn()
        for stream, body in streams.items():
            answer = pair.client.answers[stream]
            assert (answer.status, answer.body, answer.ended, answer.reset) == (200, body, True, None)
    longest = pair.client.ask("/", bytes(65_534))
    pair.turn()
    assert len(pair.client.answers[longest].body) == 65_534
    assert (pair.server.over, pair.server.idle) == (None, True)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=40))
def test_it_does_not_matter_how_it_arrives(cuts: list[int]):
    """Bytes cut anywhere make the same requests."""
    client = Client()
    client.h2.initiate_connection()
    for number in range(4):
        client.ask(f"/{number}")
        client.ask(f"/{number}", b"x" * 100 * number)
    data = client.h2.data_to_send()
    server, asked = Http2(Heads(said)), []
    for size in cuts:
        asked += server.receive(data[:size])
        data = data[size:]
    asked += server.receive(data)
    assert [(stream, head.path) for stream, head, _ in asked] == [(n * 2 + 1, f"/{n // 2}".encode()) for n in range(8)]
    assert [len(body or b"") for _, _, body in asked] == [0, 0, 0, 100, 0, 200, 0, 300]


def test_a_long_body_waits_for_the_client_s_window():
    """A client that gives no room gets what it has room for, the rest when it gives some, and others wait with it."""
    pair = Pair(update=False)
    first = pair.client.ask("/", bytes(40_000))
    pair.turn()
    second, third = pair.client.ask("/", b"x" * 40_000), pair.client.ask("/third")
    pair.turn()
    assert len(pair.client.answers[first].body) == 40_000
    assert pair.server.unread == 40_000 + 40_000 - 65_535 + 6
    pair.client.h2.increment_flow_control_window(100_000)
    pair.turn()
    assert pair.client.answers[second].body == b"x" * 40_000
    assert pair.client.answers[third].body == b"/third"
    assert (pair.server.unread, pair.server.idle) == (0, True)


def test_answers_come_in_any_order_and_only_where_they_are_awaited():
    """One that was reset gets none; and an answer is given once."""
    pair = Pair()
    first, second, third = (pair.client.ask(f"/{number}") for number in range(3))
    pair.turn(hold=True)
    pair.client.h2.reset_stream(second)
    pair.turn()
    for stream in (third, second, first):
        pair.answer(stream, b"%d" % stream)
        pair.turn()
    assert [pair.client.answers[stream].body for stream in (first, second, third)] == [b"1", b"", b"5"]
    assert (pair.server.due, pair.server.idle) == (0, True)


def test_a_head_in_two_pieces_is_read():
    """CONTINUATION is nobody's habit, and allowed."""
    assert code_of(
        frame(HEADERS, END_STREAM, 1, BLOCK[:1]), frame(CONTINUATION, END_HEADERS, 1, BLOCK[1:]),
        frame(HEADERS, WHOLE | PRIORITIZED | PADDED, 3, b"\2" + bytes(5) + BLOCK + bytes(2)),
        frame(PRIORITY, 0, 5, bytes(5)), frame(0xBE, 255, 7, b"grease"), frame(PING, 0, 0, bytes(8)),
        frame(GOAWAY, 0, 0, bytes(8)), setting(0xF0, 1), frame(SETTINGS, ACK, 0),
    ) is None  # fmt: skip


WRONG: dict[str, tuple[list[bytes], int]] = {
    "a frame that is too long": ([frame(DATA, 0, 1, bytes(16_385))], FRAME_SIZE_ERROR),
    "only the head of one": ([frame(HEADERS, 5, 1, bytes(20_000))[:9]], FRAME_SIZE_ERROR),
    "a head on an even stream": ([frame(HEADERS, WHOLE, 2, BLOCK)], PROTOCOL_ERROR),
    "a head on no stream": ([frame(HEADERS, WHOLE, 0, BLOCK)], PROTOCOL_ERROR),
    "a stream that goes back": ([frame(HEADERS, WHOLE, n, BLOCK) for n in (3, 1)], STREAM_CLOSED),
    "a stream twice": ([frame(HEADERS, WHOLE, 1, BLOCK)] * 2, STREAM_CLOSED),
    "a head without its end": ([frame(HEADERS, END_STREAM, 1, BLOCK), frame(PING, 0, 0, bytes(8))], PROTOCOL_ERROR),
    "another's continuation": ([frame(HEADERS, 1, 1, BLOCK), frame(CONTINUATION, 4, 3)], PROTOCOL_ERROR),
    "a continuation of nothing": ([frame(CONTINUATION, END_HEADERS, 1, BLOCK)], PROTOCOL_ERROR),
    "a head that cannot be read": ([frame(HEADERS, WHOLE, 1, b"\x80")], COMPRESSION_ERROR),
    "a head with half a priority": ([frame(HEADERS, WHOLE | PRIORITIZED, 1, b"\0\0")], FRAME_SIZE_ERROR),
    "too much padding": ([frame(HEADERS, WHOLE | PADDED, 1, b"\5abc")], PROTOCOL_ERROR),
    "data on no stream": ([frame(DATA, END_STREAM, 0, b"x")], PROTOCOL_ERROR),
    "data before its head": ([frame(DATA, END_STREAM, 1, b"x")], PROTOCOL_ERROR),
    "data behind the end": ([frame(HEADERS, WHOLE, 1, BLOCK), frame(DATA, 1, 1, b"x")], STREAM_CLOSED),
    "a reset of nothing": ([frame(RST_STREAM, 0, 1, bytes(4))], PROTOCOL_ERROR),
    "a reset of all": ([frame(RST_STREAM, 0, 0, bytes(4))], PROTOCOL_ERROR),
    "a short reset": ([frame(HEADERS, WHOLE, 1, BLOCK), frame(RST_STREAM, 0, 1, bytes(3))], FRAME_SIZE_ERROR),
    "settings of a stream": ([frame(SETTINGS, 0, 1)], PROTOCOL_ERROR),
    "half a setting": ([frame(SETTINGS, 0, 0, bytes(5))], FRAME_SIZE_ERROR),
    "an acknowledgement that says something": ([frame(SETTINGS, ACK, 0, bytes(6))], FRAME_SIZE_ERROR),
    "push, perhaps": ([setting(frames.ENABLE_PUSH, 2)], PROTOCOL_ERROR),
    "a window that is too large": ([setting(frames.INITIAL_WINDOW_SIZE, 1 << 31)], FLOW_CONTROL_ERROR),
    "frames that are too short": ([setting(frames.MAX_FRAME_SIZE, 16_383)], PROTOCOL_ERROR),
    "frames that are too long": ([setting(frames.MAX_FRAME_SIZE, 1 << 24)], PROTOCOL_ERROR),
    "a push": ([frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + BLOCK)], PROTOCOL_ERROR),
    "a ping of a stream": ([frame(PING, 0, 1, bytes(8))], PROTOCOL_ERROR),
    "a short ping": ([frame(PING, 0, 0, bytes(7))], FRAME_SIZE_ERROR),
    "a goodbye of a stream": ([frame(GOAWAY, 0, 1, bytes(8))], PROTOCOL_ERROR),
    "a priority of nothing": ([frame(PRIORITY, 0, 0, bytes(5))], PROTOCOL_ERROR),
    "a short priority": ([frame(PRIORITY, 0, 1, bytes(4))], FRAME_SIZE_ERROR),
    "no room for more": ([frame(WINDOW_UPDATE, 0, 0, bytes(4))], PROTOCOL_ERROR),
    "half of some room": ([frame(WINDOW_UPDATE, 0, 0, bytes(3))], FRAME_SIZE_ERROR),
    "too much room": ([frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")] * 2, FLOW_CONTROL_ERROR),
    "room for nothing": ([frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")], PROTOCOL_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_rule_that_is_broken_ends_the_connection(what: str):
    """With the code that RFC 9113 has for it, and nothing is read behind that."""
    said_frames, code = WRONG[what]
    assert code_of(*said_frames) == code


@pytest.mark.parametrize(
    "first", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK, 0), frame(HEADERS, WHOLE, 1, BLOCK)]
)
def test_settings_come_first(first: bytes):
    """Behind the preface stands nothing else (RFC 9113, section 3.4)."""
    assert code_of(first, hello=PREFACE) == PROTOCOL_ERROR


POST = Encoder().encode([(":method", "POST"), (":scheme", "https"), (":path", "/"), ("content-length", "9")])
FLOODS = {
    "pings": [frame(PING, 0, 0, bytes(8))],
    "settings": [frame(SETTINGS, 0, 0)],
    "long settings": [frame(SETTINGS, 0, 0, SETTING.pack(99, 0) * 100)],
    "priorities": [frame(PRIORITY, 0, 1, bytes(5))],
    "unknown frames": [frame(0x77, 0, 0)],
    "windows": [frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")],
    "empty data": [frame(DATA, 0, 1)],
    "continuations": [frame(CONTINUATION, 0, 1)],
}  # fmt: skip


@pytest.mark.parametrize("what", FLOODS)
def test_frames_that_ask_nothing_come_to_an_end(what: str):
    """Ping, settings, empty data and the like (CVE-2019-9512 to 9518, CVE-2024-27316): some, then no more."""
    start = {"empty data": frame(HEADERS, END_HEADERS, 1, POST), "continuations": frame(HEADERS, 0, 1, BLOCK[:1])}
    assert code_of(start.get(what, b""), *FLOODS[what] * (PATIENCE + 2)) == ENHANCE_YOUR_CALM


def test_who_asks_may_go_on_for_ever():
    """Some pings and windows beside each question, as libraries send them, never add up."""
    pair = Pair()
    for number in range(2 * PATIENCE):
        pair.client.ask("/", b"x" * 10)
        pair.client.h2.ping(number.to_bytes(8))
        pair.turn()
    assert pair.server.over is None


@pytest.mark.parametrize("held", [False, True])
def test_questions_that_are_reset_at_once_are_no_way_around_the_bounds(held: bool):
    """Rapid reset (CVE-2023-44487): no more are ever begun and unanswered than are let, and it ends soon."""
    server, most = Http2(Heads(said)), 0
    server.receive(HELLO)
    for number in range(10 * PATIENCE):
        stream = 2 * number + 1
        asked = server.receive(frame(HEADERS, WHOLE, stream, BLOCK) + frame(RST_STREAM, 0, stream, bytes(4)))
        most = max(most, server.due)
        server.take()
        if server.over is not None:
            break
        if not held and asked:
            server._inflow.due -= 1
    assert (server.over, most) == (ENHANCE_YOUR_CALM, inflow.STREAMS if held else 1)


def test_a_head_that_never_ends_is_not_kept():
    """Beyond 8 KiB it is too much, in one frame or in several."""
    for pieces in ([bytes(9000)], [bytes(4000)] * 3):
        said_frames = [frame(HEADERS, END_STREAM, 1, pieces[0])]
        said_frames += [frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:]]
        assert code_of(*said_frames) == ENHANCE_YOUR_CALM
    bomb = Encoder()
    long = bomb.encode([(":method", "GET"), (":scheme", "https"), (":path", "/"), ("x", "y" * 3900)])
    assert (
        code_of(frame(HEADERS, WHOLE, 1, long), frame(HEADERS, WHOLE, 3, BLOCK + b"\xbe" * 1000)) == ENHANCE_YOUR_CALM
    )


def test_a_malformed_request_ends_alone():
    """Its stream is reset; the next is answered."""
    pair = Pair()
    pair.client.h2.config.validate_outbound_headers = pair.client.h2.config.normalize_outbound_headers = False
    wrong = pair.client.ask("/", None, ("Upper", "case"))
    right = pair.client.ask("/right")
    pair.turn()
    assert pair.client.answers[wrong].reset == PROTOCOL_ERROR
    assert pair.client.answers[right].body == b"/right"


def test_more_at_once_than_are_let_are_refused():
    """By a code that says that nothing was done with them (RFC 9113, section 8.7)."""
    pair = Pair()
    assert pair.client.h2.remote_settings.max_concurrent_streams == inflow.STREAMS
    server = Http2(Heads(said))
    server.receive(HELLO)
    for number in range(inflow.STREAMS + 5):
        server.receive(frame(HEADERS, WHOLE, 2 * number + 1, BLOCK))
    refused = [one.stream_id for one in frames_of(server.take()) if isinstance(one, RstStreamFrame)]
    assert refused == [2 * number + 1 for number in range(inflow.STREAMS, inflow.STREAMS + 5)]


def test_a_stream_s_window_has_an_end():
    """The stream is reset, the connection goes on (RFC 9113, section 6.9.1)."""
    pair = Pair()
    stream = pair.client.ask("/")
    pair.turn(hold=True)
    pair.put(frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff"))
    pair.turn()
    assert pair.client.answers[stream].reset == FLOW_CONTROL_ERROR
    assert pair.server.over is None


def test_whoever_leaves_says_so_and_finishes():
    """What was begun is answered, the rest passed over; then it says which was the last."""
    pair = Pair()
    stream = pair.client.ask("/one")
    pair.turn(hold=True)
    pair.server.leave()
    pair.client.ask("/late")
    pair.turn(hold=True)
    assert [one for one, _, _ in pair.asked] == [stream]
    assert not pair.server.idle
    pair.answer(stream, b"x")
    pair.turn()
    assert (pair.client.answers[stream].body, pair.server.idle) == (b"x", True)
    pair.server.part()
    goodbyes = [one.last_stream_id for one in frames_of(pair.server.take()) if isinstance(one, GoAwayFrame)]
    assert (goodbyes, pair.server.over) == ([stream], NO_ERROR)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/1.1\r\n\r\nSM", b"\0", b"\x16\x03\x01"])
def test_something_else_is_told_apart(data: bytes):
    """Whoever does not begin as HTTP/2 does gets no frame."""
    server = Http2(Heads(said))
    assert server.receive(data) == []
    assert (server.foreign, server.take()) == (True, b"")
    assert server.receive(data) == []


FRAMES = st.builds(
    frame,
    st.sampled_from([*range(10), 200]), st.integers(0, 255), st.sampled_from([0, 1, 2, 3, 5, 7, 2**31 - 1]),
    st.one_of(st.binary(max_size=40), st.just(BLOCK), st.just(POST), st.just(b"\0\0\0\1"), st.just(bytes(16_384))),
)  # fmt: skip


@given(st.lists(st.one_of(FRAMES, st.binary(max_size=30)), max_size=40))
def test_whatever_comes_is_served_or_ended(parts: list[bytes]):
    """Any frames and any bytes: nothing is raised, and all that is said back is whole frames."""
    server = Http2(Heads(said))
    server.receive(HELLO)
    for part in parts:
        for stream, _, _ in server.receive(part):
            if stream % 4 == 1:
                server._inflow.due -= 1
                continue
            opening = Opening(FOUND, 3)
            server.answer(stream, opening, b"abc")
        frames_of(server.take())
        assert server.due <= inflow.STREAMS
        assert len(server._rest) <= 9 + frames.LONGEST_FRAME


def test_a_window_that_is_widened_by_nothing_ends_its_stream():
    """The connection goes on (RFC 9113, section 6.9)."""
    pair = Pair()
    stream = pair.client.ask("/")
    pair.turn(hold=True)
    pair.put(frame(WINDOW_UPDATE, 0, stream, bytes(4)))
    pair.turn()
    assert pair.client.answers[stream].reset == PROTOCOL_ERROR
    assert pair.server.over is None


def test_a_connection_that_is_lost_is_no_circle():
    """Whether or not it waits for anything; an answer that comes then is nobody's."""
    gc.disable()
    try:
        for hold in (True, False):
            pair = Pair()
            stream = pair.client.ask("/", bytes(100))
            pair.turn(hold=hold)
            server = pair.server
            server.lose()
            if hold:
                server.answer(stream, Opening(FOUND, 5), b"nobody"[:5])
            assert (server.due, server.size, server.receive(b"more")) == (0, 0, [])
            gone = weakref.ref(server)
            del pair, server
            assert gone() is None
    finally:
        gc.enable()
