"""The way to the inspector."""

from __future__ import annotations

import asyncio

import pytest

from filterproxy.core.vouched import vouched
from filterproxy.gateway.inspected import Inspector, InspectorAwayError
from filterproxy.gateway.judging import Place
from tests.gateway.pairs import run
from tests.gateway.street import KEY, fields
from tests.policies import NOW

PLACE = Place("a.example", 443)


def meeting(answer: bytes, place: Place = PLACE) -> bytes:
    """Return what an inspector that answers so was told."""
    heard: list[bytes] = []

    async def story() -> None:
        async def serve(reader, writer) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            for at in range(0, len(answer), 7):
                writer.write(answer[at : at + 7])
                await asyncio.sleep(0)
            if b"200" not in answer:
                writer.close()
            else:
                await reader.read()
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        inspector = Inspector(KEY)
        inspector.port = server.sockets[0].getsockname()[1]
        try:
            sock = await inspector.reach(asyncio.get_running_loop(), "2001:db8::1", place, NOW, 1.0)
            sock.close()
        finally:
            server.close()
            await asyncio.sleep(0.02)

    run("uvloop", story)
    return heard[0]


@pytest.mark.parametrize("place", [Place("a.example", 443), Place("2001:db8::9", 8443)])
def test_a_tunnel_is_asked_for_and_the_client_vouched_for(place):
    """The word is for that place alone."""
    head = meeting(b"HTTP/1.1 200 Connection established\r\n\r\n", place)
    assert head.startswith(f"CONNECT {place.text} HTTP/1.1\r\n".encode())
    said = fields(head)["filterproxy-client"].encode()
    assert vouched(KEY, said, place.text, NOW.timestamp()) == "2001:db8::1"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 403 No\r\n\r\n", b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nmore" + b"x" * 9999,
])  # fmt: skip
def test_any_other_answer_is_none(answer):
    """And takes no longer than it may."""
    with pytest.raises(InspectorAwayError):
        meeting(answer)


def test_where_none_serves_none_is_reached():
    """Nobody is there, or nobody is known."""

    async def story() -> None:
        inspector = Inspector(KEY)
        for port in (None, 1):
            inspector.port = port
            with pytest.raises(InspectorAwayError):
                await inspector.reach(asyncio.get_running_loop(), "192.0.2.1", Place("a.example", 443), NOW, 1.0)

    run("uvloop", story)
