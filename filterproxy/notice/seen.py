"""The cookie that lets a person past a warning: it proves that the warning was shown, and says nothing else.

It holds the hour in which it ends and a MAC over that, the client's network, the host and the list. It is bound to a
network, not an address, for addresses change within a visit; and it never reaches the origin.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

NAME: Final = "filterproxy_seen"
LIFETIME: Final = timedelta(seconds=600)


class Seen:
    """Makes and checks these cookies with a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def cookie(self, client: str, host: str, list_id: str, now: datetime, *, secure: bool) -> str:
        """Return a whole Set-Cookie value."""
        value = self._value(client, host, list_id, _hour(now + LIFETIME))
        attributes = f"Max-Age={LIFETIME.seconds}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
        return f"{NAME}={value}; {attributes}"

    def shown(self, values: Iterable[str], client: str, host: str, list_id: str, now: datetime) -> bool:
        """Tell whether one of the cookie values says that this warning was shown."""
        hours = (_hour(now), _hour(now + LIFETIME))
        good = [self._value(client, host, list_id, hour).encode() for hour in hours]
        given = [value.encode("utf-8", "replace") for value in values]
        return any(hmac.compare_digest(one, other) for one in given for other in good)

    def _value(self, client: str, host: str, list_id: str, hour: int) -> str:
        text = json.dumps([_network(client), host, list_id, hour]).encode()
        mac = hmac.digest(self._key, b"filterproxy seen 1" + text, "sha256")[:16]
        return f"{hour}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _hour(when: datetime) -> int:
    return int(when.timestamp()) // 3600


def _network(client: str) -> str:
    address = ipaddress.ip_address(client)
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 56), strict=False))
