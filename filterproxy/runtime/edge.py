"""The edge role: DNS, and the gateway when it comes, on one uvloop loop."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from filterproxy import dns
from filterproxy.dns.crowd import Crowd

from .garbage import set_aside
from .turns import soon_and_short
from .worker import Worker, now

if TYPE_CHECKING:
    from filterproxy.dns.server import Serving

    from .channel import Body

_ANSWERED = 15.0
"""Seconds after which what was taken from another's socket has been answered, or never will be."""


async def main(worker: Worker) -> None:
    """Answer DNS on the sockets handed over, until told to stop."""
    if not await worker.wait_for_bundle():
        return
    settings = worker.settings
    if settings.runtime.workers <= len(os.sched_getaffinity(0)):
        soon_and_short()  # where workers share a core they would only take turns from each other: 15 % of their time
    crowd = Crowd(worker.keys.mac)
    worker.says["clients"] = lambda: crowd.seen
    resolver = dns.Resolver(settings.dns, worker.live.policy, worker.counters, now, meet=crowd.meet)
    udp, tcp = worker.sockets.get("dns_udp", []), worker.sockets.get("dns_tcp", [])
    serving = await dns.serve(resolver, udp, tcp, settings.dns)
    others = Others(serving)
    worker.takes |= {"cover": others.cover, "uncover": others.uncover}
    worker.ready()
    set_aside()
    await worker.stop.wait()
    await serving.close(settings.runtime.drain.total_seconds() * 0.8)


class Others:
    """The UDP sockets of workers that are away, read in their place."""

    def __init__(self, serving: Serving) -> None:
        """Read none yet."""
        self._serving = serving
        self._sockets: dict[int, socket.socket] = {}

    def cover(self, body: Body, fds: list[int]) -> None:
        """Read another worker's socket, whose number is the supervisor's."""
        (fd,) = fds
        sock = socket.socket(fileno=fd)
        self._sockets[int(body["socket"])] = sock
        self._serving.add_udp(sock)

    def uncover(self, body: Body, fds: list[int]) -> None:
        """Leave it to its worker. What was taken from it is still answered, so it is closed only later."""
        for fd in fds:
            os.close(fd)
        sock = self._sockets.pop(int(body["socket"]), None)
        if sock is None:
            return
        self._serving.remove_udp(sock)
        asyncio.get_running_loop().call_later(_ANSWERED, sock.close)
