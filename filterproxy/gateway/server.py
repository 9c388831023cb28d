"""The gateway of one worker: its listeners, and what all their connections share.

The sockets are handed in, bound and listening, and never closed here: what waits in them when a worker stops is served
by the next.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Final

from filterproxy.core.model import Verdict
from filterproxy.core.rulings import Door
from filterproxy.core.targets import Targets
from filterproxy.notice import seen
from filterproxy.settings.base import split_address

from .arriving import Arriving
from .balanced import Balanced
from .client import Client
from .connecting import connect
from .dialling import Dialler
from .fields import Heads
from .house import House, Waits
from .inspected import Inspector
from .judging import Judge
from .memo import Memo
from .pages import Pages
from .pipes import Pipes
from .pool import Pool
from .seats import Seats
from .sweeping import Sweeper

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from filterproxy.core.policy import Policy
    from filterproxy.notice.render import Notices
    from filterproxy.settings import Settings

    from .dialling import Resolve
    from .house import Count

_LOOK_AGAIN: Final = 0.05
BACKLOG: Final = 4096


def furnish(
    settings: Settings, policy: Callable[[], Policy], notices: Notices, count: Count, now: Callable[[], datetime],
    mac_key: bytes, resolve: Resolve | None = None,
) -> House:  # fmt: skip
    """Return the rooms of a gateway on the running loop. `mac_key` (32 bytes) makes cookies, and vouches for clients.

    Raises OSError where no pipe can be opened.
    """
    loop, gateway = asyncio.get_running_loop(), settings.gateway
    listen = (gateway.listen, *gateway.proxy_protocol, *gateway.redirect, *gateway.tproxy)
    ends = [split_address(item) for item in listen]
    local = gateway.trust_local and ipaddress.ip_address(ends[0][0]).is_loopback
    targets = Targets(gateway.allow_targets, settings.portal.places, {port for _, port in ends}, local=local)
    limits = gateway.limits
    return House(
        loop=loop,
        settings=gateway,
        waits=Waits.of(limits),
        opens=settings.inspection.tls if settings.inspection.enabled else "none",
        policy=policy,
        now=now,
        door=Door(gateway.clients, policy, now),
        targets=targets,
        judge=Judge(targets),
        heads=Heads(gateway.forwarded, seen.NAME.encode(), via=gateway.via),
        pages=Pages(notices),
        seen=seen.Seen(mac_key),
        dialler=Dialler(targets, limits.connect.total_seconds(), resolve),
        pool=Pool(limits.idle_origins, limits.per_origin),
        pipes=Pipes(loop),
        sweeper=Sweeper(loop),
        seats=Seats(limits.connections, limits.per_client),
        count=count,
        inspector=Inspector(mac_key),
        blocks=Memo(loop),
        answers=Memo(loop),
        connect=connect,
        allowed=count.cell("http", Verdict()),
    )


class Serving:
    """What is being served, until it is closed."""

    def __init__(self, house: House) -> None:
        """Serve nothing yet."""
        self.house = house
        self._servers: list[asyncio.Server] = []

    async def listen(self, use: str, sockets: Iterable[socket.socket]) -> None:
        """Serve listening sockets: `gateway`, `gateway_proxied`, `gateway_redirect` or `gateway_tproxy`."""
        make = self._maker(use)
        for sock in sockets:
            # A copy: the server closes what it is given.
            server = await self.house.loop.create_server(make, sock=sock.dup(), backlog=BACKLOG)
            self._servers.append(server)

    async def close(self, seconds: float) -> None:
        """Take no more connections, let running requests end for so long, and cut what is left."""
        house = self.house
        for server in self._servers:
            server.close()
        house.sweeper.retire()
        ends = house.loop.time() + seconds
        while (len(house.sweeper) or house.tunnels) and house.loop.time() < ends:
            await asyncio.sleep(_LOOK_AGAIN)
            house.sweeper.retire()
        house.sweeper.cut()
        for tunnel in list(house.tunnels):
            tunnel.close()
        house.pool.close()
        house.dialler.close()
        house.sweeper.close()
        await asyncio.sleep(0)
        house.pipes.close()

    def _maker(self, use: str) -> Callable[[], asyncio.Protocol]:
        house = self.house
        if use == "gateway_proxied":
            networks = tuple(ipaddress.ip_network(text) for text in house.settings.balancers)
            return lambda: Balanced(house, networks)
        if use in ("gateway_redirect", "gateway_tproxy"):
            return lambda: Arriving(house, tproxy=use == "gateway_tproxy")
        return lambda: Client(house)
