"""The metrics' listener, which is the supervisor's own: served where the configuration says, also when that changes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

from .httpd import Page, Pages


class MetricsPages:
    """A server for each socket."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        """Serve nothing yet."""
        self._pages = Pages(pages)
        self._servers: dict[socket.socket, asyncio.Server] = {}

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on these sockets, of which copies are taken, and on no others."""
        for gone in self._servers.keys() - set(sockets):
            self._servers.pop(gone).close()
        for sock in sockets:
            if sock not in self._servers:
                self._servers[sock] = await self._pages.serve(sock)

    def close(self) -> None:
        """Serve no more."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
