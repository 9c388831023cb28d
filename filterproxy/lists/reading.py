"""Reading one list: from its source through its format, the guard and the gates to a compiled segment, or a refusal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Self

from filterproxy import __version__
from filterproxy.alerts import Alert, Hits, Owned
from filterproxy.core.bundle import Shares
from filterproxy.core.layout import MAGIC
from filterproxy.core.model import BadLine, Entry, Item, ListFormat, Listing, Unenforceable
from filterproxy.errors import SourceError
from filterproxy.settings import Settings
from filterproxy.settings.lists import List

from . import formats, gates, sources
from .changes import Changes, Ids, changes, ids
from .compile import Compiled, compile_segment
from .formats import Columns, Document, Options
from .formats.detect import detect
from .guard import Guard
from .publish import Held, Status
from .sources import Validators

log = logging.getLogger("filterproxy.lists")

REPORTED_LINES = 20
"""Bad lines of one reading that are reported one by one; of the rest only their number."""
MAX_HELD = 1000
"""Entries of one list that wait in quarantine at most; a list with more of them is refused."""
_LINES = {"root", "subdomains", "format", "within", "columns"}
"""The settings by which a line says what it says."""
_REST = {"source", "signed", "www", "guard", "action", "confidential", "https"}
"""What else of a list's settings a reading depends on: what another source says of its version means nothing here."""


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of a list from its last reading."""

    status: Status | None = None
    shares: Shares | None = None
    """None where the last list is not in force, or its comparison is waived."""
    ids: Callable[[], Ids | None] | None = field(default=None, repr=False)
    """Fetches the ids of its entries, once they are needed: of a list of millions they are as large as its index."""
    whole: bool = False
    """Whether all of it is needed again, also where its source would say that nothing changed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of a source gave."""

    compiled: Compiled
    format: ListFormat
    validators: Validators
    made_with: str
    held: tuple[Held, ...] = ()
    changes: Changes | None = field(default=None, repr=False)
    """None where there was nothing to compare with."""
    alerts: tuple[Alert, ...] = ()
    """What falls on domains of the operator's or of customers."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads lists under one key and one guard."""

    key: bytes = field(repr=False)
    """What digests are made under."""
    mac: bytes = field(repr=False)
    """Keys what outlives a change of that key: ids in quarantine, alerts' identities, what a reading depended on."""
    guard: Guard
    owned: Owned

    @classmethod
    def of(cls, settings: Settings, key: bytes, mac: bytes) -> Self:
        """Return the reader of these settings. Raises ConfigError where what it guards cannot be read."""
        return cls(key, mac, Guard.of(settings), Owned.of(settings))

    def read(
        self, table: List, now: datetime, before: Before, *, released: frozenset[str] = frozenset(),
        alone: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it holds nothing
    ) -> Reading | None:  # fmt: skip
        """Return what the source of `table` says now, or None where it says that nothing has changed.

        `released` are the ids of entries that the guard lets pass; `alone` is entered once the source has been
        fetched, for what takes memory. Raises SourceError where the source cannot be read or a gate refuses it.
        """
        made_with = self._made_with(table, released)
        status = before.status
        same = status is not None and status.made_with == made_with and before.shares is not None and not before.whole
        asked = Validators(status.etag, status.last_modified) if status is not None and same else None
        with sources.opened(table, asked) as fetched, alone:
            if fetched.unchanged:
                return None
            form = _format(table, fetched.documents, status)
            listing = _of_format(table.listing, form)
            taken, hits = _Taken(self, table, listing, now, released), Hits(self.owned, listing, self.mac)
            said = taken.entries(hits.watch(formats.read(form, fetched.documents, options_of(table))))
            compiled = compile_segment(
                f"list:{table.id}", said, self.key, listing, loaded_at=now,
                counted=lambda: {"unended": int(not fetched.ended), "quarantined": len(taken.held)},
            )  # fmt: skip
        known = None if before.ids is None else before.ids()
        changed = None if known is None else changes(known, ids(compiled.parts, self.key))
        gone = len(changed.removed) if changed is not None and same_lines(status, made_with) else 0
        gates.check(compiled.shares, before.shares, gone, gates.Limits.of(table))
        held = tuple(taken.since(status))
        return Reading(compiled, form, fetched.validators, made_with, held, changed, hits.alerts())

    def _made_with(self, table: List, released: frozenset[str]) -> str:
        """Return what a reading depends on beside what its source says: two digests, the first of `_LINES` alone."""
        lines = table.model_dump(mode="json", include=_LINES)
        rest = [
            table.model_dump(mode="json", include=_REST), self.guard.fingerprint, self.owned.fingerprint,
            sorted(released), MAGIC.hex(), __version__,
        ]  # fmt: skip
        return "-".join(self._digest(said) for said in (lines, rest))

    def _digest(self, said: object) -> str:
        return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16, key=self.mac).hexdigest()


def same_lines(status: Status | None, made_with: str) -> bool:
    """Tell whether a line says now what it said at the last reading: else its entries are others on purpose."""
    return status is None or status.made_with.partition("-")[0] == made_with.partition("-")[0]


def options_of(table: List) -> Options:
    """Return what a list's settings change in how its lines are read."""
    return Options(table.root == "site", table.subdomains, table.confidential, Columns(**table.columns.model_dump()))


class _Taken:
    """Passes on the entries that may take force, keeps those that the guard holds back, reports what is no entry."""

    def __init__(self, reader: Reader, table: List, listing: Listing, now: datetime, released: frozenset[str]) -> None:
        self._reader, self._table, self._listing, self._now = reader, table, listing, now
        self._released = released
        self._bad_lines = 0
        self.held: dict[str, Held] = {}

    def entries(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield what is not held back. Raises SourceError at what no list of this size would hold."""
        flood = gates.Flood(self._table.max_entries)
        sifted = self._reader.guard.sift(flood.passed(items), self._listing, self._table.guard)
        for item, reason in sifted:
            if not isinstance(item, Entry):
                self._report(item)
            elif reason is not None and self._holds(item, reason):
                continue
            yield item
        if self._bad_lines > REPORTED_LINES:
            log.warning("list %s: %d bad or unenforceable lines in all", self._table.id, self._bad_lines)

    def _holds(self, entry: Entry, reason: str) -> bool:
        name = held_id(self._table.id, entry, self._reader.mac)
        if name in self._released:
            return False
        value = "" if self._table.confidential else entry.value
        since = self._now.astimezone(UTC).isoformat()
        self.held[name] = Held(name, entry.kind, entry.scope, entry.line, reason, since, value)
        if len(self.held) > MAX_HELD:
            raise SourceError(
                f"more than {MAX_HELD} entries would block sites of your own, top sites or suffixes whole"
            )
        return True

    def since(self, status: Status | None) -> Iterator[Held]:
        """Yield what is held, each since the moment at which it was first met."""
        known = {} if status is None else {item.id: item for item in status.held}
        for name, item in self.held.items():
            yield replace(item, since=known[name].since) if name in known else item

    def _report(self, item: BadLine | Unenforceable) -> None:
        self._bad_lines += 1
        if self._bad_lines <= REPORTED_LINES:
            text = f": {item.text!r}" if item.text else ""
            what = "unenforceable: " if isinstance(item, Unenforceable) else ""
            # An https source may hold a secret in its path.
            place = "line " if sources.is_remote(self._table.source) else f"{self._table.source}:"
            log.warning("list %s: %s%d: %s%s%s", self._table.id, place, item.line, what, item.reason, text)


def held_id(list_id: str, entry: Entry, key: bytes) -> str:
    """Return the id under which an entry of a list waits in quarantine: 32 hex digits."""
    more = f"{entry.important:d} {' '.join(entry.excludes)}"
    said = f"held\n{list_id}\n{entry.kind}\n{entry.scope}\n{more}\n{entry.value}".encode()
    return blake2b(said, digest_size=16, key=key).hexdigest()


def _format(table: List, documents: Iterable[Document], status: Status | None) -> ListFormat:
    if table.format is not None:
        return table.format
    found = detect(list(documents))
    if found is None:
        raise SourceError("its format cannot be told from its lines: name it in the configuration")
    if status is not None and status.format not in ("", found):
        raise SourceError(f"it was of the format {status.format} and now looks like {found}: name it if that is right")
    return found


def _of_format(listing: Listing, form: ListFormat) -> Listing:
    return listing if listing.format is form else replace(listing, format=form)
