"""The zones that are given to receivers: built from the bundle in force, and anew whenever it or the time changes them.

Entries are read from the bundle on disk, on a thread. A list that never loaded has no zone: an empty one would tell
resolvers to let everything pass. One whose licence has ended has an empty one, for just that reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from filterproxy.core.model import Entry, ListFormat
from filterproxy.dns.transfer import messages, zone
from filterproxy.dns.transfer.requests import IXFR, SOA, Request
from filterproxy.dns.transfer.serials import Serials
from filterproxy.dns.transfer.server import Given
from filterproxy.dns.transfer.versions import Version, newer
from filterproxy.errors import FilterproxyError
from filterproxy.keys import Keys
from filterproxy.lists import publish

from .logs import event, failed
from .process import give_back
from .worker import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterproxy.lists.publish import Manifest, Part
    from filterproxy.settings.lists import List

    from .worker import Worker

_log = logging.getLogger(__name__)
_AGAIN = 1.0
"""Seconds after which a zone is built anew whose list was replaced on disk meanwhile, or that could not be built."""

Made = tuple[str, str, bool]
"""What a zone was made from: the versions of its list and of what spares it, and whether its licence has ended."""


class Said(TypedDict):
    """How a zone stands."""

    serial: int
    records: int
    unenforceable: dict[str, int]
    """Entries that a zone cannot carry, by kind."""


class Held(NamedTuple):
    """A zone as it is now."""

    list_id: str
    version: Version

    def answer(self, request: Request) -> Given:
        """Return what answers a receiver's question; its messages are made one by one."""
        version, room = self.version, request.room
        if request.qtype == SOA:
            return Given("soa", version.serial, 0, iter((messages.soa(version, request.ident, request.question),)))
        if request.qtype != IXFR or request.serial is None:
            whole = messages.axfr(version, request.ident, request.question, room=room)
            return Given("axfr", version.serial, messages.count(version), whole)
        ahead = newer(request.serial, version.serial)
        kind = "axfr" if not ahead and version.since(request.serial) is None else "ixfr"
        number = 0 if ahead else messages.count(version, request.serial)
        changes = messages.ixfr(version, request.ident, request.question, request.serial, room=room)
        return Given(kind, version.serial, number, changes)


class Zones:
    """All zones of the configuration. `changed` is told the name of each that has a new serial."""

    def __init__(self, worker: Worker, changed: Callable[[str, str], None]) -> None:
        """Nothing is built yet."""
        self._worker, self._changed = worker, changed
        settings = worker.settings
        self._tables = {f"{table.id}.{settings.dns.transfer.zone}": table for table in settings.lists if table.rpz}
        self._serials = Serials(settings.runtime.state)
        self._held: dict[str, Held] = {}
        self._made: dict[str, Made] = {}
        self._changes: dict[str, datetime] = {}
        self._threads = ThreadPoolExecutor(1, "zones")
        self._said: dict[str, Said] = {}
        self.begun = asyncio.Event()
        """Set once every zone was built that could be."""

    def list_of(self, name: str) -> str | None:
        """Return the id of the list that has this zone."""
        table = self._tables.get(name)
        return None if table is None else table.id

    def held(self, name: str) -> Held | None:
        """Return a zone as it is now; None before it is there."""
        return self._held.get(name)

    def said(self) -> str:
        """Return what `zones_of` reads: how each zone stands, by its list."""
        return json.dumps(self._said)

    async def run(self) -> None:
        """Keep the zones as the bundle in force and the time want them, until cancelled."""
        renewed = self._worker.live.renewed
        while True:
            renewed.clear()
            well = await self._renew()
            self.begun.set()
            try:
                async with asyncio.timeout(self._pause() if well else _AGAIN):
                    await renewed.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float | None:
        """Return the seconds until the time changes a zone."""
        if not self._changes:
            return None
        return max(0.0, min(86_400.0, (min(self._changes.values()) - now()).total_seconds())) + 0.01

    async def _renew(self) -> bool:
        """Build what is not as it should be, and return whether that went well."""
        manifest, well = self._worker.live.manifest, True
        parts = {part.name: part for part in manifest.parts}
        sizes = {part.name.removeprefix("list:"): part.size for part in manifest.parts}
        # Small ones first: a change of ten names need not wait for a list of a million.
        for name, table in sorted(self._tables.items(), key=lambda item: sizes.get(item[1].id, 0)):
            part, spared = parts.get(f"list:{table.id}"), parts.get(f"override:{table.id}")
            ended = table.id in manifest.ended
            if part is None and not ended:
                continue
            made = (part.version if part else "", spared.version if spared else "", ended)
            due = self._changes.get(name)
            if self._made.get(name) == made and (due is None or now() < due):
                continue
            try:
                await self._build(name, table, manifest, (None if ended else part), spared)
                self._made[name] = made
            except FilterproxyError as exc:
                well = False
                event(_log, logging.WARNING, "zone_not_built", list=table.id, reason=str(exc))
            except Exception as exc:  # noqa: BLE001 - the zone stays as it was, and it is tried again
                well = False
                failed(_log, "zone_not_built", exc, list=table.id)
        return well

    async def _build(self, name: str, table: List, manifest: Manifest, part: Part | None, spared: Part | None) -> None:
        before = self._held.get(name)
        loop = asyncio.get_running_loop()
        built, version = await loop.run_in_executor(
            self._threads, self._built, table, manifest, part, spared, before.version if before else None
        )
        self._held[name] = Held(table.id, version)
        kinds = {kind: number for kind, number in sorted(built.unenforceable.items()) if number}
        self._said[table.id] = {"serial": version.serial, "records": len(built), "unenforceable": kinds}
        if built.next_change is None:
            self._changes.pop(name, None)
        else:
            self._changes[name] = built.next_change
        if before is None or before.version.serial != version.serial:
            beyond = {f"unenforceable_{kind}": number for kind, number in kinds.items()}
            event(
                _log, logging.INFO, "zone_built", list=table.id, serial=version.serial, records=len(built),
                unenforceable=sum(kinds.values()), **beyond,
            )  # fmt: skip
            self._changed(name, table.id)

    def _built(
        self, table: List, manifest: Manifest, part: Part | None, spared: Part | None, before: Version | None
    ) -> tuple[zone.Zone, Version]:
        """Return the zone of a list, and the version that it is. On a thread. Raises FilterproxyError."""
        settings, shared = self._worker.settings, self._worker.keys
        folder, moment = publish.bundle_folder(settings.runtime.state), now()
        # Those that this bundle was made under: a rotation that is under way has others beside them.
        keys = Keys.open(settings.keys_folder, patterns_public=shared.patterns_public).under(manifest.keys)
        form = "" if part is None else str(publish.arrays(folder, part, ())[0]["format"])
        manner = zone.Manner.of(settings, table, ListFormat(form) if form else None)

        def entries(of: Part | None) -> list[Entry]:
            return [] if of is None else list(publish.entries_of(folder, of, keys.sealing_private))

        listed = () if part is None else publish.entries_of(folder, part, keys.sealing_private)
        built = zone.build(listed, manner, entries(spared), now=moment)
        serial = self._serials.serial(built, shared.mac, moment)
        version = Version(built, serial) if before is None else before.after(built, serial)
        give_back()
        return built, version
