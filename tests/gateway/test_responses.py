"""Responses answer what was asked, have one reading however they are cut, and end where they end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.requests import LONGEST_HEAD, Fields
from filterproxy.gateway.responses import BrokenError, Response, Responses


class Told:
    """A sink that keeps what it is told, and asks for as much as `asks` says: whether each is a HEAD."""

    def __init__(self, *asks: bool) -> None:
        self.heads: list[Response] = []
        self.bodies: list[bytes] = []
        self.trailers: list[Fields] = []
        self._asks = list(asks)
        self.reader = Responses(self)
        self.next()

    def next(self) -> None:
        if self._asks:
            self.reader.ask(head=self._asks.pop(0))

    def answered(self, response: Response) -> None:
        self.heads.append(response)
        if not response.interim:
            self.bodies.append(b"")

    def body(self, piece: bytes) -> None:
        self.bodies[-1] += piece

    def ended(self, trailers: Fields) -> None:
        self.trailers.append(trailers)


def read(*pieces: bytes, head: bool = False) -> Told:
    told = Told(head)
    for piece in pieces:
        assert told.reader.feed(piece) is None
    return told


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
WHOLE = [
    (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", []),
    (OK + b"Content-Length: 0\r\n\r\n", b"", []),
    (OK + CHUNKED + b"2\r\nab\r\n1;q\r\nc\r\n0\r\nX: 1\r\n\r\n", b"abc", [(b"X", b"1")]),
    (b"HTTP/1.1 204 \r\n\r\n", b"", []),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", []),
    (INTERIM + OK + b"Content-Length: 1\r\n\r\na", b"a", []),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", b"a", []),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "body", "trailers"), WHOLE)
@given(cuts=st.lists(st.integers(1, 150), max_size=20))
def test_a_response_is_the_same_however_it_is_cut(sent, body, trailers, cuts):
    """And may be followed by another on the same connection."""
    at = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    told = read(*(sent[start:end] for start, end in pairwise(at) if start < end))
    assert (told.bodies, told.trailers) == ([body], [trailers])
    assert told.heads[-1].keep
    assert not told.reader.pending


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        OK + b"Content-Length: 3, 3\r\n\r\nabc",
        OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\0\r\nContent-Length: 0\r\n\r\n",
        OK + b"X : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-server\r\n",
        OK + b"Content-Length: 1\r\n\r\nab",
        OK + b"Content-Length: 0\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\nabc",
        OK + b"X: " + b"a" * LONGEST_HEAD,
    ],
)
def test_what_cannot_be_passed_on_is_refused(sent):
    """Two readings, none of ours, or more than was asked for: nothing of that reaches a client as an answer."""
    with pytest.raises(BrokenError):
        read(sent)


def test_what_was_not_asked_for_is_refused():
    """A response that lies ready for the next request is somebody's attempt to have it answered."""
    told = read(WHOLE[0][0])
    with pytest.raises(BrokenError):
        told.reader.feed(b"H")
    with pytest.raises(BrokenError):
        Responses(told).feed(OK)


@pytest.mark.parametrize(
    "fields",
    [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n", b"Content-Length: 0\r\n\r\n"],
)
def test_the_answer_to_a_head_has_no_body(fields):
    """It says how long one would be; the connection goes on, and a body all the same ends it."""
    told = Told(True, False)
    told.reader.feed(OK + fields)
    assert (told.bodies, told.trailers, told.heads[0].bodied) == ([b""], [[]], False)
    assert told.heads[0].keep is (fields != b"\r\n")
    told.next()
    told.reader.feed(WHOLE[0][0])
    assert told.bodies == [b"", b"hello"]
    with pytest.raises(BrokenError):
        read(OK + fields, b"hello", head=True)
    with pytest.raises(BrokenError):
        read(OK + b"Content-Length: 5\r\n\r\nhello", head=True)


def test_a_body_without_a_length_ends_with_the_connection():
    """One that has a length is cut short by it, and so is one in chunks, and one that has not begun."""
    told = read(OK + b"\r\n", b"abc")
    assert not told.heads[0].keep
    assert not told.trailers
    assert told.reader.close()
    assert (told.bodies, told.trailers) == ([b"abc"], [[]])
    for sent in (OK + b"Content-Length: 5\r\n\r\nabc", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", OK, b""):
        cut = read(sent) if sent else Told(False)
        assert not cut.reader.close()
        assert not cut.trailers


def test_what_follows_a_change_of_protocol_is_left_unread():
    """It is the other protocol's."""
    told = Told(False)
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert told.reader.feed(head + b"\x81\x05hello") == b"\x81\x05hello"
    assert (told.heads[0].status, told.trailers) == (101, [])


PIECES = st.one_of(st.binary(max_size=60), st.sampled_from([item[0] for item in WHOLE]))


@given(st.lists(PIECES, max_size=6), st.booleans())
def test_whatever_comes_is_read_or_refused(pieces, head):
    """Nothing else is raised, and one request has one answer."""
    told = Told(head)
    try:
        for piece in pieces:
            if told.reader.feed(piece) is not None:
                return
        told.reader.close()
    except BrokenError:
        pass
    assert len(told.trailers) <= 1
    assert sum(not item.interim for item in told.heads) <= 1
