"""Connections that were on their way elsewhere: where to is asked of the kernel, and there they go."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from filterproxy.core.rulings import plain

from .judging import Fixed, Place
from .opening import Opening

if TYPE_CHECKING:
    from .house import House

_SO_ORIGINAL_DST: Final = 80
"""Of IPv4 and of IPv6 alike (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h)."""
_IN4: Final = struct.Struct("!2xH4s8x")
_IN6: Final = struct.Struct("!2xH4x16s4x")


class Arriving(asyncio.Protocol):
    """One such connection, for as long as it takes to see where it was going."""

    __slots__ = ("_house", "_tproxy")

    def __init__(self, house: House, *, tproxy: bool) -> None:
        """With `tproxy` the kernel gave it to us as it was, else it was redirected."""
        self._house, self._tproxy = house, tproxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        house, stream = self._house, cast("asyncio.Transport", transport)
        address = plain(stream.get_extra_info("peername")[0])
        sock = stream.get_extra_info("socket")
        place = _own_end(stream) if self._tproxy else original(sock)
        if place is None or (not self._tproxy and place == _own_end(stream)):
            house.count.event("http_malformed")  # who came here on purpose has nowhere to go
            stream.abort()
            return
        if house.door.admit(address) is None:
            house.count.event("http_refused_client")
            stream.abort()
            return
        seat = house.seats.take(address)
        if seat is None:
            house.count.event("http_over_limit")
            stream.abort()
            return
        source = address if self._tproxy and house.settings.keep_source else None
        opening = Opening(house, Fixed(place, (place.text,)), address, seat, None, explicit=False, source=source)
        stream.set_protocol(opening)
        opening.connection_made(stream)


def original(sock: socket.socket) -> Place | None:
    """Return where a redirected connection was going, None where it was not redirected."""
    try:
        if sock.family == socket.AF_INET:
            port, packed = _IN4.unpack(sock.getsockopt(socket.IPPROTO_IP, _SO_ORIGINAL_DST, _IN4.size))
        else:
            port, packed = _IN6.unpack(sock.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, _IN6.size))
    except (OSError, struct.error):
        return None
    return Place(plain(socket.inet_ntop(sock.family, packed)), port)


def _own_end(stream: asyncio.Transport) -> Place:
    host, port = stream.get_extra_info("sockname")[:2]
    return Place(plain(host), port)
