"""The edge role: DNS, and the gateway when it comes, on one uvloop loop."""

from __future__ import annotations

from filterproxy import dns
from filterproxy.dns.crowd import Crowd

from .turns import soon_and_short
from .worker import Worker, now


async def main(worker: Worker) -> None:
    """Answer DNS on the sockets handed over, until told to stop."""
    if not await worker.wait_for_bundle():
        return
    soon_and_short()
    settings = worker.settings
    crowd = Crowd(worker.keys.mac)
    worker.says["clients"] = lambda: crowd.seen
    resolver = dns.Resolver(settings.dns, worker.live.policy, worker.counters, now, meet=crowd.meet)
    udp, tcp = worker.sockets.get("dns_udp", []), worker.sockets.get("dns_tcp", [])
    serving = await dns.serve(resolver, udp, tcp, settings.dns)
    worker.ready()
    await worker.stop.wait()
    await serving.close(settings.runtime.drain.total_seconds() * 0.8)
