"""Where the proxy may connect to: the public Internet, what the operator allows, and our own portal.

Checked on addresses as they were written, and again on what a name resolves to, at the one moment it is resolved for
dialling: what was checked is what is dialled, and a name cannot change its mind in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from filterproxy.core import names

from .guard import TARGET_REFUSED

_KEEP_SECONDS: Final = 10.0
_KEEP_NAMES: Final = 4096
_ANY_LOCAL: Final = "127.0.0.1"

_INNER: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fc00::/7",
        "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""Unspecified, private, shared, loopback, link-local, multicast, reserved; and what holds an IPv4 address inside."""


class TargetRefusedError(OSError):
    """A name resolves to nothing but addresses that may not be reached. The person is told 403."""

    def __init__(self) -> None:
        super().__init__(TARGET_REFUSED)


class Targets:
    """Says where connections may go. `own` are hosts and ports of the portal, reached wherever they lie.

    `local` tells that a client on loopback is a program of this machine, which the proxy gives nothing it has not.
    """

    def __init__(
        self, allow: Iterable[str], own: Iterable[tuple[str, int]], listen_port: int, *, local: bool = False
    ) -> None:
        self._allow = tuple(ipaddress.ip_network(text) for text in allow)
        self._own = frozenset(own)
        self._listen_port = listen_port
        self._local = local
        self._kept: dict[tuple[Any, ...], tuple[float, list[Any]]] = {}

    def is_own(self, host: str, port: int) -> bool:
        """Tell whether this is the portal. `host` is canonical."""
        return (host, port) in self._own

    def is_local(self, client: str) -> bool:
        """Tell whether the client, an IP address, is a program of this machine."""
        try:
            return self._local and ipaddress.ip_address(client).is_loopback
        except ValueError:
            return False

    def allows_host(self, host: str, port: int, client: str = "") -> bool:
        """Tell whether a client may reach a canonical host, as far as it can be told before it is resolved."""
        return not names.is_address(host) or self.is_own(host, port) or self.allows(host.strip("[]"), port, client)

    def allows(self, address: str, port: int, client: str = "") -> bool:
        """Tell whether a client may reach an IP address."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if found.is_loopback and port == self._listen_port:
            return False  # we would talk to ourselves without end
        if found.is_loopback and self.is_local(client):
            return True
        if any(found in network for network in self._allow if network.version == found.version):
            return True
        return not any(found in network for network in _INNER if network.version == found.version)

    def checked(self, resolve: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[Any]]]:
        """Return `resolve`, a loop's getaddrinfo, less what may not be reached.

        It raises TargetRefusedError where nothing is left. Answers are kept a few seconds, so that a CONNECT and
        the connection made for it see the same.
        """

        async def getaddrinfo(host: Any, port: Any, **how: Any) -> list[Any]:
            if how.get("flags", 0) & socket.AI_PASSIVE:
                return await resolve(host, port, **how)  # to listen, not to dial
            key = (host, port, how.get("family", 0), how.get("type", 0))
            ends, found = self._kept.get(key, (0.0, []))
            now = asyncio.get_running_loop().time()
            if now >= ends:
                found = await resolve(host, port, **how)
                if len(self._kept) >= _KEEP_NAMES:
                    self._kept.clear()
                self._kept[key] = (now + _KEEP_SECONDS, found)
            name = names.host(host) if isinstance(host, str) else None
            if name is None:
                raise TargetRefusedError
            if self.is_own(name, port):
                return found
            # Who asks is not known here: what only a local client may reach is looked at again once connected.
            kept = [info for info in found if self.allows(info[4][0], port, _ANY_LOCAL)]
            if not kept:
                raise TargetRefusedError
            return kept

        return getaddrinfo
