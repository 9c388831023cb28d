"""No UDP socket is without a reader: where its worker is away, a living one reads it until another one is there.

A datagram waits in the socket that the kernel chose for it; nobody else's answer would come in time. So the supervisor,
which keeps every socket, sends a copy of the descriptor at once. With a single worker the socket itself waits.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence

from .channel import ChannelError
from .children import Child


class Cover:
    """Who reads which socket in another's place. `settle` is called whenever that may have changed."""

    def __init__(self) -> None:
        self._covers: dict[int, Child] = {}

    @property
    def covered(self) -> int:
        """How many sockets are read by others than their own worker."""
        return len(self._covers)

    def settle(self, children: Iterable[Child], sockets: Sequence[socket.socket]) -> None:
        """Have each of `sockets` read by a worker that serves: its own, or else another."""
        serving = [child for child in children if child.role == "edge" and child.serves]
        owned = {sock.fileno() for child in serving for use, sock in child.sockets if use == "dns_udp"}
        there = {sock.fileno(): sock for sock in sockets}
        for number, cover in list(self._covers.items()):
            if number in owned or number not in there or cover not in serving:
                del self._covers[number]
                _tell(cover, "uncover", number)
        for number, sock in there.items():
            if number not in owned and number not in self._covers and serving:
                # The one with the least to do besides.
                chosen = min(serving, key=lambda child: sum(cover is child for cover in self._covers.values()))
                if _tell(chosen, "cover", number, [sock.fileno()]):
                    self._covers[number] = chosen


def _tell(child: Child, kind: str, number: int, fds: Sequence[int] = ()) -> bool:
    """Tell a worker; one that is gone is looked after when its end is noticed."""
    with contextlib.suppress(ChannelError):
        if child.channel is not None:
            child.channel.tell(kind, {"socket": number}, fds)
            return True
    return False
