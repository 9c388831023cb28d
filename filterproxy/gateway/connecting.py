"""CONNECT: whether a tunnel may stand, and where it leads. What is said inside is looked at by `opening`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filterproxy.core import authority as spelled
from filterproxy.core.model import Action
from filterproxy.core.rulings import Client as Asker

from .judging import Fixed, Place
from .opening import Opening
from .pages import CLOSED_TARGET, ESTABLISHED
from .reaching import reached
from .tunnelling import Ends, join

if TYPE_CHECKING:
    import socket

    from filterproxy.core.policy import Policy

    from .client import Client
    from .exchange import Exchange


async def connect(exchange: Exchange, client: Client, policy: Policy) -> None:
    """Answer a CONNECT, and let what comes of it be looked at. Raises nothing but that it is cancelled."""
    house, request = client.house, exchange.request
    house.count.event("http_connects")
    fixed = _named(request.target, request.host)
    if fixed is None:
        house.count.event("http_malformed")
        exchange.refuse(400)
        return
    place = fixed.place
    own = house.targets.is_own(*place)
    opens = False
    if not own:
        asker = Asker(client.address, client.profile or "", policy, house.now())
        ruling = asker.connection(dict.fromkeys(spelled.host_of(name) or "" for name in fixed.names))
        verdict = ruling.verdict
        if verdict.blocked:
            house.count.verdict("http", verdict)
            house.count.event("notices")
            keep = exchange.keeps
            page = house.pages.block(verdict, ruling.subject, asker.now, request, keep=keep)
            exchange.answer(page, keep=keep)
            return
        if place.port not in house.settings.connect_ports and not client.is_local:
            exchange.refuse(403, CLOSED_TARGET)
            return
        opens = house.opens == "all" or (house.opens == "listed" and verdict.action is Action.INSPECT)
    sock = None
    if not opens or not house.targets.allows_host(spelled.host_of(place.text) or "", place.port, client.address):
        # What will be opened is answered inside, also where its name leads nowhere.
        sock = await reached(exchange, client, place)
        if sock is None:
            return
    _begin(exchange, client, fixed, sock, own=own)


def _begin(exchange: Exchange, client: Client, fixed: Fixed, sock: socket.socket | None, *, own: bool) -> None:
    """Hand the client's connection over to who looks at what it begins with."""
    house = client.house
    transport, rest, seat = client.taken()
    exchange.handed_over()
    if transport.is_closing():
        house.seats.leave(seat)
        if sock is not None:
            sock.close()
        return
    if own and sock is not None:
        join(house, Ends(transport, sock, seat, to_origin=rest, to_client=ESTABLISHED))
        return
    opening = Opening(house, fixed, client.address, seat, sock, explicit=True, source=client.source)
    transport.set_protocol(opening)
    transport.write(ESTABLISHED)
    opening.connection_made(transport)
    transport.resume_reading()
    if rest:
        opening.data_received(rest)


def _named(target: bytes, host: bytes | None) -> Fixed | None:
    """Return where a CONNECT leads, and under which names; None where it must be answered 400."""
    found = _place(target)
    if found is None:
        return None
    if not host:
        return Fixed(found, (found.text,))
    other = spelled.host_of(host.decode()) if host.isascii() else None
    if other is None:
        return None
    return Fixed(found, tuple(dict.fromkeys((found.text, Place(spelled.bare(other), found.port).text))))


def _place(target: bytes) -> Place | None:
    name, colon, port = target.rpartition(b":")
    if not colon or not name or not target.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
        return None
    host = spelled.host_of(name.decode())
    return None if host is None else Place(spelled.bare(host), int(port))
