"""The small HTTP server of the metrics' and the operator's listeners."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.runtime.httpd import Pages


async def page():
    return 200, "text/plain", b"hello"


async def broken():
    raise ValueError("http://secret.example/")


def exchange(sent: bytes) -> bytes:
    """Return what the server answers to `sent`."""

    async def story() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server = await Pages({"/page": page, "/broken": broken}).serve(sock)
            async with server:
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                writer.write(sent)
                writer.write_eof()
                try:
                    return await asyncio.wait_for(reader.read(), 5)
                except ConnectionError:
                    return b""
                finally:
                    writer.close()

    return asyncio.run(story())


@pytest.mark.parametrize(("line", "status", "body"), [
    (b"GET /page HTTP/1.1", b"200 OK", b"hello"),
    (b"GET /page?x=1 HTTP/1.1", b"200 OK", b"hello"),
    (b"HEAD /page HTTP/1.1", b"200 OK", b""),
    (b"POST /page HTTP/1.1", b"405 Method Not Allowed", b"only GET is served here\n"),
    (b"GET /other HTTP/1.1", b"404 Not Found", b"nothing is served here\n"),
    (b"GET /broken HTTP/1.1", b"500 Internal Server Error", b"this page failed; the log says where\n"),
])  # fmt: skip
def test_a_fixed_page_is_served_and_nothing_else(line, status, body):
    """One answer a connection, never cached, with a strict policy."""
    head, _, found = exchange(line + b"\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"Cache-Control: no-store" in head
    assert b"default-src 'none'" in head
    assert found == body


@given(st.binary(max_size=300))
def test_any_bytes_are_answered_or_the_connection_ends(data):
    """Nothing that is sent there raises."""
    answer = exchange(data)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")


def test_a_head_without_end_is_cut_off():
    """Eight kilobytes are enough for any question that is served here."""
    assert exchange(b"GET /page HTTP/1.1\r\n" + b"X: y\r\n" * 5000) == b""
