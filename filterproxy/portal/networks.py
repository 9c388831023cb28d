"""Addresses and the networks they belong to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address(text: str) -> Address | None:
    """Return the address without its zone, an IPv4 one that is spelled as IPv6 as IPv4; None where it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped if found.version == 6 else None) or found


def network_of(text: str) -> str:
    """Return the network that counts as one client: IPv4 /24, IPv6 /56. All that is no address counts as one."""
    found = address(text)
    if found is None:
        return ""
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 56), strict=False))


class Networks:
    """Some networks; whether an address is `in` them."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in networks)

    def __contains__(self, text: str) -> bool:
        found = address(text)
        return found is not None and any(found in network for network in self._networks)
