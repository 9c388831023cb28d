"""Patterns: does a term stand somewhere in this URL? One Aho-Corasick automaton over its folded text.

Folding is the same for terms and URLs, so that spelling, case and escapes make no difference. A `word` is searched
with the spaces at its ends, so that it is found between boundaries only; a `query-term` is a word in the query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

import ahocorasick

from .model import Scope
from .urls import Url

MIN_SUBSTRING = 4
"""Characters of a term at least that may act inside a word: shorter ones are how filters become notorious."""
MAX_FOLDED = 16_384
"""Characters of a path or query that are read at most: none longer is written for people."""
MAX_MARKS = 8
"""Combining marks in a row that are kept: ordering them costs the square of their number."""

_BREAK = re.compile(r"[^a-z0-9]+")
_PART = "\x01"
"""A word of no alphabet between host, path and query: no phrase stands across them."""
_PLAIN = str.maketrans({chr(code): chr(code).lower() if chr(code).isalnum() else " " for code in range(2, 128)})


class Term(NamedTuple):
    """A folded term, where it must stand, and how much it weighs."""

    text: str
    scope: Scope
    score: int = 1

    def __repr__(self) -> str:
        """Hide the term."""
        return "Term(…)"


@dataclass(frozen=True, slots=True)
class Folded:
    """A URL as the automaton reads it: words parted by one space, a space at either end of each part."""

    text: str = field(repr=False)
    query_from: int
    """Where the query's words begin."""


def folded_text(text: str) -> str:
    """Return `text` with one spelling per word: NFKC, case folded, unseen characters gone, one space between words."""
    text = text[:MAX_FOLDED]
    if text.isascii():
        return _BREAK.sub(" ", text.lower()).strip()
    kept, marks = [], 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category[0] == "M" else 0
        if category != "Cf" and marks <= MAX_MARKS:
            kept.append(char)
    folded = unicodedata.normalize("NFKC", "".join(kept)).casefold()
    # A mark belongs to its letter: in many scripts words differ in their marks alone.
    words = (char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in folded)
    return " ".join("".join(words).split())


def fold(url: Url) -> Folded:
    """Return the words of a URL: host, path, query."""
    path, query = url.path, url.query or ""
    if "%" not in path and "%" not in query and "xn--" not in url.host and len(path) + len(query) <= MAX_FOLDED:
        # As _fold_any, in one pass: a canonical URL is ASCII, and most have nothing escaped.
        words = f"{url.host} {_PART} {path} {_PART} {query}".translate(_PLAIN).split()
        text = f" {' '.join(words)} "
        return Folded(text, text.rfind(_PART) + 1)
    return _fold_any(url)


def _fold_any(url: Url) -> Folded:
    host = folded_text(" ".join(_shown(label) for label in url.host.split(".")))
    path = folded_text(unquote(url.path, errors="replace"))
    query = "" if url.query is None else folded_text(unquote(url.query.replace("+", " "), errors="replace"))
    before = f" {host} {_PART} {path} {_PART} "
    return Folded(f"{before}{query} ", len(before) - 1)


def _shown(label: str) -> str:
    """Return a label as people read it."""
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


class Patterns:
    """An immutable automaton over terms. Building it takes the time of its terms; a look-up that of the URL."""

    __slots__ = ("_automaton", "_count")

    def __init__(self, terms: Iterable[Term]) -> None:
        """Build the automaton. The same text may stand in several terms, each with its own scope."""
        by_text: dict[str, list[Term]] = {}
        self._count = 0
        for term in terms:
            searched = term.text if term.scope is Scope.SUBSTRING else f" {term.text} "
            by_text.setdefault(searched, []).append(term)
            self._count += 1
        self._automaton = ahocorasick.Automaton()
        for searched, same in by_text.items():
            self._automaton.add_word(searched, tuple(same))
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
                if term.scope is not Scope.QUERY_TERM or end - len(term.text) > folded.query_from:
                    found[term] = None
            if len(found) == self._count:
                break
        return tuple(found)
