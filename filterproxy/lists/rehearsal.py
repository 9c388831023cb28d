"""A rehearsal of keywords: which of them would act on which of many URLs, by the very matching of the decision.

Streams: what is kept of the URLs is bounded, however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from filterproxy.core.model import Entry, Scope
from filterproxy.core.patterns import Folded, Patterns, Term, fold
from filterproxy.core.urls import canonical

EXAMPLES: Final = 3
"""URLs that are kept of each term, each of another host."""
WORDS: Final = 5
"""Longer words that are shown of a term at most."""
MOST_WORDS: Final = 200
"""Longer words that are counted of a term at most."""
HOSTS_OF_ONE: Final = 10_000
HOSTS: Final = 1_000_000
"""Hosts that are told apart at most, of one term and of all together: about 100 bytes each."""
THRESHOLDS: Final = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Scores from which a URL is counted: what would be left if only these acted."""
LONGEST_EXAMPLE: Final = 300


@dataclass(slots=True)
class Tally:
    """What one term did."""

    term: Term
    line: int
    urls: int = 0
    hosts: set[int] = field(default_factory=set, repr=False)
    """Hashes of the hosts."""
    more_hosts: bool = False
    """Whether there were more than could be told apart."""
    examples: list[str] = field(default_factory=list, repr=False)
    inside: int = 0
    """URLs in which it stood inside a longer word."""
    words: Counter[str] = field(default_factory=Counter, repr=False)
    """These words, and in how many URLs."""


class Rehearsal:
    """Takes URLs one by one; may be read at any time."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Prepare the terms. A term that stands twice acts once, at its first line."""
        self.tallies: dict[Term, Tally] = {}
        for entry in entries:
            term = Term(entry.value, entry.scope, entry.score)
            self.tallies.setdefault(term, Tally(term, entry.line))
        self._patterns = Patterns(self.tallies)
        self._scores: Counter[int] = Counter()
        self._room = HOSTS
        self.urls = self.no_urls = 0

    def add(self, text: str) -> None:
        """Rehearse one URL."""
        url = canonical(text)
        if url is None:
            self.no_urls += 1
            return
        self.urls += 1
        folded = fold(url)
        found = self._patterns.find(folded)
        if not found:
            return
        self._scores[min(THRESHOLDS[-1], sum(term.score for term in found))] += 1
        host = hash(url.host)
        for term in found:
            self._note(self.tallies[term], folded, host, text)

    def _note(self, tally: Tally, folded: Folded, host: int, text: str) -> None:
        tally.urls += 1
        if host not in tally.hosts:
            if len(tally.examples) < EXAMPLES:
                tally.examples.append(text[:LONGEST_EXAMPLE])
            if len(tally.hosts) < HOSTS_OF_ONE and self._room:
                tally.hosts.add(host)
                self._room -= 1
            else:
                tally.more_hosts = True
        if tally.term.scope is Scope.SUBSTRING:
            longer = longer_words(tally.term.text, folded.text)
            tally.inside += bool(longer)
            for word in longer:
                if word in tally.words or len(tally.words) < MOST_WORDS:
                    tally.words[word] += 1

    @property
    def acted_on(self) -> int:
        """URLs on which some term acts."""
        return self._scores.total()

    def from_score(self, threshold: int) -> int:
        """URLs whose terms weigh `threshold`, one of THRESHOLDS, or more together."""
        return sum(count for score, count in self._scores.items() if score >= threshold)

    def ranked(self) -> list[Tally]:
        """Return the tallies, those that act most often first, then by line."""
        return sorted(self.tallies.values(), key=lambda tally: (-tally.urls, tally.line))


def longer_words(term: str, text: str) -> set[str]:
    """Return the words of a folded text in which `term` stands with a letter or digit before or after it."""
    found, at = set(), text.find(term)
    while at >= 0:
        end = at + len(term)
        start = max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1
        stop = min(place for place in (text.find(" ", end), text.find("\n", end), len(text)) if place >= 0)
        if (start, stop) != (at, end):
            found.add(text[start:stop])
        at = text.find(term, at + 1)
    return found
