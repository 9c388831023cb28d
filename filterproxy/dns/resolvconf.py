"""Which resolvers this machine uses, read from resolv.conf, less ourselves: a filter that asks itself never answers."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from filterproxy.settings.base import split_address

if TYPE_CHECKING:
    from collections.abc import Sequence

DNS_PORT = 53


def nameservers(text: str, listen: Sequence[str]) -> list[tuple[str, int]]:
    """Return address and port of each `nameserver` in `text`, in order, without those on which we `listen`."""
    found: dict[tuple[str, int], None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            ipaddress.ip_address(words[1])
        except ValueError:
            continue  # the system's own resolver passes over such a line too
        if not any(_ours(words[1], *split_address(item)) for item in listen):
            found[words[1], DNS_PORT] = None
    return list(found)


def _ours(server: str, address: str, port: int) -> bool:
    """Tell whether `server` is where we listen, also where we listen on every address of this machine."""
    if port != DNS_PORT:
        return False
    where = ipaddress.ip_address(address)
    if not where.is_unspecified:
        return ipaddress.ip_address(server) == where
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((server, 0))  # only an address of this machine can be bound
        except OSError:
            return False
    return True
