"""Connecting to where a client wants to go, and what it is told where that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dialling import OverloadedError, TargetRefusedError, UnreachableError
from .pages import CLOSED_TARGET

if TYPE_CHECKING:
    import socket

    from .client import Client
    from .exchange import Exchange
    from .judging import Place


async def reached(exchange: Exchange, client: Client, place: Place) -> socket.socket | None:
    """Return a socket that is connected to `place`, or None where the exchange was answered in its stead."""
    house = client.house
    try:
        return await house.dialler.reach(place, client.address, client.source)
    except TargetRefusedError:
        exchange.refuse(403, CLOSED_TARGET)
    except OverloadedError:
        exchange.refuse(503)
    except UnreachableError as exc:
        house.count.event("http_upstream_error")
        exchange.refuse(exc.status)
    return None
