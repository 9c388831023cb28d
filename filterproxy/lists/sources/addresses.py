"""Which addresses a source may be on, so that no list's settings or redirect reach into the operator's own network.

Judged is what is then connected to: the name is resolved once (a second answer could differ: DNS rebinding).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue

from filterproxy.errors import SourceError

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host for a port. Raises OSError, or UnicodeError for what is no name."""

MOST = 8
"""Addresses of a host that are tried at most."""

_GLOBAL = IPv6Network("2000::/3")
"""All that is assigned for unicast on the Internet; `is_global` calls what nobody has assigned so, too."""
_REFUSED = (IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv6Network("3fff::/20"))
"""6to4 and Teredo, which carry any IPv4 address inside (RFC 3056, RFC 4380), and what is for examples (RFC 9637)."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): as good as the IPv4 address in its last four bytes."""


def public(text: str) -> bool:
    """Tell whether an address is one of the Internet's.

    Not private, of this machine or link, shared, multicast or reserved. An IPv4 address inside an IPv6 one is
    judged itself.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _public4(address)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return _public4(address.ipv4_mapped)
    if address in _TRANSLATED:
        return _public4(IPv4Address(address.packed[12:]))
    return _public6(address)


def _public4(address: IPv4Address) -> bool:
    # Python counts multicast as global; 100.64.0.0/10, which is shared, it does not.
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _public6(address: IPv6Address) -> bool:
    return address in _GLOBAL and address.is_global and not any(address in network for network in _REFUSED)


def allowed(found: Iterable[str], *, private: bool) -> list[str]:
    """Return the addresses that may be connected to. Raises SourceError where there are some, and none is allowed."""
    addresses = list(dict.fromkeys(found))
    if not addresses:
        raise SourceError("the name has no address")
    kept = [address for address in addresses if private or public(address)]
    if not kept:
        raise SourceError("the address is private or reserved; fetch.private = true would allow it")
    return kept[:MOST]


def system(host: str, port: int) -> list[str]:
    """Return what the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(item[4][0]) for item in found]


def resolved(host: str, port: int, seconds: float, resolve: Resolve = system) -> list[str]:
    """Return the addresses of a host. Raises SourceError, at the latest after `seconds`.

    The system's resolver cannot be told to hurry: it is asked in a thread that is left behind when it takes too long.
    """
    answers: SimpleQueue[list[str] | None] = SimpleQueue()

    def ask() -> None:
        found = None
        with suppress(OSError, UnicodeError):
            found = list(resolve(host, port))
        answers.put(found)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        raise SourceError("the name was not resolved in time") from None
    if found is None:
        raise SourceError("the name does not resolve")
    return found
