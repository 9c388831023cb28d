"""The control role: the portal, the operator's page, list refresh, the store, and the command line's requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from filterproxy.alerts import Alerts
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Opener
from filterproxy.portal.app import create_app
from filterproxy.portal.networks import Networks
from filterproxy.portal.parts import Parts
from filterproxy.store import Store

from . import alarms, record, visitors
from .desk import Desk
from .httpd import Pages
from .librarian import Librarian
from .logs import failed
from .operators_page import operators_page
from .rekeying import Rekeying, keys_of, openers
from .worker import Worker, now

_log = logging.getLogger(__name__)
_LAST_REQUESTS = 0.2
"""Seconds in which what was sent before the end may still arrive."""
_LAST_ALERTS = 1.0
"""Seconds in which alerts that wait may still be sent."""


async def main(worker: Worker) -> None:
    """Serve until told to stop. Filtering goes on without any of this."""
    settings = worker.settings
    keys = await asyncio.to_thread(keys_of, worker)
    store = Store(settings.store_url, keys.column)
    alerts = await asyncio.to_thread(Alerts, settings)
    librarian = Librarian(worker, keys, store, alerts)
    desk = Desk(worker, store, librarian, alerts)
    opener = Opener(openers(keys))
    rekeying = Rekeying(worker, librarian, opener)
    worker.commands |= {"command": desk.command, "totals": desk.totals, "rotate": rekeying.command}
    worker.takes["enumeration"] = lambda body, _: alerts.raise_all(alarms.noticed(settings, body))
    notices = Notices(settings.operator, settings.portal.url, worker.sealer)
    parts = Parts(
        settings=settings, store=store, opener=opener, notices=notices, policy=worker.live.policy,
        record=lambda: record.public(worker.live.policy(), settings, now()), count=worker.counters, now=now,
        mac_key=keys.mac,
    )  # fmt: skip
    tasks = [asyncio.create_task(librarian.run()), asyncio.create_task(desk.run())]
    servers = [_Server(_config(parts, settings.runtime.drain.total_seconds()))] if "portal" in worker.sockets else []
    serving = [asyncio.create_task(server.serve(worker.sockets["portal"])) for server in servers]
    console = [await Pages({"/": operators_page(desk)}).serve(sock) for sock in _sockets(worker, "console")]
    try:
        await _started(servers, serving)
        worker.ready()
        await worker.stop.wait()
    finally:
        for server in servers:
            server.should_exit = True
        for page in console:
            page.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*serving, *tasks, return_exceptions=True)
        await asyncio.to_thread(alerts.close, _LAST_ALERTS)
        await asyncio.to_thread(store.close)


def _sockets(worker: Worker, use: str) -> list[socket.socket]:
    return worker.sockets.get(use, [])


def _config(parts: Parts, drain: float) -> uvicorn.Config:
    http: Any = visitors.protocol(Networks(parts.settings.portal.trusted_proxies))  # what makes one will do
    return uvicorn.Config(
        create_app(parts), lifespan="off", log_config=None, access_log=False, server_header=False, http=http, ws="none",
        proxy_headers=False, limit_concurrency=visitors.MOST, timeout_graceful_shutdown=max(1, int(drain * 0.8)),
    )  # fmt: skip


class _Server(uvicorn.Server):
    """uvicorn on sockets that others bound, in a process whose signals are not its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal: the supervisor ends this process."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and for a moment yet what is asked on those that were taken; then end them.

        A connection that is closed before its request was read is reset, and whoever asked gets no page.
        """
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUESTS)
        await super().shutdown(sockets)


async def _started(servers: list[_Server], serving: list[asyncio.Task[None]]) -> None:
    """Wait until every server accepts; raise what kept one from it."""
    while not all(server.started for server in servers):
        for task in serving:
            if task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    if (error := task.exception()) is not None:
                        failed(_log, "portal_failed", error)
                raise RuntimeError("the portal did not start")
        await asyncio.sleep(0.01)
