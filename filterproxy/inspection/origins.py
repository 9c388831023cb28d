"""Connections to origins: none is made before it was judged, and none to where the proxy may not go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mitmproxy import connection, tls
from mitmproxy.proxy import server_hooks

from filterproxy.core import names
from filterproxy.core.targets import Targets

from . import guard
from .guard import Count, Guarded, fails_closed
from .judge import address_of
from .targets import checked


class Origins(Guarded):
    """The part of the addon that watches over server connections."""

    def __init__(
        self, targets: Targets, count: Count, address_of: Callable[[connection.Client], str] = address_of
    ) -> None:
        """Ask `address_of` whose a client's connection is."""
        super().__init__(count)
        self._address_of = address_of
        self._targets = targets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: Any = None

    @fails_closed(guard.nothing)
    def running(self) -> None:
        """Put the check of targets where names are resolved. Until this is done, nothing is dialled."""
        loop = asyncio.get_running_loop()
        self._before = vars(loop).get("getaddrinfo")
        loop.getaddrinfo = checked(self._targets, loop.getaddrinfo)  # type: ignore[method-assign, assignment]
        self._loop = loop

    @fails_closed(guard.nothing)
    def done(self) -> None:
        """Leave the loop as it was."""
        if self._loop is not None:
            if self._before is not None:
                self._loop.getaddrinfo = self._before  # type: ignore[method-assign]
            else:
                del self._loop.getaddrinfo
            self._loop = None

    @fails_closed(guard.refuse_server)
    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Refuse an address that may not be reached; what names resolve to is checked where they are resolved."""
        address = data.server.address
        host = names.host(address[0]) if address else None
        if self._loop is not asyncio.get_running_loop() or address is None or host is None:
            data.server.error = guard.HOOK_FAILED
        elif not self._targets.allows_host(host, address[1], self._address_of(data.client)):
            data.server.error = guard.TARGET_REFUSED

    @fails_closed(guard.abort_server)
    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Look again at whom we reached, before a byte is sent."""
        address, peer = data.server.address, data.server.peername
        host = names.host(address[0]) if address else None
        if address is None or host is None or peer is None:  # noqa: SIM114 - joined, it cannot be read
            guard.abort_server(self, data)
        elif not self._targets.is_own(host, address[1]) and not self._targets.allows(
            peer[0], peer[1], self._address_of(data.client)
        ):
            guard.abort_server(self, data)

    @fails_closed(guard.nothing)
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        if data.server.error not in (guard.HOOK_FAILED, guard.TARGET_REFUSED):
            self._count.event("http_upstream_error")

    @fails_closed(guard.nothing)
    def tls_failed_server(self, _: tls.TlsData) -> None:
        self._count.event("http_upstream_error")
