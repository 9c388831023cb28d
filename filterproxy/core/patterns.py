"""Patterns: does a term stand somewhere in this URL? One Aho-Corasick automaton over its folded text.

The automaton only proposes; every hit is then verified: a `word` stands between boundaries, a `query-term` is a word
in the query. Folding is the same for terms and URLs, so that spelling, case and escapes make no difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

import ahocorasick

from .model import Scope
from .urls import Url

MIN_SUBSTRING = 4
"""Characters of a term at least that may act inside a word: shorter ones are how filters become notorious."""

_BREAK = re.compile(r"[\W_]+")


class Term(NamedTuple):
    """A folded term, where it must stand, and how much it weighs."""

    text: str
    scope: Scope
    score: int = 1


@dataclass(frozen=True, slots=True)
class Folded:
    """A URL as the automaton reads it: words parted by one space, a space at either end of each part."""

    text: str
    query_from: int
    """Where the query's words begin."""


def folded_text(text: str) -> str:
    """Return `text` with one spelling per word: unescaped, NFKC, case folded, all else between words one space."""
    return _BREAK.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def fold(url: Url) -> Folded:
    """Return the words of a URL: host and path, then query."""
    before = f" {folded_text(url.host + ' ' + unquote(url.path, errors='replace'))} "
    query = "" if url.query is None else folded_text(unquote(url.query.replace("+", " "), errors="replace"))
    return Folded(f"{before}{query} ", len(before) - 1)


class Patterns:
    """An immutable automaton over terms. Building it takes the time of its terms; a look-up that of the URL."""

    __slots__ = ("_automaton", "_count")

    def __init__(self, terms: Iterable[Term]) -> None:
        """Build the automaton. The same text may stand in several terms, each with its own scope."""
        by_text: dict[str, list[Term]] = {}
        self._count = 0
        for term in terms:
            by_text.setdefault(term.text, []).append(term)
            self._count += 1
        self._automaton = ahocorasick.Automaton()
        for text, same in by_text.items():
            self._automaton.add_word(text, tuple(same))
        if by_text:
            self._automaton.make_automaton()

    def __len__(self) -> int:
        """Return the number of terms."""
        return self._count

    def find(self, folded: Folded) -> tuple[Term, ...]:
        """Return the terms that stand in `folded`, each once, in the order of their first place."""
        if not self._count:
            return ()
        found: dict[Term, None] = {}
        for end, same in self._automaton.iter(folded.text):
            for term in same:
                if term not in found and _stands(term, folded, end):
                    found[term] = None
        return tuple(found)


def _stands(term: Term, folded: Folded, end: int) -> bool:
    if term.scope is Scope.SUBSTRING:
        return True
    start = end - len(term.text) + 1
    bounded = folded.text[start - 1] == " " == folded.text[end + 1]
    return bounded and (term.scope is not Scope.QUERY_TERM or start > folded.query_from)
