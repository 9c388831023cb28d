"""Places for connections: so many in all, and so many for each client, of whom those of one IPv6 network are one."""

from __future__ import annotations

import ipaddress


class Seats:
    """Counts who sits where. Who finds no place is sent away, whoever sits stays."""

    __slots__ = ("_each", "_most", "_of", "taken")

    def __init__(self, most: int, each: int) -> None:
        """There are `most` places, of which one client has `each` at most."""
        self._most, self._each = most, each
        self._of: dict[str, int] = {}
        self.taken = 0
        """How many are taken."""

    def take(self, address: str) -> str | None:
        """Return under what a place is taken for the client of this IP address, or None where there is none."""
        sharer = _sharer(address)
        own = self._of.get(sharer, 0)
        if own >= self._each or self.taken >= self._most:
            return None
        self._of[sharer] = own + 1
        self.taken += 1
        return sharer

    def leave(self, sharer: str) -> None:
        """Give back a place that was taken."""
        own = self._of[sharer] - 1
        self.taken -= 1
        if own:
            self._of[sharer] = own
        else:
            del self._of[sharer]


def _sharer(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))  # what one household has, and may change within
