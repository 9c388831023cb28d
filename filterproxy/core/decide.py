"""The decision: every rule of precedence, in one pure function that DNS, the proxy and the command line all call.

Rank follows the list, never the index that matched:

1. a mandatory list; only an override made for that list spares;
2. the profile's deny entries, then its allow entries;
3. subscribed lists; lists whose action is allow, and overrides for the listing, spare;
4. keyword lists act as they say;
5. otherwise allow.

Within a list the most specific entry wins, at a tie the exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final, cast

from .cover import Cover, Hit, earlier
from .membership import ALLOWS
from .model import (
    Action,
    Body,
    Connection,
    Https,
    Kind,
    ListFormat,
    Listing,
    Match,
    Question,
    Request,
    Subject,
    Verdict,
)
from .patterns import Folded, fold
from .policy import Policy, Ranked, View

_STRENGTH: Final = {
    Action.BLOCK: 5,
    Action.WARN: 4,
    Action.INSPECT: 3,
    Action.FLAG: 2,
    Action.REWRITE: 1,
    Action.ALLOW: 0,
}
_ALLOWED: Final = Verdict()


def decide(subject: Subject, policy: Policy, now: datetime) -> Verdict:
    """Return the verdict of `policy` on `subject` at `now`.

    Pure: same arguments, same verdict. Raises nothing but KeyError, for a profile that the policy does not know.
    """
    view = policy.view(subject.profile)
    if isinstance(subject, Body):
        return Verdict()
    if type(subject) is not Question:
        return _Decision(subject, policy, view, now).verdict()
    return shared(subject.profile, subject.name, policy) or _Decision(subject, policy, view, now).shared()


def shared(profile: str, name: str, policy: Policy) -> Verdict | None:
    """Return the verdict on a question about `name`, where it was decided already for others of which the lists say
    the same, whatever the moment; else None. Raises KeyError as `decide` does.
    """
    kept = policy.bundle.host(name).verdicts.get(profile)
    if kept is not None and kept[0] is policy.view(profile):
        return cast("Verdict", kept[1])
    return None


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the strictest of several verdicts on one request, the first where several are; allow where there is none.

    Its `valid_until` is the earliest of all: a change in any of them may change the outcome.
    """
    best: Verdict | None = None
    until: datetime | None = None
    inspect = False
    for verdict in verdicts:
        until = earlier(until, verdict.valid_until)
        inspect = inspect or verdict.inspect
        if best is None or _strength(verdict) > _strength(best):
            best = verdict
    if best is None:
        return Verdict()
    if best.valid_until == until and best.inspect == inspect:
        return best
    return Verdict(best.match, best.spared_by, best.unavailable, inspect, until)


def _strength(verdict: Verdict) -> tuple[int, bool]:
    """Order verdicts: by what they do, and among blocks a listing's before a mere failure to judge."""
    return _STRENGTH[verdict.action], verdict.unavailable is None and verdict.match is not None


class _Decision:
    """One subject before one policy."""

    __slots__ = ("_cover", "_folded", "_now", "_policy", "_subject", "_view")

    def __init__(self, subject: Question | Request | Connection, policy: Policy, view: View, now: datetime) -> None:
        self._subject, self._policy, self._view, self._now = subject, policy, view, now
        self._cover = Cover(subject, policy, now)
        self._folded: Folded | None = None

    def shared(self) -> Verdict:
        """Return the verdict, and keep it where it is shared by all hosts of which the lists say the same.

        Where all that is said is said of names above, it holds for whatever is not named itself below them; unless
        what counts depends on the moment, or on the very host.
        """
        finding, view, verdict = self._cover.finding, self._view, self.verdict()
        if finding.inherited and self._cover.until is None and not self._cover.host_counts:
            finding.verdicts[view.profile.id] = view, verdict
        return verdict

    def verdict(self) -> Verdict:
        view, spared = self._view, _Spared()
        if not self._cover.finding and not view.closed and (self._cover.url is None or not view.reads_urls):
            return _ALLOWED  # nearly all traffic: no list names any part of the host
        for ranked in view.mandatory:
            if match := self._unspared(ranked, None, spared):
                return self._says(match)
        if view.deny is not None and (match := self._unspared(view.deny, None, spared)):
            return self._says(match)
        sparing = self._sparing()
        for ranked in view.blocking:
            if match := self._unspared(ranked, sparing, spared):
                return self._says(match)
        if closed := self._closed(sparing):
            return Verdict(unavailable=closed, valid_until=self._cover.until)
        match = self._keywords(sparing, spared)
        inspect = self._inspects(sparing)
        if match is not None:
            return Verdict(match=match, inspect=inspect, valid_until=self._cover.until)
        return Verdict(match=spared.match, spared_by=spared.by, inspect=inspect, valid_until=self._cover.until)

    def _says(self, match: Match) -> Verdict:
        return Verdict(match=match, valid_until=self._cover.until)

    # What each list says

    def _unspared(self, ranked: Ranked, sparing: Match | None, spared: _Spared) -> Match | None:
        """Return the list's match, unless its own exception, an override for it, or `sparing` spares it."""
        block, allow = self._cover.best(ranked.listing, ranked.place)
        if block is None:
            return None
        match = self._match(ranked.listing, block)
        if allow is not None and allow.specific >= block.specific:
            spared.note(match, self._match(ranked.listing, allow))
        elif (override := self._overridden(ranked)) is not None:
            spared.note(match, override)
        elif sparing is not None:
            spared.note(match, sparing)
        else:
            return match
        return None

    def _match(self, listing: Listing, hit: Hit) -> Match:
        action = Action.ALLOW if hit.allows else listing.action
        below = hit.below and not (
            self._policy.bundle.spares_by_rule or any(finding.above for finding in self._cover.finding.values())
        )
        return Match(listing, hit.kind, hit.scope, action, hit.expression, hit.facts.reference, below)

    # What spares

    def _overridden(self, ranked: Ranked) -> Match | None:
        _, allow = self._cover.best(ranked.listing, ranked.override)
        return None if allow is None else replace(self._match(ranked.listing, allow), overrides=True)

    def _sparing(self) -> Match | None:
        """Return what spares the subject from subscribed lists: the profile's allow entries, then lists that allow."""
        if (own := self._view.allow) is not None:
            _, allow = self._cover.best(own.listing, own.place)
            if allow is not None:
                return self._match(own.listing, allow)
        for ranked in self._view.sparing:
            # Here what spares is the entry, and what does not is the list's own exception: it wins at a tie.
            block, allow = self._cover.best(ranked.listing, ranked.place)
            if allow is not None and (block is None or allow.specific > block.specific):
                return self._match(ranked.listing, allow)
        return None

    # What failed, what is only noted

    def _closed(self, sparing: Match | None) -> Listing | None:
        """Return the first fail-closed list that never loaded or is too old and would have judged the subject."""
        for ranked in self._view.closed:
            listing = ranked.listing
            if (sparing is not None and not listing.mandatory) or not self._judges(listing):
                continue
            if self._overridden(ranked) is not None:
                continue
            if ranked.loaded_at is None:
                return listing
            if listing.max_age is not None:
                if self._now - ranked.loaded_at >= listing.max_age:
                    return listing
                self._cover.until_at_most(ranked.loaded_at + listing.max_age)
        return None

    def _judges(self, listing: Listing) -> bool:
        """Tell whether a list of this kind judges a subject of this kind at all."""
        if listing.format in (ListFormat.KEYWORDS, ListFormat.HASHES):
            return self._cover.url is not None and listing.format is ListFormat.KEYWORDS
        if self._cover.url is not None or listing.format is not ListFormat.URLS:
            return True
        if listing.https is Https.INSPECT and isinstance(self._subject, Connection):
            return True  # it would have said which hosts to look into
        return listing.https is Https.BLOCK_HOST or listing.root_is_site

    def _keywords(self, sparing: Match | None, spared: _Spared) -> Match | None:
        """Return the strictest match of the keyword lists, which judge whole URLs only."""
        best: Match | None = None
        for ranked in self._view.keywords if self._cover.url is not None else ():
            if ranked.place is None or (match := self._keyword(ranked)) is None:
                continue
            by = self._overridden(ranked) or sparing
            if by is not None:
                spared.note(match, by)
            elif best is None or _STRENGTH[match.action] > _STRENGTH[best.action]:
                best = match
        return best

    def _keyword(self, ranked: Ranked) -> Match | None:
        patterns = self._policy.bundle.segments[ranked.place or 0].patterns
        if not len(patterns) or self._cover.url is None:
            return None
        if self._folded is None:
            self._folded = fold(self._cover.url)
        terms = patterns.find(self._folded)
        if not terms:
            return None
        first, score = terms[0], sum(term.score for term in terms)
        return Match(ranked.listing, Kind.KEYWORD, first.scope, ranked.listing.action, first.text, score=score)

    def _inspects(self, sparing: Match | None) -> bool:
        """Tell whether listed URLs of an inspected list live on this host, of which nothing more is known."""
        if self._cover.url is not None or not self._cover.finding:
            return False
        ranks = self._view.mandatory if sparing is not None else (*self._view.mandatory, *self._view.blocking)
        for ranked in ranks:
            finding = None if ranked.place is None else self._cover.finding.get(ranked.place)
            urls = () if finding is None or ranked.listing.https is not Https.INSPECT else finding.urls
            if any(self._cover.counts(facts) for code, facts in urls if not code & ALLOWS):
                return True
        return False


class _Spared:
    """The strongest match that something spared, kept for the reason given."""

    __slots__ = ("by", "match")

    def __init__(self) -> None:
        self.match: Match | None = None
        self.by: Match | None = None

    def note(self, match: Match, by: Match) -> None:
        if self.match is None:
            self.match, self.by = match, by


__all__ = ["decide", "strictest"]
