"""The way to the inspector: a tunnel over loopback, on which the client is vouched for."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from filterproxy.core.vouched import FIELD, vouch

if TYPE_CHECKING:
    from datetime import datetime

    from .judging import Place

LONGEST: Final = 4096
"""Bytes of its answer at most."""


class InspectorAwayError(OSError):
    """No inspector serves, or it does not take this tunnel."""


class Inspector:
    """Where it is, as far as is known."""

    __slots__ = ("_key", "port")

    def __init__(self, key: bytes) -> None:
        """Vouch under `key`, 32 bytes. Nobody serves yet."""
        self._key = key
        self.port: int | None = None
        """That of loopback at which it serves; None where none does."""

    async def reach(
        self, loop: asyncio.AbstractEventLoop, address: str, place: Place, now: datetime, seconds: float
    ) -> socket.socket:
        """Return a socket at whose other end the inspector waits for the client's TLS. Raises InspectorAwayError."""
        if self.port is None:
            raise InspectorAwayError
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_connect(sock, ("127.0.0.1", self.port))
                await loop.sock_sendall(sock, self._head(address, place, now))
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = await loop.sock_recv(sock, LONGEST - len(head))
                    head += piece
                    if not piece or len(head) >= LONGEST:
                        raise InspectorAwayError
            # It speaks second: nothing of what follows can have come along.
            if head.split(b" ", 2)[1:2] != [b"200"] or not head.endswith(b"\r\n\r\n"):
                raise InspectorAwayError
        except (OSError, TimeoutError):
            sock.close()
            raise InspectorAwayError from None
        except BaseException:
            sock.close()
            raise
        return sock

    def _head(self, address: str, place: Place, now: datetime) -> bytes:
        there = place.text.encode()
        said = vouch(self._key, address, place.text, now.timestamp())
        return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b: %b\r\n\r\n" % (there, there, FIELD, said)
