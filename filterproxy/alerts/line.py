"""A connection of which no part can last: each wait is bounded, and so is the whole, whoever drips bytes at the end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .outbox import DeliveryError

STEP = 10.0
"""Seconds that one step, such as connecting or a reply, may take."""
WHOLE = 60.0
"""Seconds that all of it may take."""


@contextmanager
def line(host: str, port: int, step: float = STEP, whole: float = WHOLE) -> Iterator[socket.socket]:
    """Yield a connected socket, cut off after `whole` seconds, also below TLS. Raises OSError."""
    sock = socket.create_connection((host.strip("[]"), port), timeout=step)
    with sock, sock.dup() as same:  # TLS takes the socket's descriptor over
        watch = threading.Timer(whole, _cut, [same])
        watch.daemon = True
        watch.start()
        try:
            yield sock
        finally:
            watch.cancel()
            watch.join()


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def verifying(ca: Path | None) -> ssl.SSLContext:
    """Return a context that trusts `ca` alone, or the system's authorities. Raises DeliveryError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        raise DeliveryError(f"{ca} cannot be used: {type(exc).__name__}") from None
