"""Who is served, and how much of what is scarce one client may take.

Connections and waiting questions are bounded for all together; a share of them is the most that one client can hold,
so that no client takes the service from the others.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARES = 8
_CUSTOMER = 56
"""Bits of an IPv6 address that providers give to a customer, who is free to use all addresses behind them."""
_CUSTOMERS = (1 << 128) - (1 << 128 - _CUSTOMER)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """A client's address in its one spelling, and under what its share is counted: for IPv6 the network of a /56."""

    address: str
    sharer: str


def share(most: int) -> int:
    """Return how many of `most` one client may hold: an eighth, and at least one."""
    return max(1, most // SHARES)


def read_client(text: str, networks: Sequence[Network]) -> Client | None:
    """Return the client with the address `text`, without its zone, IPv4 as such; None where no network holds it."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address in network for network in networks):
        return None
    if address.version == 4 or address.is_link_local:  # the first half of a link-local address tells nobody apart
        return Client(str(address), str(address))
    customer = int(address) & _CUSTOMERS  # by hand, for the library takes longer for that than for all else
    return Client(str(address), f"{ipaddress.IPv6Address(customer)}/{_CUSTOMER}")
