"""What reading a list now would change, told before it takes force: counts, and names where the list is open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np

from filterproxy.core.model import Action, Entry
from filterproxy.errors import SegmentError, SourceError
from filterproxy.settings.lists import List

from . import gates
from .changes import Ids, changes, id_of, ids
from .entries import unpacked
from .reading import Reading, same_lines
from .refresh import Refresher

_NONE = np.empty(0, np.uint64)


def of(refresher: Refresher, table: List, now: datetime, released: frozenset[str], names: int) -> dict[str, Any]:
    """Return the difference between the list in force and what its source says now. Nothing takes force.

    Keys: `refused` (why a gate or the source would refuse it, else empty), `before` and `after` (entries), `added`,
    `removed`, `bad_lines`, `unenforceable`, `quarantined`; for an open list `added_names` and `removed_names`, at most
    `names` of each.
    """
    said: dict[str, Any] = {"id": table.id, "open": not table.confidential, "refused": ""}
    try:
        reading = refresher.read(table, now, accept=True, released=released)
        if reading is None:
            raise SourceError("its source says that nothing changed, though it was not asked")
    except SourceError as exc:
        return said | {"refused": str(exc)}
    known = refresher.known(table)
    key, shares = refresher.seals.digest, reading.compiled.shares
    before = None if known is None else known.ids()
    changed = changes(_NONE if before is None else before, ids(reading.compiled.parts, key))
    gone = len(changed.removed) if same_lines(refresher.status(table.id), reading.made_with) else 0
    try:
        gates.check(shares, None if known is None else known.shares, gone, gates.Limits.of(table))
    except SourceError as exc:
        said["refused"] = str(exc)
    said |= {
        "before": 0 if known is None else known.shares.entries, "after": shares.entries,
        "added": len(changed.added), "removed": len(changed.removed), "bad_lines": shares.bad_lines,
        "unenforceable": shares.unenforceable, "quarantined": shares.quarantined,
    }  # fmt: skip
    if not table.confidential:
        said["added_names"] = _named(_entries(reading), changed.added, key, table, names)
        try:
            said["removed_names"] = _named(refresher.entries(table), changed.removed, key, table, names)
        except SegmentError:
            said["removed_names"] = []
    return said


def _entries(reading: Reading) -> Iterable[Entry]:
    return unpacked(reading.compiled.entries)


def _named(entries: Iterable[Entry], wanted: Ids, key: bytes, table: List, most: int) -> list[dict[str, str]]:
    """Return those entries whose ids are wanted, at most so many."""
    if not len(wanted) or most < 1:
        return []
    spares, within = table.resolved_action is Action.ALLOW, set(wanted.tolist())
    found = (
        entry for entry in entries if id_of(entry, key, allows=(entry.action is Action.ALLOW) is not spares) in within
    )
    return [
        {"kind": entry.kind, "value": entry.value, "scope": entry.scope, "action": entry.action}
        for entry in islice(found, most)
    ]
