"""The rows of a segment: one per entry, per host of URL entries, per name above an exception; and their arrays.

Rows are digested as they come and told apart by their digests: of a list of millions no name is kept. A column costs
21 bytes a row, its sorting some 40 more for a moment.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from filterproxy.core import membership as rows
from filterproxy.core.membership import NO_FACTS, Facts
from filterproxy.core.model import Entry, Kind, Listing, Scope
from filterproxy.core.names import is_address, suffixes

CODES: Final = {
    (Kind.DOMAIN, Scope.EXACT): rows.EXACT,
    (Kind.DOMAIN, Scope.BELOW): rows.BELOW,
    (Kind.DOMAIN, Scope.TREE): rows.TREE,
    (Kind.URL, Scope.PAGE): rows.PAGE,
    (Kind.URL, Scope.EXACT): rows.EXACT_URL,
    (Kind.URL, Scope.PREFIX): rows.PREFIX,
    (Kind.HASH, Scope.EXACT): rows.HASH,
}
"""The code of a row by what its entry covers."""
_URLS: Final = (rows.PAGE, rows.EXACT_URL, rows.PREFIX)
_MAX_BUCKET_BITS: Final = 20
"""Buckets hold one row each where there are no more than a million rows: most look-ups of what is not listed then end
at an empty bucket, for 4 bytes a row."""

_NOTHING_MORE: Final = Entry(Kind.DOMAIN, "", Scope.EXACT)[7:]
"""What follows an entry's score where it has neither facts nor `$important`."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(slots=True)
class _Column:
    """Rows as they come: digests (16 bytes each), codes, and numbers of facts (0 for none)."""

    digests: bytearray = field(default_factory=bytearray)
    codes: bytearray = field(default_factory=bytearray)
    facts: array[int] = field(default_factory=lambda: array("I"))

    def add(self, digest: bytes, code: int, facts: int) -> None:
        """Add a row."""
        self.digests += digest
        self.codes.append(code)
        self.facts.append(facts)

    def table(self) -> _Table:
        """Return the rows as arrays, over the same memory."""
        halves = np.frombuffer(self.digests, "<u8").reshape(-1, 2)
        return _Table(halves, np.frombuffer(self.codes, np.uint8), np.frombuffer(self.facts, np.uint32))


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows as arrays: halves of digests (n by 2), codes, numbers of facts."""

    halves: Array
    codes: Array
    facts: Array

    def take(self, which: Array) -> _Table:
        """Return some of the rows."""
        return _Table(self.halves[which], self.codes[which], self.facts[which])

    def beside(self, *others: _Table) -> _Table:
        """Return these rows and those of `others`."""
        tables = [self, *(other for other in others if len(other.codes))]
        if len(tables) == 1:
            return self
        return _Table(*(np.concatenate([getattr(table, name) for table in tables]) for name in self.__slots__))

    def order(self) -> Array:
        """Return the order by digest, code and facts; where all are equal, as they came."""
        highs = self.halves[:, 0]
        order = np.argsort(highs, kind="stable")
        ordered = highs[order]
        equal = ordered[1:] == ordered[:-1]
        if equal.any():  # equal highs are rare: an entry that stands twice, or in two scopes
            shared = np.flatnonzero(np.concatenate((equal, [False])) | np.concatenate(([False], equal)))
            some = order[shared]
            keys = (self.facts[some], self.codes[some], self.halves[some, 1], highs[some])
            order[shared] = some[np.lexsort(keys)]
        return order

    def starts(self, order: Array) -> Array:
        """Return at which places of `order` another row begins than the one before."""
        if not len(order):
            return order
        same = np.ones(len(order) - 1, bool)
        for column in (self.halves[:, 0], self.halves[:, 1], self.codes, self.facts):
            ordered = column[order]
            same &= ordered[1:] == ordered[:-1]
        return np.flatnonzero(np.concatenate(([True], ~same)))

    def unique(self) -> Array:
        """Return one of each, the first that came, in order of digest."""
        order = self.order()
        return order[self.starts(order)]


class Rows:
    """Gathers the rows of a segment. An entry that stands twice stands once."""

    def __init__(self, listing: Listing, key: bytes, *, named: bool = False) -> None:
        """Gather for a list; digests are made under `key`. Where `named`, a host's row tells its entries."""
        self._key, self._named = key, named
        self._keyed = blake2b(digest_size=16, key=key)
        self._www, self._sites = listing.www, listing.www and listing.root_is_site
        self._numbers: dict[Facts, int] = {NO_FACTS: 0}
        self._entries, self._derived = _Column(), _Column()
        self._urls, self._marks = array("I"), bytearray()  # which entries are URLs, and which of these http://
        self._hosts, self._others = _Column(), _Column()

    def add(self, entry: Entry, *, allows: bool) -> None:
        """Add an entry's rows."""
        kind, value, scope = entry[:3]
        code, facts, more = CODES[kind, scope], 0, entry[7:] != _NOTHING_MORE
        if more:
            facts = self._number(facts_of(entry, self._key)) if _has_facts(entry) else 0
            code |= rows.IMPORTANT if entry.important else 0
        if allows:
            code |= rows.ALLOWS
        # As `_digest` and `_Column.add`, without the calls: this is done for each line of a list.
        hasher, column = self._keyed.copy(), self._entries
        hasher.update(value.encode("ascii"))
        column.digests += hasher.digest()
        column.codes.append(code)
        column.facts.append(facts)
        if kind is Kind.URL:
            self._add_host(entry, code)
        elif allows or more or self._sites:
            self._add_beside(entry, code, facts, allows=allows)

    def _digest(self, text: str) -> bytes:
        hasher = self._keyed.copy()
        hasher.update(text.encode("ascii"))
        return hasher.digest()

    def _number(self, facts: Facts) -> int:
        return self._numbers.setdefault(facts, len(self._numbers))

    def _add_beside(self, entry: Entry, code: int, facts: int, *, allows: bool) -> None:
        """Add what a domain entry asks for beside its own row."""
        if entry.kind is not Kind.DOMAIN:
            return
        if self._sites and entry.scope is Scope.EXACT and not is_address(entry.value):
            self._derived.add(self._digest(_other(entry.value)), code | rows.OTHER, facts)
        above = suffixes(entry.value)[0 if entry.scope is Scope.BELOW else 1 :] if allows else ()
        excluded = [parent for name in entry.excludes for parent in suffixes(name)[1:]]
        for parent in (*above, *excluded):
            self._derived.add(self._digest(parent), rows.ABOVE, 0)

    def _add_host(self, entry: Entry, code: int) -> None:
        host, ported = _host_of(entry.value)
        here = rows.HOST | code & rows.ALLOWS | (rows.PORTS if ported else 0)
        facts = 0
        if _has_facts(entry):
            facts = self._number(replace(facts_of(entry, self._key), reference=""))
        self._urls.append(len(self._entries.codes) - 1)
        self._marks.append(entry.scheme == "http")
        self._hosts.add(self._digest(host), here, facts)
        if self._www:
            self._others.add(self._digest(_other(host)), here, facts)

    def arrays(self) -> tuple[dict[str, memoryview], list[dict[str, Any]], dict[str, tuple[int, int]]]:
        """Return the arrays of a membership by name, the distinct facts as JSON knows them, and how many entries.

        May be asked once. The numbers are by sort (`domains`, `urls`, `plain_urls`, `hashes`): those that block and
        those that allow.
        """
        entries = self._entries.table()
        kept = entries.unique()
        counts = self._counts(entries.codes[kept], kept)
        derived = self._derived.table()
        beside = [derived.take(derived.unique()), self._host_rows(entries, kept)]
        ordered = entries.take(kept)  # in order already
        del entries, kept
        self._entries = _Column()  # what was gathered is not needed beside what was kept
        if any(len(table.codes) for table in beside):
            ordered = ordered.beside(*beside)
            ordered = ordered.take(ordered.order())
        fact_rows = np.flatnonzero(ordered.facts)
        ids, facts = self._renumbered(ordered.facts[fact_rows])
        ordered.codes[fact_rows] |= np.uint8(rows.HAS_FACTS)
        parts: dict[str, Array | bytes] = {
            "highs": np.ascontiguousarray(ordered.halves[:, 0], "<u8"),
            "lows": np.ascontiguousarray(ordered.halves[:, 1], "<u8"), "codes": ordered.codes,
            "offsets": _offsets(ordered.halves[:, 0]), "fact_rows": fact_rows.astype("<u4"),
            "fact_ids": ids.astype("<u4"),
        }  # fmt: skip
        return {name: memoryview(part).cast("B") for name, part in parts.items()}, facts, counts

    def _counts(self, codes: Array, kept: Array) -> dict[str, tuple[int, int]]:
        what, blocks = codes & rows.WHAT, codes & rows.ALLOWS == 0
        urls = np.isin(what, _URLS)
        plain = np.zeros(len(self._entries.codes), bool)
        plain[_numbers(self._urls)] = np.frombuffer(self._marks, np.uint8) != 0
        sorts = {"urls": urls, "hashes": what == rows.HASH, "domains": ~urls & (what != rows.HASH)}
        sorts["plain_urls"] = plain[kept]
        return {name: (int((mask & blocks).sum()), int((mask & ~blocks).sum())) for name, mask in sorts.items()}

    def _host_rows(self, entries: _Table, kept: Array) -> _Table:
        """Return a row for each host of URL entries that were kept; it tells how many of them live there."""
        places = np.full(len(entries.codes), -1, np.int64)
        places[_numbers(self._urls)] = np.arange(len(self._urls))
        of_urls = kept[places[kept] >= 0]
        members = places[of_urls]
        hosts = self._hosts.table().take(members)
        if self._www:
            hosts, of_urls = hosts.beside(self._others.table().take(members)), np.concatenate((of_urls, of_urls))
        order = hosts.order()
        starts = hosts.starts(order)
        counts = np.diff(np.append(starts, len(order)))
        found = hosts.take(order[starts])
        numbers = found.facts.copy()
        known = list(self._numbers)
        for at in np.flatnonzero(counts > 1).tolist() if not self._named else range(len(starts)):
            facts = replace(known[numbers[at]], count=int(counts[at]))
            if self._named:
                here = of_urls[order[starts[at] : starts[at] + counts[at]]].tolist()
                facts = replace(facts, entries=tuple(self._spared(entries, row) for row in here))
            numbers[at] = self._number(facts)
        return _Table(found.halves, found.codes, numbers)

    @staticmethod
    def _spared(entries: _Table, row: int) -> tuple[int, int, int]:
        high, low = entries.halves[row].tolist()
        return high, low, int(entries.codes[row]) & rows.WHAT

    def _renumbered(self, numbers: Array) -> tuple[Array, list[dict[str, Any]]]:
        """Return numbers of facts from 0 in the order in which they are met, and these facts as JSON knows them."""
        known = list(self._numbers)
        used, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank[inverse], [fact_of(known[number]) for number in used[order].tolist()]


def _numbers(items: array[int]) -> Array:
    return np.frombuffer(items, np.uint32)


def _offsets(highs: Array) -> bytes:
    """Return where each bucket begins: by the first bits of the digest."""
    count = len(highs)
    bits = min(_MAX_BUCKET_BITS, count.bit_length())
    bounds = np.arange(1, 1 << bits, dtype=np.uint64) << np.uint64(64 - bits) if bits else np.empty(0, np.uint64)
    return np.concatenate(([0], np.searchsorted(highs, bounds), [count])).astype("<u4").tobytes()


def facts_of(entry: Entry, key: bytes) -> Facts:
    """Return what an entry's row carries beside its code."""
    excludes = tuple(rows.digest(name, key) for name in entry.excludes)
    return Facts(entry.not_before, entry.not_after, entry.territories, entry.reference, excludes=excludes)


def fact_of(facts: Facts) -> dict[str, Any]:
    """Return facts as JSON knows them; empty where there are none."""
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
    if facts.excludes:
        found["excludes"] = facts.excludes
    return found


def _has_facts(entry: Entry) -> bool:
    return bool(entry.not_before or entry.not_after or entry.territories or entry.reference or entry.excludes)


def _host_of(value: str) -> tuple[str, bool]:
    """Return the host of a URL entry's value, and whether a port stands beside it."""
    authority = value.partition("/")[0]
    host, colon, port = authority.rpartition(":")
    return (host, True) if colon and port.isdigit() else (authority, False)


def _other(host: str) -> str:
    """Return a host with `www.` put on, or taken off where it has it."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
