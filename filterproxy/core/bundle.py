"""What is in force: a segment per list, found by host behind a bounded memo. Everything here is immutable but the memo.

A segment is one buffer (core/layout.py): the arrays of its membership, facts and patterns. In a worker it is a sealed
memfd, mapped read-only; on disk facts and patterns are sealed, and so are the entries as they were read, which no
worker is given (lists/files.py).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from filterproxy.errors import SegmentError

from .layout import Piece, split
from .membership import (
    ABOVE,
    BELOW,
    EXACT,
    HOST,
    NO_FACTS,
    SPLIT,
    TREE,
    WHAT,
    Digest,
    Facts,
    Membership,
    Row,
    digest,
)
from .model import ListFormat, Scope
from .names import is_address, suffixes
from .patterns import Patterns, Term
from .regular import NO_RULES, Rule, Rules

MEMO_HOSTS: Final = 65_536
"""Hosts that the memo holds at most; it is emptied when full, which costs one look-up per host again."""
CANARY: Final = "canary:"
"""What the segment of a list's canaries is called, before the list's id; and the listing that answers for them."""
CANARY_ZONE: Final = "canary.invalid"
"""All that such a segment names is below this, so that no other host is looked up there."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many entries of a list there are of each sort; what a deployment enforces follows from them."""

    domains: int = 0
    urls: int = 0
    plain_urls: int = 0
    """URLs written with http://: a proxy sees these whole, even where it cannot look inside TLS."""
    terms: int = 0
    patterns: int = 0
    """Expressions over hosts."""
    url_patterns: int = 0
    """Expressions over whole URLs."""
    hashes: int = 0
    exceptions: int = 0
    unenforceable: int = 0
    """Lines that their format understands and no deployment enforces."""
    quarantined: int = 0
    """Entries that wait for people to decide."""
    bad_lines: int = 0
    unended: int = 0
    """1 where the source's last line has no end: it may have been cut short."""

    @property
    def entries(self) -> int:
        """All that the list says and that is in force."""
        return self.domains + self.urls + self.terms + self.patterns + self.url_patterns + self.hashes + self.exceptions


@dataclass(frozen=True, slots=True)
class Segment:
    """One list's index, or that of a profile's own entries, or of the overrides made for one list."""

    name: str
    """`list:ID`, `override:ID` (of the list it spares), `canary:ID` (of the list beside which it is asked for in a
    self-test), `deny:ID` or `allow:ID` (of the profile)."""
    membership: Membership
    patterns: Patterns = field(default_factory=lambda: Patterns(()))
    host_rules: Rules = NO_RULES
    url_rules: Rules = NO_RULES
    flat: bool = False
    """Whether no entry is more specific than another (AdBlock): an exception beats all that is not important."""
    near_hashes: tuple[str, ...] = field(default=(), repr=False)
    """Hashes that are compared by their distance, as `pdq:hex`."""
    loaded_at: datetime | None = None
    """When the source was last read with success; None for a list that never loaded."""
    version: str = ""
    shares: Shares = Shares()

    @classmethod
    def from_buffer(cls, buffer: memoryview) -> Segment:
        """Return the segment that lies in `buffer`, of which it keeps views. Raises SegmentError."""
        return cls.of(*split(buffer))

    @classmethod
    def of(cls, header: Mapping[str, Any], parts: Mapping[str, Piece]) -> Segment:
        """Return the segment of a header and parts, of which it keeps views. Raises SegmentError."""
        try:
            view = {name: memoryview(part) for name, part in parts.items()}
            facts = tuple(_facts(item) for item in json.loads(bytes(view["facts"]) or b"[]"))
            clear = json.loads(bytes(view["patterns"]) or b"{}")
            return cls(
                name=header["name"],
                membership=Membership(
                    view["highs"].cast("Q"),
                    view["lows"].cast("Q"),
                    view["codes"].cast("B"),
                    view["offsets"].cast("I"),
                    view["fact_rows"].cast("I"),
                    view["fact_ids"].cast("I"),
                    facts,
                ),
                patterns=Patterns(Term(text, Scope(scope), score) for text, scope, score in clear.get("terms", ())),
                host_rules=_rules(clear.get("host", ())),
                url_rules=_rules(clear.get("url", ())),
                flat=header["format"] == ListFormat.ADBLOCK,
                near_hashes=tuple(clear.get("near", ())),
                loaded_at=_when(header["loaded_at"]),
                version=header["version"],
                shares=Shares(**header["shares"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SegmentError(f"not a segment: {type(exc).__name__}") from None


def _when(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _facts(item: dict[str, Any]) -> Facts:
    return Facts(
        not_before=_when(item.get("not_before")),
        not_after=_when(item.get("not_after")),
        territories=frozenset(item.get("territories", ())),
        reference=item.get("reference", ""),
        count=item.get("count", 1),
        entries=tuple((high, low, what) for high, low, what in item.get("entries", ())),
        excludes=tuple((high, low) for high, low in item.get("excludes", ())),
    )


def _rules(items: Iterable[tuple[str, int, dict[str, Any]]]) -> Rules:
    return Rules(Rule(expression, code, _facts(facts) if facts else NO_FACTS) for expression, code, facts in items)


def dated(segments: Iterable[Segment], loaded: Mapping[str, datetime]) -> tuple[Segment, ...]:
    """Return the segments with the times at which their sources were last read, as far as `loaded` tells them."""
    return tuple(replace(item, loaded_at=loaded[item.name]) if item.name in loaded else item for item in segments)


class DomainRow(NamedTuple):
    """A row that covers a host by its name: which name was listed, how, and with what facts."""

    suffix: str
    code: int
    facts: Facts

    def __repr__(self) -> str:
        """Hide the name."""
        return "DomainRow(…)"


class HostFinding(NamedTuple):
    """What one segment says of a host: domain rows that cover it, its URL entries, an exception below it."""

    domains: tuple[DomainRow, ...]
    urls: tuple[Row, ...]
    """HOST rows: URL entries live here."""
    above: bool
    rules: tuple[Rule, ...] = ()
    """Expressions that are found in the host."""


class Findings(dict[int, HostFinding]):
    """What each segment says of a host, by its place; those with nothing to say are left out."""

    __slots__ = ("inherited", "verdicts")

    inherited: bool
    """Whether it is what names above the host say of all below them, so that other hosts have these findings too."""
    verdicts: dict[str, tuple[object, object]]
    """What was decided on such hosts, by profile (see decide.py): a view, and the verdict that holds under it."""

    @classmethod
    def of(cls, found: Mapping[int, HostFinding], *, inherited: bool) -> Findings:
        """Return `found` with nothing decided yet."""
        self = cls(found)
        self.inherited, self.verdicts = inherited, {}
        return self


class Bundle:
    """The segments in force, found together. A host is looked up once and remembered for all profiles."""

    __slots__ = ("_all", "_below", "_keyed", "_memo", "_usual", "key", "segments", "spares_by_rule")

    def __init__(self, segments: Sequence[Segment], key: bytes) -> None:
        """Take the segments, whose digests were all made under `key`."""
        self.segments = tuple(segments)
        self._all = [
            (at, *item.membership.buckets, len(item.host_rules) > 0)
            for at, item in enumerate(self.segments)
            if item.membership or item.host_rules
        ]
        self._usual = [held for held in self._all if not self.segments[held[0]].name.startswith(CANARY)]
        self.key, self._keyed = key, blake2b(digest_size=16, key=key)
        self.spares_by_rule = any(segment.host_rules.sparing for segment in self.segments)
        """Whether some exception is an expression: what it spares below a name cannot be told beforehand."""
        self._memo: dict[str, Findings] = {}
        self._below: dict[str, Findings] = {}

    def read_again(self, loaded: Mapping[str, datetime]) -> Bundle:
        """Return a bundle that says the same of everything, and remembers with this one what it says of hosts.

        `loaded` tells when the source of each segment was last read.
        """
        again = copy(self)
        again.segments = dated(self.segments, loaded)
        return again

    def host(self, name: str) -> Findings:
        """Return what each segment says of a canonical host."""
        found = self._memo.get(name)
        if found is None:
            found = self._find_host(name)
            if len(self._memo) >= MEMO_HOSTS:
                self._memo.clear()
            self._memo[name] = found
        return found

    def _find_host(self, name: str) -> Findings:
        """Return the findings of the name above where no segment names this one. Nearly no host is named anywhere."""
        above = name.partition(".")[2]
        if not above or is_address(name) or name.endswith(CANARY_ZONE):
            return Findings.of(self._find_all(name), inherited=False)
        hashing = self._keyed.copy()  # digest() without its call, and with the key taken in already
        hashing.update(name.encode("ascii"))
        high, _ = SPLIT(hashing.digest())
        for place, highs, offsets, shift, rules in self._usual:
            # Membership.find without its call: this is where a host that was never seen before costs time.
            bucket = high >> shift
            start, end = offsets[bucket], offsets[bucket + 1]
            if start < end:
                at = bisect_left(highs, high, start, end)
                if at < end and highs[at] == high:
                    return Findings.of(self._find_all(name), inherited=False)
            if rules and self.segments[place].host_rules.find(name):
                return Findings.of(self._find_all(name), inherited=False)
        found = self._below.get(above)
        if found is None:
            if len(self._below) >= MEMO_HOSTS:
                self._below.clear()
            found = self._below[above] = Findings.of(self._find_below(above), inherited=True)
        return found

    def _find_below(self, above: str) -> dict[int, HostFinding]:
        """Return what each segment says of a host below `above` that it does not name."""
        found: dict[int, HostFinding] = {}
        digests = [(suffix, digest(suffix, self.key)) for suffix in suffixes(above)]
        for place, *_ in self._usual:
            rows = [
                DomainRow(suffix, code, facts)
                for suffix, wanted in digests
                for code, facts in self.segments[place].membership.find(wanted)
                if code & WHAT in (TREE, BELOW)
            ]
            if rows:
                found[place] = HostFinding(tuple(rows), (), above=False)
        return found

    def _find_all(self, name: str) -> dict[int, HostFinding]:
        digests = [(suffix, digest(suffix, self.key)) for suffix in suffixes(name)]
        halves = [high for _, (high, _) in digests]
        found: dict[int, HostFinding] = {}
        for place, highs, offsets, shift, rules in self._all if name.endswith(CANARY_ZONE) else self._usual:
            for high in halves:
                bucket = high >> shift
                start, end = offsets[bucket], offsets[bucket + 1]
                if start < end:
                    at = bisect_left(highs, high, start, end)
                    if at < end and highs[at] == high:
                        break
            else:
                if not rules:
                    continue
            if (said := self._said(place, digests)) is not None:
                found[place] = said
        return found

    def _said(self, place: int, digests: list[tuple[str, Digest]]) -> HostFinding | None:
        """Return what one segment says of the host that `digests` begin with."""
        segment, name = self.segments[place], digests[0][0]
        domains: list[DomainRow] = []
        urls: list[Row] = []
        above = False
        for suffix, wanted in digests:
            for code, facts in segment.membership.find(wanted):
                what = code & WHAT
                if what in (TREE, EXACT if suffix is name else BELOW):
                    domains.append(DomainRow(suffix, code, facts))
                elif suffix is name and what == HOST:
                    urls.append((code, facts))
                elif suffix is name and what == ABOVE:
                    above = True
        rules = segment.host_rules.find(name) if segment.host_rules else ()
        return HostFinding(tuple(domains), tuple(urls), above, rules) if domains or urls or above or rules else None
