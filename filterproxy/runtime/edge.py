"""The edge role: DNS and the gateway on one uvloop loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from filterproxy import dns, gateway
from filterproxy.dns.about import About
from filterproxy.dns.crowd import Crowd
from filterproxy.dns.enumeration import Alarm, Enumeration
from filterproxy.notice.render import Notices

from .channel import ChannelError
from .garbage import set_aside
from .sockets import GATEWAY
from .turns import one_by_one, soon_and_short
from .worker import Worker, now

if TYPE_CHECKING:
    from filterproxy.dns.server import Serving
    from filterproxy.settings import Settings
    from filterproxy.settings.dns import Dns

    from .channel import Body


async def main(worker: Worker) -> None:
    """Serve the sockets handed over, until told to stop."""
    if not await worker.wait_for_bundle():
        return
    settings = worker.settings
    if settings.runtime.workers <= len(os.sched_getaffinity(0)):
        soon_and_short()
    else:  # where workers share a core they would only take turns from each other: a fifth of their time
        one_by_one()
    answers = await _answer(worker) if settings.dns.enabled else None
    proxy = await _proxy(worker) if settings.gateway.enabled else None
    worker.ready()
    set_aside()
    await worker.stop.wait()
    seconds = settings.runtime.drain.total_seconds() * 0.8
    await asyncio.gather(*(serving.close(seconds) for serving in (answers, proxy) if serving is not None))


async def _answer(worker: Worker) -> Serving:
    """Begin to answer DNS."""
    settings = worker.settings
    crowd = Crowd(worker.keys.mac)
    worker.says["clients"] = lambda: crowd.seen
    bell = Enumeration(settings.dns.limits, worker.keys.mac, partial(_tell, worker), worker.counters.event)
    resolver = dns.Resolver(
        _dns(settings), worker.live.policy, worker.counters, now,
        meet=crowd.meet, key=worker.keys.mac, blocks=bell.meet, about=About.of(settings),
    )  # fmt: skip
    udp, tcp = worker.sockets.get("dns_udp", []), worker.sockets.get("dns_tcp", [])
    choices = frozenset(profile.id for profile in settings.profiles if profile.choose)
    serving = await dns.serve(resolver, udp, tcp, settings.dns, choices)
    for sock in worker.sockets.get("dns_dot", ()):
        serving.add_dot(sock)
    for sock in worker.sockets.get("dns_doh", ()):
        serving.add_doh(sock)
    others = Others(serving, worker.stop)
    worker.takes |= {"cover": others.cover, "uncover": others.uncover}
    return serving


async def _proxy(worker: Worker) -> gateway.Serving:
    """Begin to serve the proxy."""
    settings = worker.settings
    notices = Notices(settings.operator, settings.portal.url, worker.sealer)
    house = gateway.furnish(settings, worker.live.policy, notices, worker.counters, now, worker.keys.mac)
    serving = gateway.Serving(house)

    def found(body: Body, _: list[int]) -> None:
        house.inspector.port = body["port"]

    worker.takes["inspector"] = found
    for use in GATEWAY:
        await serving.listen(use, worker.sockets.get(use, ()))
    return serving


def _tell(worker: Worker, alarm: Alarm) -> None:
    """Tell the supervisor that somebody meets many listed entries; where it is gone, we soon are as well."""
    with contextlib.suppress(ChannelError):
        worker.channel.tell("enumeration", {"network": alarm.network, "entries": dict(alarm.entries)})


def _dns(settings: Settings) -> Dns:
    """Return the table as it counts here: where nothing looks into https, no host is kept in sight of it."""
    if settings.gateway.enabled and settings.inspection.enabled:
        return settings.dns
    return settings.dns.model_copy(update={"https_records": "pass"})


class Lent(socket.socket):
    """A socket that is closed once nobody holds it: the last question that was taken from it is answered then."""

    def __del__(self) -> None:
        self.close()


class Others:
    """The UDP sockets of workers that are away, read in their place."""

    def __init__(self, serving: Serving, stop: asyncio.Event) -> None:
        """Read none yet; and none any more once `stop` is set."""
        self._serving, self._stop = serving, stop
        self._sockets: dict[int, Lent] = {}

    def cover(self, body: Body, fds: list[int]) -> None:
        """Read another worker's socket, whose number is the supervisor's."""
        (fd,) = fds
        sock = Lent(fileno=fd)
        if self._stop.is_set():
            return
        self._sockets[int(body["socket"])] = sock
        self._serving.add_udp(sock)

    def uncover(self, body: Body, fds: list[int]) -> None:
        """Leave it to its worker. What was taken from it is still answered."""
        for fd in fds:
            os.close(fd)
        sock = self._sockets.pop(int(body["socket"]), None)
        if sock is not None:
            self._serving.remove_udp(sock)
