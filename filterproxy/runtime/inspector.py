"""The inspector role: mitmproxy with our addon, on plain asyncio (its master dies on uvloop), binding its own port."""

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
    addon = inspection.HttpFilter(settings, worker.live.policy, notices, worker.counters, now, keys.mac)
    await inspection.run_inspector(settings, addon, worker.ready, worker.stop)
