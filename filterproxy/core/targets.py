"""Where connections may go: the public Internet, what the operator allows, and our own portal.

Pure: it judges addresses. Whoever dials asks for the name as it was written, and again for the address that the name
turned out to have, for a name can lead anywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from . import names

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


class Targets:
    """Says where connections may go. `own` are hosts and ports of the portal, reached wherever they lie.

    `listens` are the ports of the proxy itself. `local` tells that a client on loopback is a program of this machine,
    which the proxy gives nothing it has not.
    """

    def __init__(
        self, allow: Iterable[str], own: Iterable[tuple[str, int]], listens: Iterable[int], *, local: bool = False
    ) -> None:
        self._allow = tuple(ipaddress.ip_network(text) for text in allow)
        self._own = frozenset(own)
        self._listens = frozenset(listens)
        self._local = local

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
        if found.is_loopback and port in self._listens:
            return False  # we would talk to ourselves without end
        if found.is_loopback and self.is_local(client):
            return True
        if any(found in network for network in self._allow if network.version == found.version):
            return True
        return not any(found in network for network in _INNER if network.version == found.version)

    def allows_own(self, address: str, port: int, client: str = "") -> bool:
        """Tell whether a client may reach an IP address that is this machine's own, which others may well be."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if port in self._listens:
            return False
        return self.is_local(client) or any(
            found in network for network in self._allow if network.version == found.version
        )
