"""DNS cookies (RFC 7873): by one of ours a client shows that it hears what is sent to the address it asks from.

They are made as RFC 9018 says. Nothing is kept of a client: its address and the time are in the cookie, under a secret
that follows from a key which all workers share and from the day, so it changes by itself, and cookies made just before
that count on. Values that are remembered only save computing them again.
"""

from __future__ import annotations

import hmac
import socket
import struct
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from . import siphash, wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .wire import Query

CLIENT: Final = 8
"""Bytes of a cookie that the client chose."""
SERVER: Final = 16
"""Bytes that we add."""
LIFETIME: Final = 3600
"""Seconds for which a cookie counts (RFC 9018, section 4.3)."""
RENEWED: Final = LIFETIME // 2
"""Seconds after which a client gets a new one."""
AHEAD: Final = 300
"""Seconds that the clock of another server with the same key may be ahead."""
PERIOD: Final = 86_400
"""Seconds for which a secret makes cookies."""

_REMEMBERED: Final = 8192
_HEAD: Final = struct.Struct("!HH")
_FRESH: Final = b"\1\0\0\0"
"""Version 1, and what is reserved."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How IPv4 as such begins on an IPv6 socket."""


class Cookies:
    """Makes cookies and knows them again. `client` is always an IP address."""

    def __init__(self, key: bytes, now: Callable[[], datetime]) -> None:
        """Derive all secrets from `key`."""
        self._key, self._now = key, now
        self._secret = lru_cache(maxsize=4)(self._secret_of)
        self._hash = lru_cache(maxsize=_REMEMBERED)(self._hashed)

    def shown(self, packet: bytes, client: str) -> bool:
        """Tell whether `packet` is a query with a cookie that was given to `client`, and still counts."""
        try:
            edns = wire.read_query(packet).edns
        except wire.Malformed:
            return False
        return edns is not None and self._age(edns.cookie, client, self._seconds()) is not None

    def give(self, query: Query, client: str) -> None:
        """Have the reply to `query` bring a cookie where the query does: the same while it is young, else a new one."""
        edns = query.edns
        if edns is None or not edns.cookie:
            return
        cookie, now = edns.cookie, self._seconds()
        age = self._age(cookie, client, now)
        if age is None or age >= RENEWED:
            head = cookie[:CLIENT] + _FRESH + now.to_bytes(4)
            cookie = head + self._hash(head, client)
        query.answered = _HEAD.pack(wire.COOKIE, len(cookie)) + cookie

    def _seconds(self) -> int:
        return int(self._now().timestamp()) & 0xFFFFFFFF

    def _age(self, cookie: bytes, client: str, now: int) -> int | None:
        """Return how many seconds ago `cookie` was made for `client`; None where it does not count."""
        if len(cookie) != CLIENT + SERVER or cookie[CLIENT] != _FRESH[0]:
            return None
        # 32 bits that begin anew in 2106: what counts is how far two are apart (RFC 1982).
        age = (now - int.from_bytes(cookie[12:16]) + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        if not -AHEAD <= age <= LIFETIME:
            return None
        return age if hmac.compare_digest(cookie[16:], self._hash(cookie[:16], client)) else None

    def _hashed(self, head: bytes, client: str) -> bytes:
        """Return the last bytes of a cookie for `client` that begins with `head`."""
        address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
        made = int.from_bytes(head[12:16])
        return siphash.siphash(self._secret(made // PERIOD), head + address.removeprefix(_MAPPED))

    def _secret_of(self, period: int) -> bytes:
        return blake2b(period.to_bytes(8), digest_size=siphash.KEY, key=self._key, person=b"dns cookie").digest()
