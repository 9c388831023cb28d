"""The metrics' listener, where the configuration says."""

from __future__ import annotations

import asyncio
import socket

import pytest

from filterproxy.runtime.metrics_pages import MetricsPages


async def page() -> tuple[int, str, bytes]:
    return 200, "text/plain", b"well"


async def asked(sock: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    try:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_moves_with_the_configuration():
    """What stays is not interrupted, and the sockets themselves are nobody's here to close."""
    first, second = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    pages = MetricsPages({"/": page})
    with first, second:
        await pages.serve([first])
        await pages.serve([first, second])
        assert (await asked(first)).endswith(b"well")
        assert (await asked(second)).endswith(b"well")
        await pages.serve([second])
        with pytest.raises(TimeoutError):  # it is still bound, and nobody accepts
            await asyncio.wait_for(asked(first), 0.2)
        assert (await asked(second)).endswith(b"well")
        assert first.fileno() >= 0
    pages.close()
