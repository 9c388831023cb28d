"""Refreshing: each list from its source, through the gates, into a segment; a refused one leaves the last in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from filterproxy.alerts import Alert
from filterproxy.alerts.alert import list_refused, quarantine
from filterproxy.core.bundle import Segment, Shares, split
from filterproxy.core.model import Action, Entry
from filterproxy.core.policy import Override, Policy
from filterproxy.errors import SegmentError, SourceError
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

from . import publish, sources
from .canaries import compile_canaries
from .changes import Ids, ids
from .compile import Compiled, compile_segment
from .own import compile_own
from .publish import Held, Manifest, Part, Status
from .reading import Before, Reader, Reading

log = logging.getLogger("filterproxy.lists")

Released = Mapping[str, frozenset[str]]
"""By list: the ids of entries that people have released from quarantine."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a segment in force says, as far as the next reading compares with it."""

    shares: Shares
    ids: Ids


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

    def __init__(
        self, settings: Settings, digest_key: bytes, patterns_key: bytes,
        tell: Callable[[Alert], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Take up the manifest on disk; a damaged one counts as none, and everything is read anew.

        `tell` is called with each alert, once what it is about took force. Raises ConfigError where what is guarded
        cannot be read.
        """
        self._settings, self._patterns_key, self._tell = settings, patterns_key, tell
        self.digest_key = digest_key
        self._reader = Reader.of(settings, digest_key)
        self._folder = publish.bundle_folder(settings.runtime.state)
        publish.sweep(self._folder)
        try:
            self._manifest = publish.load(self._folder) or Manifest(0)
        except SegmentError as exc:
            log.error("bundle: %s; reading every list anew", exc)
            self._manifest = Manifest(0)
        self._known: dict[str, Known | None] = {}
        self._unnamed: set[str] = set()
        self._lock = threading.RLock()
        self._reading = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self._manifest

    def status(self, list_id: str) -> Status | None:
        """Return how a list stands."""
        return next((status for status in self._manifest.statuses if status.list_id == list_id), None)

    def refresh(
        self, tables: Iterable[List], now: datetime, *, accept: bool = False, released: Released | None = None
    ) -> Manifest:
        """Read these lists, one after the other, and put what changed in force.

        `accept` waives the gates' comparison with the last list; without `released` what was known last holds on.
        Raises OSError where the bundle cannot be written; the last one stays in force.
        """
        parts: dict[str, Part] = {}
        statuses: dict[str, Status] = {}
        alerts: list[Alert] = []
        try:
            for table in tables:
                part, status, told = self._refreshed(table, now, accept=accept, released=released)
                statuses[table.id] = status
                alerts += told
                if part is not None:
                    parts[part.name] = part
            with self._lock:
                known = {part.name: part for part in self._manifest.parts}
                stood = {status.list_id: status for status in self._manifest.statuses}
                manifest = self._put(known | parts, stood | statuses, now)
        finally:
            with self._lock:
                self._unnamed -= {part.file for part in parts.values()}
        for alert in alerts:
            self._tell(alert)
        return manifest

    def read(
        self, table: List, now: datetime, *, accept: bool = False, released: frozenset[str] = frozenset()
    ) -> Reading | None:
        """Return what a list's source says, or None where it says that nothing changed. Raises SourceError.

        With `accept` it is asked for the whole, and compared with nothing.
        """
        status, known = self.status(table.id), self.known(table)
        before = Before(status) if known is None or accept else Before(status, known.shares, known.ids)
        with self._reading:  # one list at a time in memory
            self._reader = replace(self._reader, guard=self._reader.guard.renewed(self._settings))
            return self._reader.read(table, now, before, released=released)

    def known(self, table: List) -> Known | None:
        """Return what a list in force says; None where it never loaded, or its segment is damaged."""
        part = self._part(f"list:{table.id}")
        if part is None:
            return None
        if part.digest not in self._known:
            try:
                buffer = memoryview(publish.opened_segment(self._folder, part, self._patterns_key))
                segment, (_, views) = Segment.from_buffer(buffer), split(buffer)
                self._known[part.digest] = Known(segment.shares, ids(views, self.digest_key))
            except SegmentError:
                self._known[part.digest] = None
        return self._known[part.digest]

    def _refreshed(
        self, table: List, now: datetime, *, accept: bool, released: Released | None
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
        part = self._written(reading.compiled, before, now)
        known = Known(reading.compiled.shares, ids(reading.compiled.parts, self.digest_key))
        self._known = {name: item for name, item in self._known.items() if before is None or name != before.digest}
        self._known[part.digest] = known
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
        names = {f"{what}:{table.id}" for table in tables for what in ("list", "canary")}
        with self._lock:
            parts = {part.name: part for part in self._manifest.parts if part.name not in names}
            statuses = {status.list_id: status for status in self._manifest.statuses}
            for table in tables:
                reason = f"its licence ended on {table.licence_until}"
                statuses[table.id] = Status(table.id, "ended", reason, now.isoformat())
            self._known.clear()
            return self._put(parts, statuses, now)

    def refresh_own(self, now: datetime) -> Manifest:
        """Put the profiles' own entries and the canaries in force, and drop what belongs to what is no more."""
        compiled = [
            *compile_own(self._settings, self.digest_key),
            *compile_canaries(self._settings, self.digest_key, now),
        ]
        known = {table.id for table in self._settings.lists}
        with self._lock:
            parts = {
                part.name: part
                for part in self._manifest.parts
                if part.name.startswith(("list:", "override:")) and part.name.partition(":")[2] in known
            }
            parts |= {item.name: self._written(item, None, now) for item in compiled}
            return self._put(
                parts, {item.list_id: item for item in self._manifest.statuses if item.list_id in known}, now
            )

    def override(self, overrides: Iterable[Override], now: datetime) -> Manifest:
        """Put these overrides in force, and no others. Raises OSError."""
        compiled = compile_overrides(overrides, self._settings, self.digest_key)
        with self._lock:
            parts = {part.name: part for part in self._manifest.parts if not part.name.startswith("override:")}
            parts |= {item.name: self._written(item, None, now) for item in compiled}
            return self._put(parts, {status.list_id: status for status in self._manifest.statuses}, now)

    def entries(self, table: List) -> Iterator[Entry]:
        """Yield the entries of a list as they were last read. Raises SegmentError."""
        part = self._part(f"list:{table.id}")
        return iter(()) if part is None else publish.entries_of(self._folder, part, self._patterns_key)

    def _part(self, name: str) -> Part | None:
        return next((part for part in self._manifest.parts if part.name == name), None)

    def _written(self, compiled: Compiled, before: Part | None, now: datetime) -> Part:
        """Write a segment unless the one in force says the same, which then only grows younger."""
        if before is not None and before.version == compiled.version and (self._folder / before.file).exists():
            return replace(before, loaded_at=now.isoformat())
        return publish.write_segment(self._folder, compiled, self._patterns_key, self._announce)

    def _announce(self, file: str) -> None:
        """Keep whoever saves a manifest meanwhile from removing what is being written and not named yet."""
        with self._lock:
            self._unnamed.add(file)

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
        manifest = Manifest(
            self._manifest.generation + 1, tuple(parts.values()), tuple(statuses.values()), now.isoformat()
        )
        publish.save(self._folder, manifest, self._unnamed)
        self._unnamed -= {part.file for part in manifest.parts}
        self._manifest = manifest
        return manifest


def _of_quarantine(list_id: str, held: Sequence[Held]) -> Iterator[Alert]:
    if held:
        reason = held[0].reason if len({item.reason for item in held}) == 1 else "for several reasons"
        identity = sha256(" ".join(sorted(item.id for item in held)).encode()).hexdigest()
        yield quarantine(list_id, len(held), reason, identity=identity)


def compile_all(settings: Settings, digest_key: bytes, patterns_key: bytes | None = None) -> Policy:
    """Return the policy that these settings would put in force now, from the sources, writing nothing.

    A list whose source is refused is taken from the bundle on disk, if there; so are lists that come over the network
    and overrides. Used where the product does not run: `filterproxy check`, the addon by itself. Raises ConfigError.
    """
    now = datetime.now(UTC)
    manifest, stored = _stored(settings, patterns_key)
    segments: dict[str, Segment] = {name: item for name, item in stored.items() if name.startswith("override:")}
    reader = Reader.of(settings, digest_key)
    ended = [table.id for table in settings.lists if table.licence_until and table.licence_until < now.date()]
    for table in (item for item in settings.lists if item.id not in ended):
        name = f"list:{table.id}"
        held = stored.get(name)
        if held is not None and sources.is_remote(table.source):
            segments[name] = held
            continue
        status = next((status for status in manifest.statuses if status.list_id == table.id), None)
        before = Before(None if status is None else replace(status, made_with=""), held.shares if held else None)
        try:
            released = frozenset(status.released if status else ())
            reading = reader.read(table, now, before, released=released)
            if reading is not None:
                segments[name] = reading.compiled.segment()
        except SourceError as exc:
            log.error("list %s: refused: %s", table.id, exc)
            if held is not None:
                segments[name] = held
    for compiled in compile_own(settings, digest_key):
        segments[compiled.name] = compiled.segment()
    return publish.policy_of(settings, segments.values(), digest_key, 0, {}, ended)


def _stored(settings: Settings, patterns_key: bytes | None) -> tuple[Manifest, dict[str, Segment]]:
    """Return the manifest on disk and its segments; those that are damaged end the reading."""
    found: dict[str, Segment] = {}
    manifest = Manifest(0)
    if patterns_key is None:
        return manifest, found
    folder = publish.bundle_folder(settings.runtime.state)
    try:
        manifest = publish.load(folder) or manifest
        loaded = manifest.loaded()
        for part in manifest.parts:
            segment = Segment.from_buffer(memoryview(publish.opened_segment(folder, part, patterns_key)))
            found[part.name] = replace(segment, loaded_at=loaded.get(part.name))
    except SegmentError as exc:
        log.error("bundle: %s", exc)
    return manifest, found
