"""Refreshing: each list from its source, through the gates, into a segment; a refused one leaves the last in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from filterproxy.alerts import Alert
from filterproxy.alerts.alert import list_refused, quarantine
from filterproxy.core.model import Action, Entry
from filterproxy.core.policy import Override
from filterproxy.errors import SegmentError, SourceError
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

from . import publish
from .canaries import compile_canaries
from .compile import Compiled, compile_segment
from .known import Known, Shelf
from .own import compile_own
from .publish import Held, Manifest, Part, Status
from .reading import Before, Reader, Reading
from .resealing import Anew, Announce
from .seals import Seals
from .stock import taken_up

log = logging.getLogger("filterproxy.lists")

Released = Mapping[str, frozenset[str]]
"""By list: the ids of entries that people have released from quarantine."""


def compile_overrides(overrides: Iterable[Override], settings: Settings, key: bytes) -> list[Compiled]:
    """Return a segment per list that some override spares; each of its entries ends when its override does."""
    by_list: dict[str, list[Entry]] = {}
    for override in overrides:
        entry = override.entry._replace(action=Action.ALLOW, not_after=override.expires_at, reference=override.id)
        by_list.setdefault(override.list_id, []).append(entry)
    listings = {listing.id: listing for listing in settings.listings}
    return [
        compile_segment(f"override:{name}", entries, key, replace(listings[name], action=Action.BLOCK))
        for name, entries in by_list.items()
        if name in listings
    ]


class Refresher:
    """Keeps the bundle on disk: reads lists when told, and writes what changed under a new generation. Thread-safe."""

    def __init__(self, settings: Settings, seals: Seals, tell: Callable[[Alert], None] = lambda _: None) -> None:
        """Take up the manifest on disk; one that is refused counts as none, and everything is read anew.

        `tell` is called with each alert, once what it is about took force. Raises ConfigError where what is guarded
        cannot be read.
        """
        self._settings, self._seals, self._tell = settings, seals, tell
        self._reader = Reader.of(settings, seals.digest, seals.mac)
        self._folder = publish.bundle_folder(settings.runtime.state)
        self._shelf = Shelf(self._folder)
        mark = publish.mark(settings.runtime.state)
        self._manifest, self._closed = taken_up(self._folder, seals, self._shelf, mark)
        self._generation = max(self._manifest.generation, mark)
        """The last that was given away, be it in vain: none stands for two bundles."""
        self._unnamed: set[str] = set()
        self._turn, self._turns = 0, dict[str, int]()
        """How many readings have begun; and of each list, which of them gave what is in force."""
        self._lock = threading.RLock()
        self._reading = threading.Lock()

    @property
    def seals(self) -> Seals:
        """What it compiles and writes with."""
        return self._seals

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self._manifest

    def signed(self, manifest: Manifest) -> str:
        """Return a manifest of this refresher's as the supervisor asks for it: signed."""
        return publish.signed(manifest, self._seals.signing_private).decode("ascii")

    def status(self, list_id: str) -> Status | None:
        """Return how a list stands."""
        return next((status for status in self._manifest.statuses if status.list_id == list_id), None)

    def refresh(
        self, tables: Iterable[List], now: datetime, *, accept: bool = False, released: Released | None = None
    ) -> Manifest:
        """Read these lists, one after the other, and put what changed in force.

        `accept` waives the gates' comparison with the last list; without `released` what was known last holds on.
        Where somebody began later and was done sooner, what they read stays. Raises OSError where the bundle cannot
        be written; the last one stays in force.
        """
        tables = list(tables)
        with self._lock:
            self._turn += 1
            turn = self._turn
        while (manifest := self._refresh(tables, now, turn, accept=accept, released=released)) is None:
            pass  # keys were replaced while it was read, and it was compiled under the old ones; or its file is gone
        return manifest

    def _refresh(
        self, tables: Sequence[List], now: datetime, turn: int, *, accept: bool, released: Released | None
    ) -> Manifest | None:
        seals, before = self._seals, {table.id: self._part(f"list:{table.id}") for table in tables}
        parts: dict[str, Part] = {}
        statuses: dict[str, Status] = {}
        alerts: dict[str, Sequence[Alert]] = {}
        with self._writing() as announce:
            for table in tables:
                part, statuses[table.id], alerts[table.id] = self._refreshed(
                    table, now, announce, accept=accept, released=released
                )
                if part is not None:
                    parts[table.id] = part
            with self._lock:
                # Who began later knew more, such as what people have released since; or that a licence has ended.
                mine = [table.id for table in tables if self._turns.get(table.id, 0) < turn]
                if self._seals is not seals or any(self._file(name) != _file_of(before[name]) for name in mine):
                    return None
                if not mine:
                    return self._manifest
                known = {part.name: part for part in self._manifest.parts}
                known |= {parts[name].name: parts[name] for name in mine if name in parts}
                stood = {status.list_id: status for status in self._manifest.statuses}
                manifest = self._put(known, stood | {name: statuses[name] for name in mine}, now)
                self._turns |= dict.fromkeys(mine, turn)
        for name in mine:
            for alert in alerts[name]:
                self._tell(alert)
        return manifest

    def read(
        self, table: List, now: datetime, *, accept: bool = False, released: frozenset[str] = frozenset()
    ) -> Reading | None:
        """Return what a list's source says, or None where it says that nothing changed. Raises SourceError.

        With `accept` it is asked for the whole, and compared with nothing.
        """
        status, known = self.status(table.id), self.known(table)
        closed = self._file(table.id) in self._closed
        before = Before(status) if known is None or accept else Before(status, known.shares, known.ids, closed)
        with self._reading:
            self._reader = reader = replace(self._reader, guard=self._reader.guard.renewed(self._settings))
        # One list at a time in memory; but a source that stalls keeps no other list waiting.
        return reader.read(table, now, before, released=released, alone=self._reading)

    def known(self, table: List) -> Known | None:
        """Return what a list in force says; None where it never loaded, or its segment is damaged."""
        part = self._part(f"list:{table.id}")
        if part is None:
            return None
        try:
            return self._shelf.of(part, self._seals.digest)
        except SegmentError:
            # If it was replaced meanwhile, and its file removed, there is another to be known.
            return None if self._in_force(part) else self.known(table)

    def _refreshed(
        self, table: List, now: datetime, announce: Announce, *, accept: bool, released: Released | None
    ) -> tuple[Part | None, Status, Sequence[Alert]]:
        before, status = self._part(f"list:{table.id}"), self.status(table.id)
        free = frozenset(status.released if status else ()) if released is None else released.get(table.id, frozenset())
        try:
            reading = self.read(table, now, accept=accept, released=free)
        except SourceError as exc:
            return self._refused(status, table, str(exc), now, held=before is not None)
        if reading is None and before is not None and status is not None:
            unchanged = replace(status, state="ok", reason="", checked_at=now.isoformat(), refused=0)
            return replace(before, loaded_at=now.isoformat()), unchanged, ()
        if reading is None:
            return self._refused(status, table, "its source says that nothing changed", now, held=False)
        part = self._written(reading.compiled, before, now, announce)
        self._shelf.note(part, reading.compiled.shares, self._manifest.parts)
        changed = (0, 0) if status is None else status.changed
        if reading.changes is not None and (len(reading.changes.added) or len(reading.changes.removed)):
            changed = len(reading.changes.added), len(reading.changes.removed)
        alerts = [*reading.alerts, *_of_quarantine(table.id, reading.held)]
        return part, Status(
            table.id, "ok", checked_at=now.isoformat(), held=reading.held, etag=reading.validators.etag,
            last_modified=reading.validators.last_modified, made_with=reading.made_with, format=reading.format,
            released=tuple(sorted(free)), changed=changed,
        ), alerts  # fmt: skip

    def end(self, tables: Iterable[List], now: datetime) -> Manifest:
        """Wipe lists whose licence has ended: their segments go from the bundle and from the disk. Raises OSError."""
        tables = list(tables)
        names = {f"{what}:{table.id}" for table in tables for what in ("list", "canary")}
        with self._lock:
            parts = {part.name: part for part in self._manifest.parts if part.name not in names}
            statuses = {status.list_id: status for status in self._manifest.statuses}
            for table in tables:
                reason = f"its licence ended on {table.licence_until}"
                statuses[table.id] = Status(table.id, "ended", reason, now.isoformat())
            manifest = self._put(parts, statuses, now)
            self._turn += 1
            self._turns |= {table.id: self._turn for table in tables}
            return manifest

    def refresh_own(self, now: datetime) -> Manifest:
        """Put the profiles' own entries and the canaries in force, and drop what belongs to what is no more."""
        known = {table.id for table in self._settings.lists}
        with self._lock, self._writing() as announce:
            compiled = [
                *compile_own(self._settings, self._seals.digest),
                *compile_canaries(self._settings, self._seals.digest, now),
            ]
            parts = {
                part.name: part
                for part in self._manifest.parts
                if part.name.startswith(("list:", "override:")) and part.name.partition(":")[2] in known
            }
            parts |= {item.name: self._written(item, None, now, announce) for item in compiled}
            return self._put(
                parts, {item.list_id: item for item in self._manifest.statuses if item.list_id in known}, now
            )

    def override(self, overrides: Iterable[Override], now: datetime) -> Manifest:
        """Put these overrides in force, and no others. Raises OSError."""
        with self._lock, self._writing() as announce:
            compiled = compile_overrides(overrides, self._settings, self._seals.digest)
            parts = {part.name: part for part in self._manifest.parts if not part.name.startswith("override:")}
            parts |= {item.name: self._written(item, None, now, announce) for item in compiled}
            return self._put(parts, {status.list_id: status for status in self._manifest.statuses}, now)

    def rotate(self, anew: Anew, now: datetime) -> Manifest:
        """Put in force what is in force, under the keys of `anew`.

        Raises OSError, or FilterproxyError where a part cannot be made anew; then all is as it was.
        """
        done: dict[str, Part] = {}
        with self._writing() as announce:
            while (manifest := self._rotated(anew, done, now, announce)) is None:
                pass  # a list was read meanwhile
        return manifest

    def _rotated(self, anew: Anew, done: dict[str, Part], now: datetime, announce: Announce) -> Manifest | None:
        for part in self._manifest.parts:
            if anew.makes(part) and part.digest not in done:
                try:
                    with self._reading:  # one list at a time in memory
                        done[part.digest] = anew.part(part, announce)
                except SegmentError:
                    if self._in_force(part):
                        raise
                    return None  # replaced meanwhile, and its file removed
        with self._reading, self._lock:
            if any(anew.makes(part) and part.digest not in done for part in self._manifest.parts):
                return None
            parts = [replace(done[p.digest], loaded_at=p.loaded_at) for p in self._manifest.parts if anew.makes(p)]
            before = self._seals, self._reader
            self._seals, self._reader = anew.seals, replace(self._reader, key=anew.seals.digest)
            try:
                parts += [self._written(item, None, now, announce) for item in anew.overlay()]
                statuses = {status.list_id: status for status in self._manifest.statuses}
                return self._put({part.name: part for part in parts}, statuses, now)
            except BaseException:
                self._seals, self._reader = before
                raise

    def entries(self, table: List) -> Iterator[Entry]:
        """Yield the entries of a list as they were last read. Raises SegmentError."""
        part = self._part(f"list:{table.id}")
        return iter(()) if part is None else publish.entries_of(self._folder, part, self._seals.sealing_private)

    def _in_force(self, part: Part) -> bool:
        """Tell whether the manifest names that file: with the lock, for files go before it is replaced here."""
        with self._lock:
            return any(other.file == part.file for other in self._manifest.parts)

    def _file(self, list_id: str) -> str:
        return _file_of(self._part(f"list:{list_id}"))

    def _part(self, name: str) -> Part | None:
        return next((part for part in self._manifest.parts if part.name == name), None)

    def _written(self, compiled: Compiled, before: Part | None, now: datetime, announce: Announce) -> Part:
        """Write a segment unless the one in force says the same, which then only grows younger."""
        same = before is not None and before.version == compiled.version and before.file not in self._closed
        if before is not None and same and (self._folder / before.file).exists():
            return replace(before, loaded_at=now.isoformat())
        return publish.write_segment(self._folder, compiled, self._seals, announce)

    @contextmanager
    def _writing(self) -> Iterator[Announce]:
        """Yield what is to be told each file before it is written; what is not in force at the end is removed.

        Until then nobody who saves a manifest meanwhile removes it for not being named yet.
        """
        files: set[str] = set()

        def announce(file: str) -> None:
            with self._lock:
                files.add(file)
                self._unnamed.add(file)

        try:
            yield announce
        finally:
            with self._lock:
                self._unnamed -= files
                publish.discard(self._folder, files - {part.file for part in self._manifest.parts})

    def _refused(
        self, before: Status | None, table: List, reason: str, now: datetime, *, held: bool
    ) -> tuple[None, Status, Sequence[Alert]]:
        log.error(
            "list %s: refused: %s; %s", table.id, reason, "the last one stays in force" if held else "it never loaded"
        )
        refused = (before.refused if before else 0) + 1
        stands = before or Status(table.id, "never")
        state = "refused" if held else "never"
        after = replace(stands, state=state, reason=reason, checked_at=now.isoformat(), refused=refused)
        return None, after, [list_refused(table.id, reason)]

    def _put(self, parts: dict[str, Part], statuses: dict[str, Status], now: datetime) -> Manifest:
        self._generation += 1
        expires = now + self._settings.runtime.bundle_expires
        manifest = Manifest(
            self._generation, tuple(parts.values()), tuple(statuses.values()), now.isoformat(), expires.isoformat(),
            self._seals.ids,
        )  # fmt: skip
        publish.save(self._folder, manifest, self._seals, self._unnamed)
        self._manifest = manifest
        return manifest


def _file_of(part: Part | None) -> str:
    return "" if part is None else part.file


def _of_quarantine(list_id: str, held: Sequence[Held]) -> Iterator[Alert]:
    if held:
        reason = held[0].reason if len({item.reason for item in held}) == 1 else "for several reasons"
        identity = sha256(" ".join(sorted(item.id for item in held)).encode()).hexdigest()
        yield quarantine(list_id, len(held), reason, identity=identity)
