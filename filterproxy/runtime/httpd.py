"""A very small HTTP/1.1 server for a few fixed pages that only operators and their machines ask for.

GET and HEAD, one answer a connection, bounded in size, time and number; everything else is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from .logs import failed

_log = logging.getLogger(__name__)
_HEAD = 8 * 1024
_SECONDS = 5.0
_CLIENTS = 64

Page = Callable[[], Awaitable[tuple[int, str, bytes]]]
"""Returns status, content type and body."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    f"Content-Security-Policy: {_POLICY}\r\nConnection: close\r\n"
)


class Pages:
    """The pages of one listener."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        """Serve `pages` by path."""
        self._pages = pages
        self._clients = 0

    async def serve(self, sock: socket.socket) -> asyncio.Server:
        """Return a server on the bound `sock`, of which it takes a copy."""
        return await asyncio.start_server(self._client, sock=sock.dup(), limit=_HEAD)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= _CLIENTS:
                async with asyncio.timeout(_SECONDS):
                    await self._answer(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the client's affair
        finally:
            self._clients -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        status, kind, body = await self._page(method, path)
        first = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        )
        writer.write(f"{first}{_HEADERS}\r\n".encode() + (b"" if method == b"HEAD" else body))
        await writer.drain()

    async def _page(self, method: bytes, path: str) -> tuple[int, str, bytes]:
        page = self._pages.get(path)
        if method not in (b"GET", b"HEAD"):
            return 405, "text/plain", b"only GET is served here\n"
        if page is None:
            return 404, "text/plain", b"nothing is served here\n"
        try:
            return await page()
        except Exception as exc:  # noqa: BLE001 - one page fails, the listener does not
            failed(_log, "page_failed", exc)
            return 500, "text/plain", b"this page failed; the log says where\n"
