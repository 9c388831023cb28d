"""Compiling: entries in, the parts of one segment out. Deterministic for the same entries and key, but for the time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np

from filterproxy.core import membership as rows
from filterproxy.core.bundle import Segment, Shares, join
from filterproxy.core.membership import Facts
from filterproxy.core.model import Action, BadLine, Entry, Kind, Listing, Scope
from filterproxy.core.names import is_address, suffixes

_CODES = {
    (Kind.DOMAIN, Scope.EXACT): rows.EXACT,
    (Kind.DOMAIN, Scope.BELOW): rows.BELOW,
    (Kind.DOMAIN, Scope.TREE): rows.TREE,
    (Kind.URL, Scope.PAGE): rows.PAGE,
    (Kind.URL, Scope.EXACT): rows.EXACT_URL,
    (Kind.URL, Scope.PREFIX): rows.PREFIX,
}
_ROWS_PER_BUCKET = 8
_MAX_BUCKET_BITS = 16

_Row = tuple[str, int, Facts]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A segment ready to be written: its header, and its parts by name. The terms are in clear."""

    name: str
    header: dict[str, Any] = field(repr=False)
    parts: dict[str, bytes] = field(repr=False)

    @property
    def shares(self) -> Shares:
        """How many entries of each sort it has."""
        return Shares(**self.header["shares"])

    @property
    def version(self) -> str:
        """A keyed digest of what the list says; equal versions mean equal lists."""
        return str(self.header["version"])

    def segment(self) -> Segment:
        """Return the segment over a buffer of its own, for use in this process."""
        return Segment.from_buffer(memoryview(join(self.header, self.parts)))


class Counting:
    """Counts what a list holds while its entries stream by."""

    def __init__(self) -> None:
        self.shares = dict.fromkeys(Shares.__slots__, 0)

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        if entry.action is Action.ALLOW:
            self.shares["exceptions"] += 1
        elif entry.kind is Kind.DOMAIN:
            self.shares["domains"] += 1
        elif entry.kind is Kind.URL:
            self.shares["urls"] += 1
            self.shares["plain_urls"] += entry.scheme == "http"
        else:
            self.shares["terms"] += 1


def compile_segment(
    name: str,
    items: Iterable[Entry | BadLine],
    key: bytes,
    listing: Listing | None = None,
    *,
    loaded_at: datetime | None = None,
) -> Compiled:
    """Return the segment `name` of what a list says, under the digest key. An entry that stands twice counts once."""
    listing = listing or Listing(name)
    spares = listing.action is Action.ALLOW
    counting, wanted, terms = Counting(), _Rows(listing), dict[tuple[str, str, int], None]()
    for entry in items:
        if isinstance(entry, BadLine):
            counting.shares["bad_lines"] += 1
        elif entry.kind is Kind.KEYWORD:
            if (term := (entry.value, entry.scope.value, entry.score)) not in terms:
                terms[term] = None
                counting.add(entry)
        elif wanted.add(entry, allows=(entry.action is Action.ALLOW) is not spares):
            counting.add(entry)
    parts, facts = _arrays(wanted.all(key, named=name.startswith("override:")), key)
    parts["terms"] = _json(list(terms)) if terms else b""
    header = {
        "name": name, "facts": facts, "shares": counting.shares,
        "loaded_at": None if loaded_at is None else loaded_at.isoformat(),
    }  # fmt: skip
    said = _json([facts, counting.shares])
    header["version"] = blake2b(b"".join(parts.values()) + said, digest_size=16, key=key).hexdigest()
    return Compiled(name, header, parts)


class _Rows:
    """The rows of a segment: one per entry, one per host of URL entries, one per name above an exception."""

    def __init__(self, listing: Listing) -> None:
        self._www, self._sites = listing.www, listing.www and listing.root_is_site
        self._rows: dict[_Row, None] = {}
        self._hosts: dict[_Row, list[tuple[str, int]]] = {}

    def add(self, entry: Entry, *, allows: bool) -> bool:
        """Add an entry's rows; return False where it stood already."""
        facts = rows.NO_FACTS
        if _has_facts(entry):
            facts = Facts(entry.not_before, entry.not_after, entry.territories, entry.reference)
        code = _CODES[entry.kind, entry.scope] | (rows.ALLOWS if allows else 0)
        row = (entry.value, code, facts)
        if row in self._rows:
            return False
        self._rows[row] = None
        if entry.kind is Kind.URL:
            self._add_host(entry.value, code, facts)
            return True
        if self._sites and entry.scope is Scope.EXACT and not is_address(entry.value):
            self._rows[_other(entry.value), code, facts] = None
        if allows:
            for parent in suffixes(entry.value)[0 if entry.scope is Scope.BELOW else 1 :]:
                self._rows[parent, rows.ABOVE, rows.NO_FACTS] = None
        return True

    def _add_host(self, value: str, code: int, facts: Facts) -> None:
        host, ported = _host_of(value)
        here = rows.HOST | code & rows.ALLOWS | (rows.PORTS if ported else 0)
        for spelling in (host, _other(host)) if self._www else (host,):
            row = (spelling, here, replace(facts, reference="") if facts.reference else facts)
            self._hosts.setdefault(row, []).append((value, code & rows.WHAT))

    def all(self, key: bytes, *, named: bool) -> list[_Row]:
        """Return every row. A host's tells how many entries it is for; where `named`, which ones."""
        found = list(self._rows)
        for (host, code, facts), entries in self._hosts.items():
            own = replace(facts, count=len(entries)) if len(entries) > 1 else facts
            if named:
                own = replace(own, entries=tuple((*rows.digest(value, key), what) for value, what in entries))
            found.append((host, code, own))
        return found


def _arrays(wanted: list[_Row], key: bytes) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    count = len(wanted)
    digests = b"".join(blake2b(text.encode("ascii"), digest_size=16, key=key).digest() for text, _, _ in wanted)
    halves = np.frombuffer(digests, dtype="<u8").reshape(count, 2)
    codes = np.fromiter(
        (code | (rows.HAS_FACTS if facts != rows.NO_FACTS else 0) for _, code, facts in wanted), np.uint8, count
    )
    order = np.lexsort((codes, halves[:, 1], halves[:, 0]))
    highs = halves[order, 0]
    bits = min(_MAX_BUCKET_BITS, max(0, (count // _ROWS_PER_BUCKET).bit_length()))
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits) if bits else np.empty(0, np.uint64)
    offsets = np.concatenate(([0], np.searchsorted(highs, bounds), [count])).astype("<u4")
    facts_of, numbers = _facts(wanted, order)
    fact_rows, fact_ids = (np.array(column, "<u4") for column in (list(facts_of), list(facts_of.values())))
    parts = {
        "highs": highs.astype("<u8").tobytes(), "lows": halves[order, 1].astype("<u8").tobytes(),
        "codes": codes[order].tobytes(), "offsets": offsets.tobytes(),
        "fact_rows": fact_rows.tobytes(), "fact_ids": fact_ids.tobytes(),
    }  # fmt: skip
    return parts, [_fact(item) for item in numbers]


def _facts(wanted: list[_Row], order: np.ndarray[Any, np.dtype[Any]]) -> tuple[dict[int, int], dict[Facts, int]]:
    """Return row to number of its facts, in the order of the rows, and the distinct facts."""
    numbers: dict[Facts, int] = {}
    found: dict[int, int] = {}
    if any(facts != rows.NO_FACTS for _, _, facts in wanted):
        for at, row in enumerate(order.tolist()):
            facts = wanted[row][2]
            if facts != rows.NO_FACTS:
                found[at] = numbers.setdefault(facts, len(numbers))
    return found, numbers


def _fact(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if facts.not_before:
        found["not_before"] = facts.not_before.isoformat()
    if facts.not_after:
        found["not_after"] = facts.not_after.isoformat()
    if facts.territories:
        found["territories"] = sorted(facts.territories)
    if facts.reference:
        found["reference"] = facts.reference
    if facts.count != 1:
        found["count"] = facts.count
    if facts.entries:
        found["entries"] = facts.entries
    return found


def _has_facts(entry: Entry) -> bool:
    return bool(entry.not_before or entry.not_after or entry.territories or entry.reference)


def _host_of(value: str) -> tuple[str, bool]:
    """Return the host of a URL entry's value, and whether a port stands beside it."""
    authority = value.partition("/")[0]
    host, colon, port = authority.rpartition(":")
    return (host, True) if colon and port.isdigit() else (authority, False)


def _other(host: str) -> str:
    """Return a host with `www.` put on, or taken off where it has it."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
