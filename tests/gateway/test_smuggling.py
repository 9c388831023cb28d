"""Smuggling and framing, case by case: refused, or read by the origin as we read it, byte by byte.

What reached the origin is read once more by h11, which shares no code with us: it must find just the requests that we
judged. The same for what reaches the client.
"""

from __future__ import annotations

import asyncio

import h11
import pytest

from tests.gateway.pairs import run
from tests.gateway.street import PAGE, Street, street

GET = b"GET http://ok.example:PORT/ HTTP/1.1\r\n"
POST = b"POST http://ok.example:PORT/ HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"GET http://blocked.example/hidden HTTP/1.1\r\nHost: blocked.example\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED: list[tuple[str, bytes, int]] = [
    ("length beside a coding", POST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    ("coding beside a length", POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN, 400),
    ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy" + HIDDEN, 400),
    ("the same length twice", POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx" + HIDDEN, 400),
    ("lengths in a list", POST + b"Content-Length: 1, 1\r\n\r\nx", 400),
    ("a length with a sign", POST + b"Content-Length: +1\r\n\r\nx", 400),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\nx", 400),
    ("a length in hex", POST + b"Content-Length: 0x1\r\n\r\nx", 400),
    ("a length with a blank in it", POST + b"Content-Length: 1 0\r\n\r\nx", 400),
    ("a length beyond all bounds", POST + b"Content-Length: 99999999999999999999999\r\n\r\nx", 400),
    ("an empty length", POST + b"Content-Length:\r\n\r\n", 400),
    ("another coding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("a coding that is none", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("a coding twice", POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", 400),
    ("a coding and identity", POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("a coding with a tab before it", POST + b"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("a coding with a vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding in HTTP/1.0", POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n", 400),
    ("a blank before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("a blank before the colon of a length", POST + b"Content-Length : 1\r\n\r\nx", 400),
    ("a folded line", POST + b"X: y\r\n Content-Length: 1\r\n\r\nx", 400),
    ("a folded coding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("a line without a colon", POST + b"nonsense\r\n\r\n", 400),
    ("a name with a blank", POST + b"X Y: z\r\n\r\n", 400),
    ("an empty name", POST + b": z\r\n\r\n", 400),
    ("a zero in a value", POST + b"X: a\x00b\r\n\r\n", 400),
    ("a bare return in a value", POST + b"X: a\rb\r\n\r\n", 400),
    ("bare line feeds", b"GET http://ok.example:PORT/ HTTP/1.1\nHost: x\n\n" + HIDDEN, 400),
    ("a bare line feed after a value", POST + b"X: y\nContent-Length: 1\r\n\r\nx", 400),
    ("a bare line feed at the end", POST + b"X: y\r\n\n" + HIDDEN, 400),
    ("two hosts", GET + b"Host: ok.example\r\nHost: blocked.example\r\n\r\n", 400),
    ("no host", GET + b"\r\n", 400),
    ("an empty host", GET + b"Host:\r\n\r\n", 400),
    ("a host of two", GET + b"Host: ok.example, blocked.example\r\n\r\n", 400),
    ("a host with a path", GET + b"Host: ok.example/x\r\n\r\n", 400),
    ("a host with a name before it", GET + b"Host: a@ok.example\r\n\r\n", 400),
    ("a name before the target's host", b"GET http://a@ok.example:PORT/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a fragment", b"GET http://ok.example:PORT/#x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a control character in the target", b"GET http://ok.example:PORT/\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a blank in the target", b"GET http://ok.example:PORT/a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a tab for a blank", b"GET\thttp://ok.example:PORT/ HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    ("bytes beyond ASCII in the target", b"GET http://ok.example:PORT/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 505),
    ("HTTP/2.0", GET.replace(b"1.1", b"2.0") + b"Host: x\r\n\r\n", 505),
    ("HTTP/1.2", GET.replace(b"1.1", b"1.2") + b"Host: x\r\n\r\n", 400),
    ("http/1.1 in lower case", GET.replace(b"HTTP", b"http") + b"Host: x\r\n\r\n", 400),
    ("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("a method that is none", GET.replace(b"GET", b"NONE") + b"Host: x\r\n\r\n", 501),
    ("a method in lower case", GET.replace(b"GET", b"get") + b"Host: x\r\n\r\n", 501),
    ("in origin form", b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", 400),
    ("a scheme that is not ours", GET.replace(b"http:", b"ftp:") + b"Host: x\r\n\r\n", 400),
    ("a body to CONNECT", b"CONNECT ok.example:PORT HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("a star of a GET", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
]
"""What is refused at its head: no origin hears a byte of it, nor of what follows."""

BROKEN: list[tuple[str, bytes]] = [
    ("a size that is none", b"x\r\nabc\r\n0\r\n\r\n"),
    ("a size with a sign", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size beyond all bounds", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("no line end after a chunk", b"3\r\nabcX\r\n0\r\n\r\n"),
    ("a bare line feed after a chunk", b"3\r\nabc\n0\r\n\r\n"),
    ("a bare line feed after a size", b"3\nabc\r\n0\r\n\r\n"),
    ("a blank before a size", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("an empty size", b"\r\nabc\r\n0\r\n\r\n"),
    ("a bare return in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("a length in a trailer", b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"),
    ("a folded trailer", b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n"),
]
"""Bodies in chunks that have not one reading."""

PASSED: list[tuple[str, bytes, list[tuple[bytes, bytes, bytes]]]] = [
    ("a coding in capitals", POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", [(b"POST", b"/",
        b"abc")]),
    ("blanks around a length", POST + b"Content-Length: \t 3 \t\r\n\r\nabc", [(b"POST", b"/", b"abc")]),
    ("zeros before a length", POST + b"Content-Length: 0003\r\n\r\nabc", [(b"POST", b"/", b"abc")]),
    ("extensions of chunks", POST + CHUNKED + b"\r\n3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", [(b"POST", b"/", b"abc")]),
    ("a size with zeros", POST + CHUNKED + b"\r\n0003\r\nabc\r\n00\r\n\r\n", [(b"POST", b"/", b"abc")]),
    ("a size in capitals", POST + CHUNKED + b"\r\nA\r\n0123456789\r\n0\r\n\r\n", [(b"POST", b"/", b"0123456789")]),
    ("a body that looks like a request", POST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, [(b"POST", b"/",
        HIDDEN)]),
    ("a body of a GET", GET + b"Host: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, [(b"GET", b"/",
        HIDDEN)]),
    ("trailers", POST + CHUNKED + b"\r\n1\r\nx\r\n0\r\nX-T: y\r\nHost: z\r\nAuthorization: q\r\n\r\n", [(b"POST",
        b"/", b"x")]),
    ("a length named in Connection", POST + b"Connection: content-length\r\nContent-Length: 3\r\n\r\nabc", [(b"POST",
        b"/", b"abc")]),
    ("a coding named in Connection",
        POST + b"Connection: transfer-encoding\r\n" + CHUNKED + b"\r\n1\r\nx\r\n0\r\n\r\n", [(b"POST", b"/", b"x")]),
    ("a host named in Connection", GET + b"Host: x\r\nConnection: host\r\n\r\n", [(b"GET", b"/", b"")]),
    ("an old name of a length", POST + b"Content_Length: 9\r\nX-Content-Length: 9\r\n\r\n", [(b"POST", b"/", b"")]),
    ("no body", POST + b"\r\n" + GET + b"Host: x\r\n\r\n", [(b"POST", b"/", b""), (b"GET", b"/", b"")]),
    ("empty lines before", b"\r\n\r\n" + GET + b"Host: x\r\n\r\n", [(b"GET", b"/", b"")]),
    ("an upgrade with a body", POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
        [(b"POST", b"/", b"abc")]),
    ("bytes beyond ASCII in a value", GET + b"Host: x\r\nX: \xc3\xa9\r\n\r\n", [(b"GET", b"/", b"")]),
    ("another protocol's name", GET.replace(b"HTTP/1.1", b"RTSP/1.0") + b"Host: x\r\n\r\n", [(b"GET", b"/", b"")]),
    ("a query without a path", b"GET http://ok.example:PORT?x=/y HTTP/1.1\r\nHost: x\r\n\r\n", [(b"GET", b"/?x=/y",
        b"")]),
]  # fmt: skip
"""What passes, and what the origin must make of it."""

ANSWERS: list[tuple[str, bytes]] = [
    ("length and coding", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    ("a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc"),
    ("another coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
    ("a coding in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a folded line", b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n"),
    ("a bare line feed", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("a bare return", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"),
    ("a zero", b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a status beyond 599", b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"),
    ("control characters in the reason", b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"),
    ("no HTTP", b"ICY 200 OK\r\n\r\n"),
    ("a coding of 204", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
]
"""Answers that have not one reading: none of them reaches a client."""


def ids(cases) -> list[str]:
    return [case[0] for case in cases]


def heard(story) -> Street:
    """Run a story on a street, and return it."""
    kept: list[Street] = []

    async def within() -> None:
        async with street() as found:
            kept.append(found)
            await story(found)

    run("uvloop", within)
    return kept[0]


def understood(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return method, target and body of each request in a stream, as h11 reads it."""
    reader, found = h11.Connection(h11.SERVER), []
    reader.receive_data(data)
    while True:
        event = reader.next_event()
        if isinstance(event, h11.Request):
            found.append((event.method, event.target, b""))
            assert len([name for name, _ in event.headers if name == b"host"]) == 1
        elif isinstance(event, h11.Data):
            method, target, body = found[-1]
            found[-1] = (method, target, body + bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert {name for name, _ in event.headers} <= {b"x-t"}
            reader.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            reader.send(h11.EndOfMessage())
            reader.start_next_cycle()
        else:
            return found


@pytest.mark.parametrize("cut", [9999, 1])
@pytest.mark.parametrize(("name", "sent", "status"), REFUSED, ids=ids(REFUSED))
def test_what_is_refused_is_refused_whole(name, sent, status, cut):
    """With a status, the end of the connection, and no byte at any origin; however it is cut."""

    async def story(found: Street) -> None:
        caller = await found.call()
        data = sent.replace(b"PORT", b"%d" % found.shop.port)
        for at in range(0, len(data), cut):
            caller.send(data[at : at + cut])
            await asyncio.sleep(0)
        reply = await caller.reply()
        assert reply.status == status
        if (status == 400 and name != "in origin form") or reply.field("connection") == "close":
            assert b"HTTP/1.1" not in (await caller.rest() if reply.field("connection") == "close" else b"")

    assert heard(story).shop.heard == []


@pytest.mark.parametrize(("name", "body"), BROKEN, ids=ids(BROKEN))
def test_a_body_that_breaks_off_takes_the_connection_with_it(name, body):
    """What the origin heard is one request that is not whole, and nothing of what follows."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            await reader.read()
            return True

        found.shop.handle = handle
        caller = await found.call()
        caller.send((POST + CHUNKED + b"\r\n" + body + HIDDEN).replace(b"PORT", b"%d" % found.shop.port))
        said = await caller.rest()
        assert said == b"" or said.startswith(b"HTTP/1.1 400 ")

    data = b"".join(heard(story).shop.heard)
    assert b"hidden" not in data
    assert b"\r\n0\r\n" not in data
    assert data.count(b"Host: ") <= 1


@pytest.mark.parametrize("cut", [9999, 1])
@pytest.mark.parametrize(("name", "sent", "wanted"), PASSED, ids=ids(PASSED))
def test_what_passes_has_one_reading(name, sent, wanted, cut):
    """Ours, which is h11's of the bytes that the origin got."""

    async def story(found: Street) -> None:
        caller = await found.call()
        data = sent.replace(b"PORT", b"%d" % found.shop.port)
        for at in range(0, len(data), cut):
            caller.send(data[at : at + cut])
            await asyncio.sleep(0)
        for _ in wanted:
            assert (await caller.reply()).body == b"page"

    found = heard(story)
    assert [request for data in found.shop.heard for request in understood(bytes(data))] == wanted
    for data in found.shop.heard:
        assert data.lower().count(b"\r\nhost: ") == data.count(b"HTTP/1.1\r\n")


@pytest.mark.parametrize(("name", "answer"), ANSWERS, ids=ids(ANSWERS))
def test_an_answer_with_two_readings_reaches_nobody(name, answer):
    """502 in its place, and its connection is used no more."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            writer.write(answer if b"/bad" in head else PAGE)

        found.shop.handle = handle
        caller = await found.call()
        assert (await caller.get(found.url("ok.example", "/bad"))).status == 502
        assert (await caller.get(found.url("ok.example"))).body == b"page"
        assert found.shop.connections == 2

    heard(story)


def test_a_flood_of_interim_answers_is_no_answer():
    """Each goes on as it comes, none is kept, and the client may leave whenever it likes."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 500 + PAGE)

        found.shop.handle = handle
        caller = await found.call()
        statuses = [(await caller.get(found.url("ok.example"))).status] + [
            (await caller.reply()).status for _ in range(500)
        ]
        assert statuses == [103] * 500 + [200]

    heard(story)
