"""Connections that a balancer hands over: it says first whose they are (PROXY protocol, version 1 or 2)."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Final, cast

from filterproxy.core.rulings import plain

from . import proxied
from .client import Client
from .vectors import UnreadableError

if TYPE_CHECKING:
    from .house import House

SECONDS: Final = 5.0
"""How long a balancer may take to say so."""


class Balanced(asyncio.Protocol):
    """One such connection. Who is no balancer is sent away, and so is one who says it in two ways."""

    __slots__ = ("_data", "_house", "_networks", "_transport", "deadline")

    def __init__(self, house: House, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> None:
        """Believe those of `networks`."""
        self._house, self._networks = house, networks
        self._data = b""
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deadline = house.loop.time() + SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._house.sweeper.join(self)
        address = ipaddress.ip_address(plain(transport.get_extra_info("peername")[0]))
        if not any(address in network for network in self._networks if network.version == address.version):
            self._house.count.event("http_refused_client")
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            found = proxied.read(self._data)
        except UnreadableError:
            self._house.count.event("http_malformed")
            self._transport.abort()
            return
        if found is None:
            return
        rest, self._data = self._data[found.used :], b""
        self._house.sweeper.leave(self)
        # Without a source it speaks for itself: a look whether we are there.
        client = Client(self._house, address="" if found.source is None else found.source[0])
        self._transport.set_protocol(client)
        client.connection_made(self._transport)
        if rest and not self._transport.is_closing():
            client.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - nobody is there any more
        self._house.sweeper.leave(self)

    def overdue(self) -> None:
        """End a wait that is too long."""
        self._transport.abort()

    def retire(self) -> None:
        """End: nothing was asked yet."""
        self._transport.abort()
