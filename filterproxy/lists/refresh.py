"""Refreshing: each list from its source, through the gates, into a segment; a refused one leaves the last in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from filterproxy.core.bundle import Segment, Shares
from filterproxy.core.model import Action, BadLine, Entry
from filterproxy.core.policy import Override, Policy
from filterproxy.errors import SegmentError, SourceError
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

from . import gates, publish, sources
from .compile import Compiled, compile_segment
from .formats import PARSERS, Options
from .own import compile_own
from .publish import Manifest, Part, Status

log = logging.getLogger("filterproxy.lists")

REPORTED_LINES = 20
"""Bad lines of one reading that are reported one by one; of the rest only their number."""


def compile_list(table: List, key: bytes, now: datetime, previous: Shares | None = None) -> Compiled:
    """Return a list's segment from its source. Raises SourceError where it cannot be read or a gate refuses it."""
    listing = table.listing
    options = Options(listing.root_is_site, table.subdomains, listing.confidential)
    source = sources.Source(Path(table.source))
    said = PARSERS[table.format](source.lines(), options)
    compiled = compile_segment(f"list:{table.id}", _watched(table, said), key, listing, loaded_at=now)
    compiled.header["shares"]["unended"] = int(not source.ended)
    gates.check(compiled.shares, previous)
    return compiled


def _watched(table: List, items: Iterable[Entry | BadLine]) -> Iterator[Entry | BadLine]:
    """Pass on what a source says; report its bad lines, and stop at what no list of this size would hold."""
    flood = gates.Flood(table.max_entries)
    for item in items:
        flood.add(item)
        if isinstance(item, BadLine) and flood.bad_lines <= REPORTED_LINES:
            text = f": {item.text!r}" if item.text else ""
            log.warning("list %s: %s:%d: %s%s", table.id, table.source, item.line, item.reason, text)
        yield item
    if flood.bad_lines > REPORTED_LINES:
        log.warning("list %s: %s: %d bad lines in all", table.id, table.source, flood.bad_lines)


def compile_overrides(overrides: Iterable[Override], settings: Settings, key: bytes) -> list[Compiled]:
    """Return a segment per list that some override spares; each of its entries ends when its override does."""
    by_list: dict[str, list[Entry]] = {}
    for override in overrides:
        entry = replace(override.entry, action=Action.ALLOW, not_after=override.expires_at, reference=override.id)
        by_list.setdefault(override.list_id, []).append(entry)
    listings = {listing.id: listing for listing in settings.listings}
    return [
        compile_segment(f"override:{name}", entries, key, replace(listings[name], action=Action.BLOCK))
        for name, entries in by_list.items()
        if name in listings
    ]


class Refresher:
    """Keeps the bundle on disk: reads lists when told, and writes what changed under a new generation. Thread-safe."""

    def __init__(self, settings: Settings, digest_key: bytes, patterns_key: bytes) -> None:
        """Take up the manifest on disk; a damaged one counts as none, and everything is read anew."""
        self._settings, self._digest_key, self._patterns_key = settings, digest_key, patterns_key
        self._folder = publish.bundle_folder(settings.runtime.state)
        try:
            self._manifest = publish.load(self._folder) or Manifest(0)
        except SegmentError as exc:
            log.error("bundle: %s; reading every list anew", exc)
            self._manifest = Manifest(0)
        self._shares: dict[str, Shares | None] = {}
        self._lock = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self._manifest

    def refresh(self, tables: Iterable[List], now: datetime, *, accept: bool = False) -> Manifest:
        """Read these lists and put what changed in force. `accept` waives the gates' comparison with the last list.

        Raises OSError where the bundle cannot be written; the last one stays in force.
        """
        read = [self._read(table, now, accept=accept) for table in tables]
        with self._lock:
            parts = {part.name: part for part in self._manifest.parts}
            statuses = {status.list_id: status for status in self._manifest.statuses}
            for table, result in read:
                name = f"list:{table.id}"
                if isinstance(result, SourceError):
                    statuses[table.id] = self._refused(
                        statuses.get(table.id), table, str(result), now, held=name in parts
                    )
                    continue
                parts[name] = self._written(result, parts.get(name), now)
                self._shares[parts[name].digest] = result.shares
                statuses[table.id] = Status(table.id, "ok", checked_at=now.isoformat())
            return self._put(parts, statuses, now)

    def refresh_own(self, now: datetime) -> Manifest:
        """Put the profiles' own entries in force, and drop what belongs to profiles and lists that are no more."""
        compiled = list(compile_own(self._settings, self._digest_key))
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
        compiled = compile_overrides(overrides, self._settings, self._digest_key)
        with self._lock:
            parts = {part.name: part for part in self._manifest.parts if not part.name.startswith("override:")}
            parts |= {item.name: self._written(item, None, now) for item in compiled}
            return self._put(parts, {status.list_id: status for status in self._manifest.statuses}, now)

    def _read(self, table: List, now: datetime, *, accept: bool) -> tuple[List, Compiled | SourceError]:
        """Read one list, outside the lock: an override need not wait for a large one."""
        before = next((part for part in self._manifest.parts if part.name == f"list:{table.id}"), None)
        try:
            return table, compile_list(table, self._digest_key, now, None if accept else self._previous(before))
        except SourceError as exc:
            return table, exc

    def _previous(self, part: Part | None) -> Shares | None:
        if part is None:
            return None
        if part.digest not in self._shares:
            try:
                buffer = publish.opened_segment(self._folder, part, self._patterns_key)
                self._shares[part.digest] = Segment.from_buffer(memoryview(buffer)).shares
            except SegmentError:
                self._shares[part.digest] = None
        return self._shares[part.digest]

    def _written(self, compiled: Compiled, before: Part | None, now: datetime) -> Part:
        """Write a segment unless the one in force says the same, which then only grows younger."""
        if before is not None and before.version == compiled.version and (self._folder / before.file).exists():
            return replace(before, loaded_at=now.isoformat())
        return publish.write_segment(self._folder, compiled, self._patterns_key)

    def _refused(self, before: Status | None, table: List, reason: str, now: datetime, *, held: bool) -> Status:
        log.error(
            "list %s: refused: %s; %s", table.id, reason, "the last one stays in force" if held else "it never loaded"
        )
        refused = (before.refused if before else 0) + 1
        return Status(table.id, "refused" if held else "never", reason, now.isoformat(), refused)

    def _put(self, parts: dict[str, Part], statuses: dict[str, Status], now: datetime) -> Manifest:
        manifest = Manifest(
            self._manifest.generation + 1, tuple(parts.values()), tuple(statuses.values()), now.isoformat()
        )
        publish.save(self._folder, manifest)
        self._manifest = manifest
        return manifest


def compile_all(settings: Settings, digest_key: bytes, patterns_key: bytes | None = None) -> Policy:
    """Return the policy that these settings would put in force now, from the sources, writing nothing.

    A list whose source is refused is taken from the bundle on disk, if there; so are overrides. Used where the product
    does not run: `filterproxy check`, and the addon by itself. Raises ConfigError.
    """
    now = datetime.now(UTC)
    stored = dict(_stored(settings, patterns_key)) if patterns_key is not None else {}
    segments: dict[str, Segment] = {name: item for name, item in stored.items() if name.startswith("override:")}
    for table in settings.lists:
        name = f"list:{table.id}"
        before = stored.get(name)
        try:
            segments[name] = compile_list(table, digest_key, now, before.shares if before else None).segment()
        except SourceError as exc:
            log.error("list %s: refused: %s", table.id, exc)
            if before is not None:
                segments[name] = before
    for compiled in compile_own(settings, digest_key):
        segments[compiled.name] = compiled.segment()
    return publish.policy_of(settings, segments.values(), digest_key, 0, {})


def _stored(settings: Settings, patterns_key: bytes) -> Iterator[tuple[str, Segment]]:
    folder = publish.bundle_folder(settings.runtime.state)
    try:
        manifest = publish.load(folder)
        loaded = manifest.loaded() if manifest else {}
        for part in manifest.parts if manifest else ():
            segment = Segment.from_buffer(memoryview(publish.opened_segment(folder, part, patterns_key)))
            yield part.name, replace(segment, loaded_at=loaded.get(part.name))
    except SegmentError as exc:
        log.error("bundle: %s", exc)
