"""What one segment says of a subject: the entries that cover it, the most specific first to be asked for.

Specificity, from most to least: an exact URL, a page, a prefix (the longer the more), the name itself, a parent (the
longer the more), a host that stands for its pages, and last an expression. In an AdBlock list nothing is more
specific than anything else but `$important`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

from .bundle import HostFinding
from .expressions import Expression, expressions
from .membership import (
    ALLOWS,
    BELOW,
    EXACT,
    EXACT_URL,
    IMPORTANT,
    PAGE,
    PORTS,
    PREFIX,
    TREE,
    WHAT,
    Digest,
    Facts,
    digest,
)
from .model import Connection, Https, Kind, Listing, Question, Request, Scope
from .names import suffixes
from .policy import Policy
from .regular import MAX_URL_TEXT, Rules
from .urls import Url

_URL_SCOPES: Final = {EXACT_URL: Scope.EXACT, PAGE: Scope.PAGE, PREFIX: Scope.PREFIX}
_DOMAIN_SCOPES: Final = {EXACT: Scope.EXACT, BELOW: Scope.BELOW, TREE: Scope.TREE}
# A URL's path is shorter than 10**6 and a name than 10**3, so that no sum of lengths reaches the next kind.
_SPECIFIC: Final = {Scope.EXACT: 4_000_000, Scope.PAGE: 3_000_000, Scope.PREFIX: 2_000_000}
_EXACT_NAME: Final = 1_000_000
_TLS: Final = ("https", "wss")


class Hit(NamedTuple):
    """An entry of one list that covers the subject, and how specific it is."""

    specific: int
    code: int
    kind: Kind
    scope: Scope
    expression: str
    facts: Facts
    below: bool
    """Whether everything below the subject is covered too."""

    @property
    def allows(self) -> bool:
        """Whether it is an exception."""
        return bool(self.code & ALLOWS)

    def __repr__(self) -> str:
        """Hide the expression."""
        return "Hit(…)"


class Cover:
    """One subject before one bundle; gathers on the way when what it found could change."""

    __slots__ = ("_hashed", "_host", "_now", "_policy", "_suffixes", "_text", "finding", "host_counts", "until", "url")

    def __init__(self, subject: Question | Request | Connection, policy: Policy, now: datetime) -> None:
        """Look the subject's host up in every segment."""
        self._policy, self._now = policy, now
        self._host = subject.name if isinstance(subject, Question) else subject.host
        self._hashed: dict[tuple[str, bool], list[Expression]] = {}
        self._suffixes: frozenset[Digest] | None = None
        self._text: str | None = None
        self.url = subject.url if isinstance(subject, Request) else None
        self.finding = policy.bundle.host(self._host)
        """What each segment says of the host, by its place; most often nothing."""
        self.until: datetime | None = None
        self.host_counts = False
        """Whether some entry covers only part of what is below it, so that the very host was looked at."""

    def until_at_most(self, moment: datetime) -> None:
        """Note that the verdict could change at `moment`."""
        self.until = earlier(self.until, moment)

    def best(self, listing: Listing, place: int | None) -> tuple[Hit | None, Hit | None]:
        """Return the most specific block and the most specific exception of one segment that cover the subject."""
        if place is None:
            return None, None
        finding, segment = self.finding.get(place), self._policy.bundle.segments[place]
        searched = self.url is not None and len(segment.url_rules) > 0
        if finding is None and not searched:
            return None, None
        block: Hit | None = None
        allow: Hit | None = None
        hits = [] if finding is None else self._hits(listing, place, finding)
        for hit in chain(hits, self._rule_hits(segment.url_rules) if searched else ()):
            if segment.flat:
                hit = hit._replace(specific=hit.code & IMPORTANT)  # noqa: PLW2901
            if hit.code & ALLOWS:
                allow = hit if allow is None or hit.specific > allow.specific else allow
            else:
                block = hit if block is None or hit.specific > block.specific else block
        return block, allow

    def _hits(self, listing: Listing, place: int, finding: HostFinding) -> Iterable[Hit]:
        for suffix, code, facts in finding.domains:
            if self.counts(facts):
                scope = _DOMAIN_SCOPES[code & WHAT]
                exact = scope is Scope.EXACT
                specific = _EXACT_NAME + exact if suffix == self._host else len(suffix)
                yield Hit(specific, code, Kind.DOMAIN, scope, suffix, facts, not exact)
        for rule in finding.rules:
            if self.counts(rule.facts):
                yield Hit(0, rule.code, Kind.PATTERN, Scope.HOST, self._host, rule.facts, False)
        if self.url is not None:
            if finding.urls:
                yield from self._url_hits(listing, place, finding, self.url)
            if self.url.scheme not in _TLS:
                return
        if listing.https is Https.BLOCK_HOST:
            # Only the host is seen here, and this list asks that the host then stands for its pages.
            listed = [facts for code, facts in finding.urls if not code & ALLOWS and self.counts(facts)]
            if listed and self._overridden_entries(listing, place) < sum(facts.count for facts in listed):
                yield Hit(1, 0, Kind.URL, Scope.PAGE, self._host, listed[0], False)

    def _rule_hits(self, rules: Rules) -> Iterable[Hit]:
        text = self._text
        if text is None:
            url = self.url
            query = "" if url is None or url.query is None else f"?{url.query}"
            text = "" if url is None else f"{url.host}{url.path}{query}"[:MAX_URL_TEXT].lower()
            self._text = text
        for rule in rules.find(text):
            if self.counts(rule.facts):
                yield Hit(0, rule.code, Kind.PATTERN, Scope.URL, text, rule.facts, False)

    def _url_hits(self, listing: Listing, place: int, finding: HostFinding, url: Url) -> Iterable[Hit]:
        membership = self._policy.bundle.segments[place].membership
        ported = any(code & PORTS for code, _ in finding.urls)
        for spelling in _spellings(url, www=listing.www):
            for expression in self._expressions(spelling, ported=ported):
                for code, facts in membership.find(expression.digest):
                    if code & WHAT in expression.covers and self.counts(facts):
                        scope = _URL_SCOPES[code & WHAT]
                        specific = _SPECIFIC[scope] + 2 * expression.length + expression.ported
                        text = expression.text(spelling)
                        yield Hit(specific, code, Kind.URL, scope, text, facts, False)

    def _expressions(self, url: Url, *, ported: bool) -> list[Expression]:
        """Return the URL's expressions, hashed once for all lists."""
        found = self._hashed.get((url.host, ported))
        if found is None:
            found = self._hashed[url.host, ported] = expressions(url, self._policy.bundle.key, ported=ported)
        return found

    def counts(self, facts: Facts) -> bool:
        """Tell whether an entry counts here and now, and note when that could change."""
        if facts.territories and not facts.territories & self._policy.territory:
            return False
        if facts.excludes:
            self.host_counts = True
            if self._suffixes is None:
                self._suffixes = frozenset(digest(name, self._policy.bundle.key) for name in suffixes(self._host))
            if not self._suffixes.isdisjoint(facts.excludes):
                return False
        if facts.not_before is not None and self._now < facts.not_before:
            self.until_at_most(facts.not_before)
            return False
        if facts.not_after is not None:
            if self._now >= facts.not_after:
                return False
            self.until_at_most(facts.not_after)
        return True

    def _overridden_entries(self, listing: Listing, place: int) -> int:
        """Return how many URL entries that a list has on this host overrides spare: once all, the host is free."""
        membership = self._policy.bundle.segments[place].membership
        spared: set[tuple[int, int, int]] = set()
        for number, finding in self.finding.items():
            if self._policy.bundle.segments[number].name == f"override:{listing.id}":
                spared.update(entry for _, facts in finding.urls if self.counts(facts) for entry in facts.entries)
        return sum(
            code & (WHAT | ALLOWS) == what and self.counts(facts)
            for high, low, what in spared
            for code, facts in membership.find((high, low))
        )


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two moments, None being none."""
    return min(one, other) if one and other else one or other


def _spellings(url: Url, *, www: bool) -> tuple[Url, ...]:
    if not www:
        return (url,)
    other = url.host.removeprefix("www.") if url.host.startswith("www.") else f"www.{url.host}"
    return url, url._replace(host=other)
