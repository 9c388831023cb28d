"""The transfer role: lists as zones for other resolvers, in a process of its own whose work waits for everybody else's.

It has what opens the entries of lists, as control does, and nothing else that is secret but the receivers' keys.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from time import monotonic
from typing import TYPE_CHECKING

from filterproxy.dns.tls import Certificate
from filterproxy.dns.transfer import receivers
from filterproxy.dns.transfer.notify import Notifier
from filterproxy.dns.transfer.server import Given, Server
from filterproxy.errors import ConfigError

from .garbage import set_aside
from .logs import event
from .turns import last_of_all
from .zones import Zones

if TYPE_CHECKING:
    from filterproxy.settings import Settings

    from .counters import Counters
    from .worker import Worker

_log = logging.getLogger(__name__)
_QUIET = 10.0
"""Seconds between two lines of the log about refusals of one kind: anybody can cause those."""


async def main(worker: Worker) -> None:
    """Give zones on the sockets handed over, until told to stop."""
    last_of_all()
    settings = worker.settings
    known = await asyncio.to_thread(receivers.read, settings)
    audit(settings)
    if not await worker.wait_for_bundle():
        return
    record = Record(worker.counters)
    notifier = Notifier(known, settings.dns.transfer.listen, record.unheard)
    zones = Zones(worker, notifier.tell)
    worker.says["zones"] = zones.said
    certificate = _certificate(settings, worker.counters)
    server = Server(
        known, zones.held, zones.list_of, lambda: _context(certificate), settings.dns.transfer.connections, record
    )
    tasks = [asyncio.create_task(zones.run()), asyncio.create_task(certificate.keep())]
    worker.ready()
    try:
        await _begun(zones, worker.stop)
        if not worker.stop.is_set():
            set_aside()
            for sock in worker.sockets.get("transfer", []):  # until now whoever came waits in their queues
                server.add(sock)
            await worker.stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        await notifier.close()
        await server.close(settings.runtime.drain.total_seconds() * 0.8)
        await asyncio.gather(*tasks, return_exceptions=True)


def audit(settings: Settings) -> None:
    """Note for every list that is given away who may take it: at each start, and whenever that is changed."""
    for table in settings.lists:
        if table.rpz:
            event(
                _log, logging.WARNING if table.confidential else logging.INFO, "transfer_receivers", list=table.id,
                confidential=table.confidential, receivers=",".join(receivers.audience(settings, table)) or "-",
            )  # fmt: skip


class Record:
    """What is logged and counted of transfers: ids, serials and numbers; never a name, and no address."""

    def __init__(self, counters: Counters) -> None:
        """Nothing has been refused yet."""
        self._counters = counters
        self._told: dict[tuple[str, str, str], float] = {}

    def given(self, receiver: str, list_id: str, given: Given, seconds: float) -> None:
        """Note a transfer; a question for a serial alone is none."""
        if given.kind != "soa":
            self._counters.event("dns_transfer")
            event(
                _log, logging.INFO, "transfer", receiver=receiver, list=list_id, kind=given.kind, serial=given.serial,
                records=given.records, seconds=round(seconds, 3),
            )  # fmt: skip

    def refused(self, reason: str, receiver: str, list_id: str) -> None:
        """Note what was refused or broken off. Of one kind not more than a line in a while, for anybody can ask."""
        self._counters.event("dns_transfer_refused")
        what, moment = (reason, receiver, list_id), monotonic()
        if moment - self._told.get(what, float("-inf")) >= _QUIET:
            self._told[what] = moment
            event(
                _log, logging.WARNING, "transfer_refused", reason=reason, receiver=receiver or "-", list=list_id or "-"
            )

    def unheard(self, receiver: str, list_id: str) -> None:
        """Note that a receiver does not answer; it asks by itself when the zone's refresh is due."""
        event(_log, logging.WARNING, "transfer_notify_unheard", receiver=receiver, list=list_id)


async def _begun(zones: Zones, stop: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(zones.begun.wait()), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _certificate(settings: Settings, counters: Counters) -> Certificate:
    transfer = settings.dns.transfer
    if transfer.certificate is None or transfer.key is None:
        raise ConfigError("dns.transfer: listen needs certificate and key as well")
    return Certificate(transfer.certificate, transfer.key, ("dot",), counters.event)


def _context(certificate: Certificate) -> ssl.SSLContext:
    """Return how a connection is taken now: by TLS 1.3, which RFC 9103 (section 7) asks for. Raises OSError."""
    if certificate.context is None:
        raise ssl.SSLError("there is no certificate that can be used")
    certificate.context.minimum_version = ssl.TLSVersion.TLSv1_3
    return certificate.context
