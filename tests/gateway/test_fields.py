"""What leaves us is framed once, tells that we stand in between, and holds nothing that was meant for us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.fields import Forwarded, Heads
from filterproxy.gateway.requests import Request, Requests
from filterproxy.gateway.responses import Response
from tests.gateway import test_requests, test_responses

HOST = b"Host: a.example\r\n"
START = b"GET / HTTP/1.1\r\n"


def heads(forwarded: Forwarded = "delete", *, via: bool = False) -> Heads:
    return Heads(forwarded, b"fp_seen", via=via)


def asked(fields: bytes, start: bytes = START) -> Request:
    told = test_requests.Told()
    Requests(told).feed(start + HOST + fields + b"\r\n")
    return told.requests[0]


def answered(fields: bytes, start: bytes = b"HTTP/1.1 200 OK\r\n") -> Response:
    told = test_responses.Told(False)
    told.reader.feed(start + fields + b"\r\n")
    return told.heads[0]


def passed_on(fields: bytes, forwarded: Forwarded = "delete", client: str = "192.0.2.7") -> bytes:
    """Return what an origin gets of these fields, behind the Host field."""
    found = heads(forwarded).request(asked(fields), b"/x?y", b"b.example:81", client, upgrade=False)
    start = b"GET /x?y HTTP/1.1\r\nHost: b.example:81\r\n"
    assert found.startswith(start)
    assert found.endswith(b"\r\n\r\n")
    return found[len(start) : -2]


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (b"Accept: */*\r\naccept: a\r\n", b"Accept: */*\r\naccept: a\r\n"),
        (b"X-Empty:\r\n", b"X-Empty: \r\n"),
        (b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", b""),
        (b"Proxy-Authorization: Basic x\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n", b""),
        (b"X-Hop: 1\r\nX-Own: 2\r\nConnection: close, x-HOP ,\r\nX-Hop: 3\r\n", b"X-Own: 2\r\n"),
        (b"Connection: x-one\r\nConnection: x-two\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n", b"X-Three: 3\r\n"),
        (b"Connection: cookie, range\r\nCookie: a=1\r\nRange: b\r\n", b"Cookie: a=1\r\nRange: b\r\n"),
        (b"Connection: host, content-length\r\nContent-Length: 3\r\n", b"Content-Length: 3\r\n"),
        (b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\n"),
        (b"Content-Length: 007\r\n", b"Content-Length: 7\r\n"),
        (b"Cookie: a=1; fp_seen=x; b=2\r\nCookie: fp_seen=y\r\n", b"Cookie: a=1; b=2\r\n"),
        (b"Cookie: fp_seen2=1;a=fp_seen\r\n", b"Cookie: fp_seen2=1; a=fp_seen\r\n"),
        (b"Expect: 100-continue\r\nTrailer: X\r\n", b"Expect: 100-continue\r\nTrailer: X\r\n"),
        (b"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n", b""),
    ],
)  # fmt: skip
def test_a_request_goes_on_without_what_was_meant_for_us(came, goes):
    """Whatever a Connection field names too, but for what a message would mean something else without."""
    assert passed_on(came) == goes


@pytest.mark.parametrize(
    ("forwarded", "client", "goes"),
    [
        ("keep", "192.0.2.7", b"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n"),
        ("x-forwarded-for", "192.0.2.7", b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.7\r\n"),
        ("forwarded", "192.0.2.7", b"Forwarded: for=10.0.0.1\r\nForwarded: for=192.0.2.7\r\n"),
        ("forwarded", "2001:db8::1", b'Forwarded: for=10.0.0.1\r\nForwarded: for="[2001:db8::1]"\r\n'),
    ],
)
def test_origins_are_told_of_the_client_where_the_operator_says_so(forwarded, client, goes):
    """Behind what the client said itself, which may be anything."""
    assert passed_on(b"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n", forwarded, client) == goes


def test_who_stands_in_between_says_so_both_ways():
    """Behind those who stood there before."""
    request = heads(via=True).request(asked(b"Via: 1.0 before\r\n"), b"/", b"a.example", "192.0.2.7", upgrade=False)
    assert request.endswith(b"Via: 1.0 before\r\nVia: 1.1 filterproxy\r\n\r\n")
    assert b"Via: 1.1 filterproxy\r\n" in heads(via=True).response(answered(b""), chunked=False, keep=None)


@pytest.mark.parametrize(
    ("came", "chunked", "keep", "goes"),
    [
        (b"Content-Length: 3\r\nServer: x\r\n", False, None, b"Server: x\r\nContent-Length: 3\r\n"),
        (b"Content-Length: 3\r\n", False, True, b"Connection: keep-alive\r\nContent-Length: 3\r\n"),
        (b"Connection: close\r\n", True, None, b"Transfer-Encoding: chunked\r\n"),
        (b"", False, False, b"Connection: close\r\n"),
        (b"Alt-Svc: h3=\":443\"\r\nKeep-Alive: x\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n", False, None, b""),
        (b"Connection: date, x-a\r\nDate: 1\r\nX-A: 1\r\n", False, None, b"Date: 1\r\n"),
    ],
)  # fmt: skip
def test_a_response_comes_back_with_our_framing(came, chunked, keep, goes):
    """And with what the client's own connection is to do, not the origin's."""
    found = heads().response(answered(came), chunked=chunked, keep=keep)
    assert found == b"HTTP/1.1 200 OK\r\n" + goes + b"\r\n"


def test_a_change_to_a_websocket_is_asked_for_and_granted_in_our_words():
    """Of the fields that came with it only those of the protocol itself go on."""
    came = b"Connection: Upgrade, x-a\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\nX-A: 1\r\n"
    found = heads().request(asked(came), b"/", b"a.example", "192.0.2.7", upgrade=True)
    assert found.endswith(b"\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    response = Response(101, b"Switching Protocols", 1, [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Accept", b"a")])
    assert heads().response(response, chunked=False, keep=None, upgrade=True) == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


NAMES = st.sampled_from([
    b"X-A", b"x-a", b"X-B", b"Connection", b"connection", b"Cookie", b"TE", b"Via", b"Upgrade", b"Range", b"Expect",
])  # fmt: skip
FRAMED = st.sampled_from([b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"])
VALUES = st.one_of(
    st.sampled_from([b"x-a", b"close", b"X-B, x-a", b"a=1; fp_seen=2", b"", b"host, content-length, via", b": "]),
    st.from_regex(rb"[!-~\x80-\xff]([ !-~\x80-\xff]{0,8}[!-~\x80-\xff])?", fullmatch=True),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), FRAMED)
def test_what_leaves_us_is_read_as_we_meant_it(fields, framing):
    """Whatever came, the next one reads one request, framed as ours is, for the same host."""
    came = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    request = asked(framing + came, b"POST / HTTP/1.1\r\n")
    sent = heads("keep").request(request, b"/p", b"a.example", "192.0.2.7", upgrade=False)
    told = test_requests.Told()
    Requests(told).feed(sent)
    (read,) = told.requests
    assert (read.target, read.host, read.length, read.chunked) == (b"/p", b"a.example", request.length, request.chunked)
    assert not read.upgrade
    assert {name.lower() for name, _ in read.fields} <= {name.lower() for name, _ in request.fields}
