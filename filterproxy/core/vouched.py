"""What the gateway says to an inspector of a client that it sends there: who it is, under a MAC."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final

FIELD: Final = b"Filterproxy-Client"
"""The field of a CONNECT that holds it. No origin ever sees it, and no client is believed it."""
_LONGEST: Final = 200


def vouch(key: bytes, address: str, place: str, now: float) -> bytes:
    """Return the field's value for a client of this IP address that goes to `host:port`, at a Unix time."""
    minute = int(now) // 60
    return f"{address} {minute} {_mac(key, address, place, minute)}".encode()


def vouched(key: bytes, value: bytes, place: str, now: float) -> str | None:
    """Return the client's address, or None where nobody who has the key says so, just now, for this place."""
    if len(value) > _LONGEST or not value.isascii():
        return None
    parts = value.decode().split(" ")
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    address, minute = parts[0], int(parts[1][:20])
    if not hmac.compare_digest(parts[2], _mac(key, address, place, minute)) or abs(int(now) // 60 - minute) > 1:
        return None
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def _mac(key: bytes, address: str, place: str, minute: int) -> str:
    text = f"filterproxy inspected 1\0{address}\0{place}\0{minute}"
    return hmac.digest(key, text.encode(), "sha256")[:16].hex()
