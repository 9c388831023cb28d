"""Ports of 127.0.0.1 for servers that take one by number, and keep it between their lives."""

from __future__ import annotations

import random
import socket
from itertools import count
from typing import Final

# Below those that the kernel gives to whoever connects: one of these would be taken again before it is used.
FIRST: Final = 12_000
LAST: Final = 32_000

_next = count(random.randrange(LAST - FIRST))


def free_port() -> int:
    """Return a port of TCP and UDP that nobody uses, another each time; tests of other processes begin elsewhere."""
    for at in _next:
        port = FIRST + at % (LAST - FIRST)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable")


def free_ports(number: int) -> list[int]:
    """Return as many such ports."""
    return [free_port() for _ in range(number)]
