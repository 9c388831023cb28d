"""What changed between two readings of a list, told by keyed digests: no entry needs to be kept in clear for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from filterproxy.core import membership as rows
from filterproxy.core.layout import Piece
from filterproxy.core.model import Action, Entry

from .rows import CODES

Ids = np.ndarray[Any, np.dtype[np.uint64]]
"""The ids of a list's entries: 64 bits each, sorted, each once."""

_SAYS: Final = rows.WHAT | rows.ALLOWS
_MASK: Final = (1 << 64) - 1
_ROWS: Final = 1 << 18
"""Rows that are compared at once: what that takes beside the ids is a few MiB."""
_OWN: Final = np.array([
    code & rows.WHAT not in (rows.HOST, rows.ABOVE) and (code & rows.WHAT != rows.EXACT or not code & rows.OTHER)
    for code in range(256)
])  # fmt: skip
"""Whether a row of each code stands for an entry of its own; the others only help look-ups."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids of entries that one reading has and the other has not."""

    added: Ids
    removed: Ids
    before: int
    """How many entries the earlier one has."""


def ids(parts: Mapping[str, Piece], key: bytes) -> Ids:
    """Return the ids of the entries in a segment's parts: patterns in clear, or in their place `pattern_ids`.

    An id of what is looked up is its digest, what it covers standing in the last bits: so ids are in order as the
    rows are, and nothing of the size of a list is sorted.
    """
    found = np.frombuffer(parts["highs"], "<u8") & np.uint64(~_SAYS & _MASK)
    codes = np.frombuffer(parts["codes"], np.uint8)
    own = np.ones(len(codes), bool)
    for at in range(0, len(codes), _ROWS):
        some = codes[at : at + _ROWS]
        found[at : at + _ROWS] |= (some & np.uint8(_SAYS)).astype(np.uint64)
        own[at : at + _ROWS] = _OWN[some]
    if not own.all():
        found = found[own]
    searched = parts["pattern_ids"] if "pattern_ids" in parts else pattern_ids(parts["patterns"], key)
    if len(searched):
        found = np.concatenate([found, np.frombuffer(searched, "<u8")])
    return _unique(found)


def pattern_ids(patterns: Piece, key: bytes) -> bytes:
    """Return the ids of what is searched for in a segment, as they lie on disk beside its sealed patterns."""
    clear: dict[str, list[Any]] = json.loads(bytes(patterns) or b"{}")
    searched = [
        _searched(sort, item if isinstance(item, str) else item[0], item[1] if sort in ("host", "url") else 0, key)
        for sort, items in clear.items()
        for item in items
    ]
    return np.array(searched, "<u8").tobytes()


def _unique(found: Ids) -> Ids:
    """Return ids sorted, each once. Taken from rows they are nearly so."""
    if len(found) and not (found[1:] > found[:-1]).all():
        found.sort(kind="stable")
        found = found[np.concatenate(([True], found[1:] != found[:-1]))]
    return found


def id_of(entry: Entry, key: bytes, *, allows: bool | None = None) -> int:
    """Return the id of one entry; `allows` where its list turns the meaning of its action about."""
    spares = entry.action is Action.ALLOW if allows is None else allows
    code = rows.ALLOWS if spares else 0
    if (entry.kind, entry.scope) in CODES:
        return (rows.digest(entry.value, key)[0] & ~_SAYS) | code | CODES[entry.kind, entry.scope]
    sort = {"keyword": "terms", "hash": "near"}.get(entry.kind, entry.scope.value)
    return _searched(sort, entry.value, code, key)


def changes(before: Ids, after: Ids) -> Changes:
    """Return what changed."""
    return Changes(_missing(after, before), _missing(before, after), len(before))


def _missing(some: Ids, among: Ids) -> Ids:
    """Return which of `some` are not in `among`. Both are sorted."""
    found = [some[:0]]
    for at in range(0, len(some) if len(among) else 0, _ROWS):
        block = some[at : at + _ROWS]
        places = np.minimum(np.searchsorted(among, block), len(among) - 1)
        found.append(block[among[places] != block])
    return np.concatenate(found) if len(among) else some


def _searched(sort: str, text: str, code: int, key: bytes) -> int:
    said = f"{sort}\n{code & rows.ALLOWS if sort in ('host', 'url') else 0}\n{text}".encode()
    return int.from_bytes(blake2b(said, digest_size=8, key=key).digest(), "little")
