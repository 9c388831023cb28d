"""Requests have one reading, however they are cut; what has two, or is none of ours, is refused."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filterproxy.gateway.memo import Memo
from filterproxy.gateway.requests import LONGEST_HEAD, Block, Fields, RefusedError, Request, Requests

HOST = b"Host: a.example\r\n"


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.trailers: list[Fields] = []

    def begun(self, request: Request) -> None:
        self.requests.append(request)
        self.bodies.append(b"")

    def body(self, piece: bytes) -> None:
        self.bodies[-1] += piece

    def ended(self, trailers: Fields) -> None:
        self.trailers.append(trailers)

    @property
    def whole(self) -> list[tuple[bytes, bytes, bytes, Fields]]:
        """What was read of each request that ended."""
        heads = self.requests[: len(self.trailers)]
        return [
            (item.method, item.target, body, trailers)
            for item, body, trailers in zip(heads, self.bodies, self.trailers, strict=False)
        ]


def read(*pieces: bytes) -> Told:
    told = Told()
    reader = Requests(told)
    for piece in pieces:
        assert reader.feed(piece) is None
    assert reader.within is (len(told.requests) > len(told.trailers))
    return told


STORY = (
    b"GET http://a.example/x HTTP/1.1\r\n" + HOST + b"X-Empty:\r\nX-Tab: a\tb \t\r\n\r\n"
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
    b"PUT /y HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"3;q=1\r\nabc\r\n02\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n"
    b"\r\nHEAD /z HTTP/1.0\r\n\r\n"
)  # fmt: skip
WHOLE = [
    (b"GET", b"http://a.example/x", b"", []),
    (b"POST", b"/", b"hello", []),
    (b"PUT", b"/y", b"abcde", [(b"X-Sum", b"9")]),
    (b"HEAD", b"/z", b"", []),
]


@given(st.lists(st.integers(1, len(STORY) - 1), max_size=40))
def test_requests_are_the_same_however_they_are_cut(cuts):
    """In one piece, in many, one behind the other."""
    at = [0, *sorted(cuts), len(STORY)]
    told = read(*(STORY[start:end] for start, end in pairwise(at) if start < end))
    assert told.whole == WHOLE
    first = told.requests[0]
    assert first.fields == [(b"Host", b"a.example"), (b"X-Empty", b""), (b"X-Tab", b"a\tb")]
    assert (first.host, first.minor, first.keep, first.bodied) == (b"a.example", 1, True, False)
    assert [(item.length, item.chunked) for item in told.requests[1:]] == [(5, False), (None, True), (None, False)]
    assert (told.requests[3].minor, told.requests[3].keep, told.requests[3].host) == (0, False, None)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"host: b.example\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"CONNECT a.example:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),  # folded
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n : a\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GETT / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501),  # TLS
        (b"SSH-2.0-client\r\n", 501),
    ],
)
def test_what_has_two_readings_or_none_of_ours_is_refused(head, status):
    """RFC 9112, sections 2.2, 3.2, 5, 6.1, 6.3 and 11.2; and nothing of it is begun."""
    told = Told()
    with pytest.raises(RefusedError) as caught:
        Requests(told).feed(head)
    assert caught.value.status == status
    assert not told.trailers


@pytest.mark.parametrize(
    "body",
    [
        b"3\nabc\n0\n\n", b"3 \r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"-1\r\nabc\r\n", b"3\r\nabcX\r\n",
        b"fffffffffffffffff\r\nabc\r\n", b'3;a="x\ny"\r\nabc\r\n', b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
        b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"\r\n",
    ],
)  # fmt: skip
def test_a_body_in_chunks_is_strict(body):
    """RFC 9112, section 7.1."""
    told = Told()
    with pytest.raises(RefusedError):
        Requests(told).feed(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert not told.trailers


def test_a_head_has_a_greatest_length():
    """Also where it comes in small pieces; what follows it is not counted."""
    reader = Requests(Told())
    reader.feed(b"GET / HTTP/1.1\r\n" + HOST)
    for _ in range(LONGEST_HEAD // 1000):
        reader.feed(b"X: " + b"a" * 995 + b"\r\n")
    with pytest.raises(RefusedError) as caught:
        reader.feed(b"X: " + b"a" * 995 + b"\r\n")
    assert caught.value.status == 431
    told = read(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n", *[b"a" * 10_000] * 20, STORY)
    assert len(told.bodies[0]) == 200_000
    assert len(told.whole) == 5


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_what_follows_a_request_for_another_protocol_is_left_unread(length):
    """It is the other protocol's."""
    told = Told()
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    head = b"GET / HTTP/1.1\r\n" + HOST + upgrade + length + b"\r\n"
    assert Requests(told).feed(head + b"\x81\x05hello") == b"\x81\x05hello"
    assert told.requests[0].upgrade
    assert len(told.trailers) == 1
    told = Told()
    assert Requests(told).feed(b"CONNECT a.example:443 HTTP/1.1\r\n" + HOST + b"\r\n\x16\x03\x01") == b"\x16\x03\x01"
    assert (told.requests[0].target, told.requests[0].upgrade) == (b"a.example:443", True)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_request_for_a_protocol_that_we_do_not_follow_keeps_its_body(framing, cut):
    """The parser leaves it unread; the requests behind it are read as ever."""
    told = Told()
    reader = Requests(told)
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + framing
    rest = reader.feed(head + STORY)
    assert rest is not None
    reader.stay(told.requests[0])
    for piece in (rest[:cut], rest[cut:]):
        assert reader.feed(piece) is None
    assert told.whole == [(b"POST", b"/", b"hello", []), *WHOLE]


PIECES = st.one_of(st.binary(max_size=60), st.sampled_from([STORY, HOST, b"\r\n", b"GET / HTTP/1.1\r\n"]))


@given(st.lists(PIECES, max_size=8))
def test_whatever_comes_is_read_or_refused(pieces):
    """Nothing else is raised, and nothing ends that did not begin."""
    told = Told()
    reader = Requests(told)
    try:
        for piece in pieces:
            if reader.feed(piece) is not None:
                return
    except RefusedError as exc:
        assert exc.status in (400, 431, 501, 505)
    assert len(told.trailers) <= len(told.requests)


WORDS = [
    b"GET http://a.example/ HTTP/1.1\r\n", b"HEAD /x HTTP/1.1\r\n", b"POST /y HTTP/1.1\r\n", b"GET /z HTTP/1.0\r\n",
    b"Host: x\r\n", b"Cookie: secret=1\r\n", b"Accept: */*\r\n", b"\r\n", b"Connection: close\r\n", b"X: y\r\n",
    b"Content-Length: 3\r\n", b"abc", b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\n\r\n", b"\n", b"GET ", b"\r",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
]  # fmt: skip
"""What streams are made of, rightly and wrongly."""
READS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(b"".join)
LINES = st.lists(st.sampled_from([HOST, b"Cookie: secret=1\r\n", b"A: *\r\n"]), max_size=3)
RIGHT = st.lists(
    LINES.map(lambda lines: [b"GET / HTTP/1.1\r\n", *lines, b"\r\n"]), min_size=1, max_size=3
).map(lambda requests: [piece for request in requests for piece in request])  # fmt: skip


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """Return a stream that is nearly right, cut between any of its lines."""
    reads = [b""]
    for piece in draw(RIGHT):
        if reads[-1] and draw(st.booleans()):
            reads.append(b"")
        reads[-1] += piece
    return reads


class Heard:
    """Everything that is told of a stream."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def begun(self, request) -> None:
        told = request.method, request.target, request.minor, tuple(request.fields), request.host, request.length
        self.said.append((*told, request.chunked, request.keep, request.upgrade, request.binds))

    def body(self, piece) -> None:
        if self.said and isinstance(self.said[-1], bytes):
            self.said[-1] += piece
        else:
            self.said.append(bytes(piece))

    def ended(self, trailers) -> None:
        self.said.append(("ended", tuple(trailers)))


def heard(reads, blocks) -> list[object]:
    """Return what is told of a connection that brings these reads."""
    told = Heard()
    reader = Requests(told, blocks)
    for data in reads:
        try:
            rest = reader.feed(data)
        except RefusedError as exc:
            told.said.append(("refused", exc.status))
            break
        if rest is not None:
            told.said.append(("rest", rest))
            break
        if any(isinstance(item, tuple) and len(item) == 10 and not item[7] for item in told.said):
            break  # it was the last that the client may ask
    return told.said


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(cut(), cut(), st.lists(READS, min_size=1, max_size=5)), min_size=1, max_size=4))
@example(
    connections=[
        [b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\n" + HOST, b"A: *\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n\r\n"],
    ]
)
def test_what_others_have_said_changes_no_reading(connections):
    """Any connections, cut in any way: with all that was read before in mind each is read as by itself."""
    loop = asyncio.new_event_loop()
    blocks = Memo[Block](loop)
    try:
        for _ in range(2):
            for reads in connections:
                assert heard(reads, blocks) == heard(reads, Memo[Block]())
    finally:
        blocks.forget()
        loop.close()
