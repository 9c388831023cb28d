"""Whether those who ask look like one client: then something in between hides them, as a NAT does.

Profiles by network, limits a client and the refusal of strangers all mean nothing behind such an address. No address
is kept for this: a keyed digest of the first, and whether there was another.
"""

from __future__ import annotations

import ipaddress
from hashlib import blake2b

NOBODY, MANY = "", "many"


class Crowd:
    """What one process has seen since it began. `key` is shared by the workers, so that they can be compared."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.seen = NOBODY
        """NOBODY, MANY, or a digest of the one client."""

    def meet(self, address: str) -> None:
        """Take note of a client by its canonical IP address. This machine itself counts for nobody."""
        if self.seen == MANY or ipaddress.ip_address(address).is_loopback:
            return
        mark = blake2b(address.encode(), digest_size=16, key=self._key).hexdigest()
        self.seen = mark if self.seen in (NOBODY, mark) else MANY


def one_client(seen: list[str]) -> bool:
    """Return whether all that the workers saw is one and the same client."""
    known = {item for item in seen if item != NOBODY}
    return len(known) == 1 and MANY not in known
