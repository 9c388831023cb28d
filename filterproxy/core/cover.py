"""What one segment says of a subject: the entries that cover it, the most specific first to be asked for.

Specificity, from most to least: an exact URL, a page, a prefix (the longer the more), the name itself, a parent (the
longer the more), and last a host that stands for its pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from .bundle import HostFinding
from .expressions import Expression, expressions
from .membership import ALLOWS, BELOW, EXACT, EXACT_URL, PAGE, PORTS, PREFIX, TREE, WHAT, Facts
from .model import Connection, Https, Kind, Listing, Question, Request, Scope
from .policy import Policy
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
    allows: bool
    kind: Kind
    scope: Scope
    expression: str
    facts: Facts
    below: bool
    """Whether everything below the subject is covered too."""

    def __repr__(self) -> str:
        """Hide the expression."""
        return "Hit(…)"


class Cover:
    """One subject before one bundle; gathers on the way when what it found could change."""

    __slots__ = ("_hashed", "_host", "_now", "_policy", "finding", "until", "url")

    def __init__(self, subject: Question | Request | Connection, policy: Policy, now: datetime) -> None:
        """Look the subject's host up in every segment."""
        self._policy, self._now = policy, now
        self._host = subject.name if isinstance(subject, Question) else subject.host
        self._hashed: dict[tuple[str, bool], list[Expression]] = {}
        self.url = subject.url if isinstance(subject, Request) else None
        self.finding = policy.bundle.host(self._host)
        """What each segment says of the host, by its place; most often nothing."""
        self.until: datetime | None = None

    def until_at_most(self, moment: datetime) -> None:
        """Note that the verdict could change at `moment`."""
        self.until = earlier(self.until, moment)

    def best(self, listing: Listing, place: int | None) -> tuple[Hit | None, Hit | None]:
        """Return the most specific block and the most specific exception of one segment that cover the subject."""
        finding = self.finding.get(place) if place is not None else None
        if finding is None or place is None:
            return None, None
        block: Hit | None = None
        allow: Hit | None = None
        for hit in self._hits(listing, place, finding):
            if hit.allows:
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
                yield Hit(specific, bool(code & ALLOWS), Kind.DOMAIN, scope, suffix, facts, not exact)
        if self.url is not None:
            if finding.urls:
                yield from self._url_hits(listing, place, finding, self.url)
            if self.url.scheme not in _TLS:
                return
        if listing.https is Https.BLOCK_HOST:
            # Only the host is seen here, and this list asks that the host then stands for its pages.
            listed = [facts for code, facts in finding.urls if not code & ALLOWS and self.counts(facts)]
            if listed and self._overridden_entries(listing, place) < sum(facts.count for facts in listed):
                yield Hit(1, False, Kind.URL, Scope.PAGE, self._host, listed[0], False)

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
                        yield Hit(specific, bool(code & ALLOWS), Kind.URL, scope, text, facts, False)

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
