"""Compiling: entries in, the parts of one segment out. Deterministic for the same entries and key, but for the time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from filterproxy.core import membership as rows
from filterproxy.core.bundle import Segment, Shares
from filterproxy.core.layout import MAGIC
from filterproxy.core.model import Action, BadLine, Entry, Item, Kind, Listing, Scope

from .entries import Packing
from .rows import Rows, fact_of, facts_of


@dataclass(frozen=True, slots=True)
class Compiled:
    """A segment ready to be written: its header, and its parts by name. Facts, patterns and entries are in clear."""

    name: str
    header: dict[str, Any] = field(repr=False)
    parts: dict[str, bytes | memoryview] = field(repr=False)
    entries: list[bytes] = field(default_factory=list, repr=False)
    """The list's entries as `entries.Packing` packs them."""

    @property
    def shares(self) -> Shares:
        """How many entries of each sort it has."""
        return Shares(**self.header["shares"])

    @property
    def version(self) -> str:
        """A keyed digest of what the list says; equal versions mean equal lists."""
        return str(self.header["version"])

    def segment(self) -> Segment:
        """Return the segment over these very parts, for use in this process."""
        return Segment.of(self.header, self.parts)


def compile_segment(
    name: str,
    items: Iterable[Item],
    key: bytes,
    listing: Listing | None = None,
    *,
    loaded_at: datetime | None = None,
    counted: Callable[[], Mapping[str, int]] = dict,
) -> Compiled:
    """Return the segment `name` of what a list says, under the digest key. An entry that stands twice counts once.

    `counted` is asked for further shares once all items were taken.
    """
    listing = listing or Listing(name)
    spares, keeps = listing.action is Action.ALLOW, name.startswith(("list:", "override:"))
    shares = dict.fromkeys(Shares.__slots__, 0)
    packing, patterns = Packing(), _Patterns(key)
    wanted = Rows(listing, key, named=name.startswith("override:"))
    for item in items:
        if not isinstance(item, Entry):
            shares["bad_lines" if isinstance(item, BadLine) else "unenforceable"] += 1
            continue
        allows = (item.action is Action.ALLOW) is not spares
        if item.kind is not _DOMAIN and _is_pattern(item):
            if (sort := patterns.add(item, allows=allows)) is not None:
                shares[sort] += 1
        else:
            # Rows lie in the memory of every worker, and a provider's reference may be the address itself.
            secret = item.reference and listing.confidential
            wanted.add(item._replace(reference="") if secret else item, allows=allows)
        if keeps:
            packing.add(item)
    packing.end()
    arrays, facts, counts = wanted.arrays()
    parts: dict[str, bytes | memoryview] = {**arrays}
    for sort, both in counts.items():
        shares[sort] += both[spares]
        shares["exceptions"] += 0 if sort == "plain_urls" else both[not spares]
    parts["facts"] = _json(facts) if facts else b""
    parts["patterns"] = _json(patterns.found) if any(patterns.found.values()) else b""
    shares |= counted()
    header = {
        "name": name, "shares": shares, "format": listing.format or "",
        "loaded_at": None if loaded_at is None else loaded_at.isoformat(),
    }  # fmt: skip
    digest = blake2b(MAGIC + _json([shares, header["format"]]), digest_size=16, key=key)
    for part in parts.values():
        digest.update(part)
    header["version"] = digest.hexdigest()
    return Compiled(name, header, parts, packing.chunks)


_DOMAIN: Final = Kind.DOMAIN


def _is_pattern(entry: Entry) -> bool:
    return entry.kind in (Kind.KEYWORD, Kind.PATTERN) or entry.scope is Scope.NEAR


class _Patterns:
    """What is searched for rather than looked up, as a segment keeps it."""

    def __init__(self, key: bytes) -> None:
        self._key, self._seen = key, set[tuple[object, ...]]()
        self.found: dict[str, list[Any]] = {"terms": [], "host": [], "url": [], "near": []}

    def add(self, entry: Entry, *, allows: bool) -> str | None:
        """Add an entry and return the share that it counts to, or None where it stood already."""
        facts = facts_of(entry, self._key)
        code = (rows.ALLOWS if allows else 0) | (rows.IMPORTANT if entry.important else 0)
        same = (entry.kind, entry.scope, entry.value, entry.score, code, facts)
        if same in self._seen:
            return None
        self._seen.add(same)
        if entry.kind is Kind.KEYWORD:
            sort = "terms"
            self.found["terms"].append((entry.value, entry.scope.value, entry.score))
        elif entry.kind is Kind.PATTERN:
            where, sort = ("host", "patterns") if entry.scope is Scope.HOST else ("url", "url_patterns")
            self.found[where].append((entry.value, code, fact_of(facts)))
        else:
            sort = "hashes"
            self.found["near"].append(entry.value)
        return "exceptions" if entry.action is Action.ALLOW else sort


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
