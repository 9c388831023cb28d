"""How often one network may ask: counted in memory, bounded, under keyed digests instead of addresses."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta

from .networks import network_of


class Limiter:
    """Lets each client network (IPv4 /24, IPv6 /56) do a thing `limit` times in a span of time `per`.

    At most `most` networks are remembered; beyond that the one counted longest ago is forgotten, so that a flood
    makes the limit weaker and never makes us larger. For one event loop, not for several threads.
    """

    def __init__(self, limit: int, per: timedelta, key: bytes, most: int = 10_000) -> None:
        self._limit, self._per, self._key, self._most = limit, per, key, most
        self._seen: OrderedDict[bytes, tuple[datetime, int]] = OrderedDict()

    def allow(self, client: str, now: datetime) -> bool:
        """Count one try and return whether it is within the limit."""
        key = hashlib.blake2b(network_of(client).encode(), key=self._key[:64], digest_size=16).digest()
        since, count = self._seen.pop(key, (now, 0))
        if now - since >= self._per:
            since, count = now, 0
        self._seen[key] = (since, min(count + 1, self._limit + 1))
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return count < self._limit

    def __len__(self) -> int:
        return len(self._seen)
