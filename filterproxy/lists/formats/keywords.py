"""Keyword lists: `term`, `term,match` or `term,match,score` a line; match is word, substring or query-term.

A term is folded as URLs are: case, escapes and what parts its words make no difference. Without a match it is a word.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from filterproxy.core.model import BadLine, Entry, Kind, Scope
from filterproxy.core.patterns import MIN_SUBSTRING, folded_text

from .lines import Options, numbered

MATCHES = {scope.value: scope for scope in (Scope.WORD, Scope.SUBSTRING, Scope.QUERY_TERM)}
MAX_TERM = 200
MAX_SCORE = 1000


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each line that says something."""
    for item in numbered(lines, options):
        yield item if isinstance(item, BadLine) else _entry(*item, options)


def _entry(number: int, text: str, options: Options) -> Entry | BadLine:
    try:
        fields = [field.strip() for field in next(csv.reader([text], strict=True))]
    except (csv.Error, StopIteration):
        return options.bad(number, "not comma-separated", text)
    term = folded_text(fields[0])
    scope = MATCHES.get(fields[1] if len(fields) > 1 and fields[1] else Scope.WORD.value)
    score = fields[2] if len(fields) > 2 and fields[2] else "1"
    if len(fields) > 3:
        return options.bad(number, "more than term, match and score", text)
    if scope is None:
        return options.bad(number, "match is word, substring or query-term", text)
    if not score.isdecimal() or not score.isascii() or len(score) > 4 or not 1 <= int(score) <= MAX_SCORE:
        return options.bad(number, f"score is a number from 1 to {MAX_SCORE}", text)
    if not 2 <= len(term) <= MAX_TERM:
        return options.bad(number, f"a term has 2 to {MAX_TERM} letters or digits", text)
    if scope is Scope.SUBSTRING and len(term) < MIN_SUBSTRING:
        return options.bad(number, f"a substring has at least {MIN_SUBSTRING} characters", text)
    return Entry(Kind.KEYWORD, term, scope, line=number, score=int(score))
