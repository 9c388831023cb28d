"""The inspector role: mitmproxy with our addon, on plain asyncio (its master dies on uvloop).

It binds a port of loopback by itself, and tells it; where no gateway runs, that of the proxy.
"""

from __future__ import annotations

from filterproxy import inspection
from filterproxy.notice.render import Notices

from .worker import Worker, now


async def main(worker: Worker) -> None:
    """Serve the proxy until told to stop."""
    if not await worker.wait_for_bundle():
        return
    settings, keys = worker.settings, worker.keys
    notices = Notices(settings.operator, settings.portal.url, worker.sealer)
    behind = worker.behind
    addon = inspection.HttpFilter(settings, worker.live.policy, notices, worker.counters, now, keys.mac, behind=behind)
    await inspection.run_inspector(settings, addon, lambda port: worker.ready(port=port), worker.stop, behind=behind)
