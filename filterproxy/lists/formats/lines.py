"""What every line-wise format shares: numbering, decoding, comments, and the options of its list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from filterproxy.core.model import BadLine, Unenforceable

MAX_LINE = 65_536
"""Bytes of a line at most."""


_PLAIN_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")


def plain(name: str) -> bool:
    """Tell whether a canonical host is one that a list can mean.

    The parser allows more (`a,b.example`, `"a.example"`), which is punctuation of some other format.
    """
    return _PLAIN_HOST.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a CSV list keeps what: each the name of a column, or its number from 1; empty where there is none."""

    url: str = ""
    domain: str = ""
    reference: str = ""
    not_before: str = ""
    not_after: str = ""
    territory: str = ""
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class Options:
    """What a list's settings change in how its lines are read."""

    root_is_site: bool = False
    subdomains: bool | None = None
    confidential: bool = False
    columns: Columns = Columns()

    def bad(self, line: int, reason: str, text: str) -> BadLine:
        """Return a bad line; its text is left out where the list is confidential."""
        return BadLine(line, reason, "" if self.confidential else text[:200])

    def unenforceable(self, line: int, reason: str, text: str) -> Unenforceable:
        """Return a line that is understood and cannot be enforced; its text is left out alike."""
        return Unenforceable(line, reason, "" if self.confidential else text[:200])


@dataclass(frozen=True, slots=True)
class Document:
    """A file of a source: its path within the source, and its lines, which may be asked for again and again."""

    path: str
    lines: Iterable[bytes]


def numbered(lines: Iterable[bytes], options: Options, first: int = 1) -> Iterator[tuple[int, str] | BadLine]:
    """Yield number and text of each line that is neither empty nor a comment (`#`), or a bad line."""
    for item in decoded(lines, options, first):
        if isinstance(item, BadLine):
            yield item
            continue
        text = item[1].strip()
        if text and not text.startswith("#"):
            yield item[0], text


def decoded(lines: Iterable[bytes], options: Options, first: int = 1) -> Iterator[tuple[int, str] | BadLine]:
    """Yield number and text of every line as it stands, or a bad line where it is too long or no text.

    `first` is the number of the first line.
    """
    for number, raw in enumerate(lines, first):
        if len(raw) > MAX_LINE:
            yield options.bad(number, f"longer than {MAX_LINE} bytes", "")
            continue
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield options.bad(number, "not UTF-8", "")
