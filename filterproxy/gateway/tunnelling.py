"""From two connections to a tunnel: what was read already, or is ours to say, goes before what the kernel moves."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .tunnel import Tunnel, take_over

if TYPE_CHECKING:
    import asyncio
    import socket

    from .client import Client
    from .house import House
    from .origin import Origin
    from .responses import Response

_AGAIN: Final = 0.02
_TRIES: Final = 500
"""How often, every `_AGAIN` seconds, it is looked whether a client has taken what it was sent before."""


@dataclass(slots=True)
class Ends:
    """Two connections that are to be joined. Whoever makes this owns neither any more."""

    client: asyncio.Transport
    origin: socket.socket
    seat: str
    """The client's place, given back when all is over."""
    to_origin: bytes = field(default=b"", repr=False)
    to_client: bytes = field(default=b"", repr=False)
    tries: int = _TRIES


def join(house: House, ends: Ends) -> None:
    """Make a tunnel of two ends, as soon as the client has taken what it was sent before."""
    client = ends.client
    if client.is_closing() or not ends.tries:
        part(house, ends)
    elif client.get_write_buffer_size():
        ends.tries -= 1
        client.pause_reading()
        house.loop.call_later(_AGAIN, join, house, ends)
    else:
        _bore(house, ends)


def part(house: House, ends: Ends) -> None:
    """Close both ends."""
    ends.client.abort()
    ends.origin.close()
    house.seats.leave(ends.seat)


def switch(client: Client, origin: Origin, response: Response, rest: bytes) -> bool:
    """Make a tunnel of a client's and an origin's connection, which have agreed on another protocol by `response`.

    `rest` is what the origin has said in it. Return whether that could be done; if not, nothing was.
    """
    house = client.house
    try:
        sock = take_over(origin.taken())
    except (OSError, ValueError):
        origin.leave()
        return False
    head = house.heads.response(response, chunked=False, keep=None, upgrade=True)
    transport, ahead, seat = client.taken()
    house.count.event("http_upgrades")
    join(house, Ends(transport, sock, seat, to_origin=ahead, to_client=head + rest))
    return True


def _bore(house: House, ends: Ends) -> None:
    try:
        client = take_over(ends.client)
    except (OSError, ValueError):
        house.count.event("http_over_limit")
        part(house, ends)
        return

    def done(tunnel: Tunnel) -> None:
        house.tunnels.discard(tunnel)
        house.seats.leave(ends.seat)

    try:
        tunnel = Tunnel(house.loop, house.pipes, client, ends.origin, house.waits.tunnel, done)
    except OSError:  # one of them is gone
        with contextlib.suppress(OSError):
            client.close()
        ends.origin.close()
        house.seats.leave(ends.seat)
        return
    house.tunnels.add(tunnel)
    house.count.event("http_tunnels")
    tunnel.begin(ends.to_origin, ends.to_client)
