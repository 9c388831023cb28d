"""What changed between two readings of a list, told by keyed digests: no entry needs to be kept in clear for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from filterproxy.core import membership as rows
from filterproxy.core.model import Action, Entry

from .rows import CODES

Ids = np.ndarray[Any, np.dtype[np.uint64]]
"""The ids of a list's entries: 64 bits each, sorted, each once."""

_SAYS = rows.WHAT | rows.ALLOWS
_SPREAD = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids of entries that one reading has and the other has not."""

    added: Ids
    removed: Ids
    before: int
    """How many entries the earlier one has."""


def ids(parts: Mapping[str, bytes | memoryview], key: bytes) -> Ids:
    """Return the ids of the entries in a segment's parts, patterns in clear."""
    highs = np.frombuffer(parts["highs"], "<u8")
    codes = np.frombuffer(parts["codes"], np.uint8)
    what = codes & rows.WHAT
    own = (what != rows.HOST) & (what != rows.ABOVE)
    mixed = highs[own] ^ ((codes[own] & _SAYS).astype(np.uint64) * np.uint64(_SPREAD))
    clear: dict[str, list[Any]] = json.loads(bytes(parts["patterns"]) or b"{}")
    searched = [
        _searched(sort, item if isinstance(item, str) else item[0], item[1] if sort in ("host", "url") else 0, key)
        for sort, items in clear.items()
        for item in items
    ]
    return np.unique(np.concatenate([mixed, np.array(searched, np.uint64)]))


def id_of(entry: Entry, key: bytes, *, allows: bool | None = None) -> int:
    """Return the id of one entry; `allows` where its list turns the meaning of its action about."""
    spares = entry.action is Action.ALLOW if allows is None else allows
    code = rows.ALLOWS if spares else 0
    if (entry.kind, entry.scope) in CODES:
        code |= CODES[entry.kind, entry.scope]
        return rows.digest(entry.value, key)[0] ^ (code * _SPREAD & _MASK)
    sort = {"keyword": "terms", "hash": "near"}.get(entry.kind, entry.scope.value)
    return _searched(sort, entry.value, code, key)


def changes(before: Ids, after: Ids) -> Changes:
    """Return what changed."""
    added = np.setdiff1d(after, before, assume_unique=True)
    return Changes(added, np.setdiff1d(before, after, assume_unique=True), len(before))


def _searched(sort: str, text: str, code: int, key: bytes) -> int:
    said = f"{sort}\n{code & rows.ALLOWS if sort in ('host', 'url') else 0}\n{text}".encode()
    return int.from_bytes(blake2b(said, digest_size=8, key=key).digest(), "little")
