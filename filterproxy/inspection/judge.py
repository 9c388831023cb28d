"""Who a connection of mitmproxy's comes from."""

from __future__ import annotations

from mitmproxy import connection

from filterproxy.core.rulings import plain


def address_of(peer: connection.Client) -> str:
    """Return a client's address without a zone, an IPv4 one as IPv4."""
    return plain(peer.peername[0])
