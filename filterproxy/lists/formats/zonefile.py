"""The records of a master file (RFC 1035, section 5.1): one at a time, its parentheses gathered, its comments gone.

What is no record is a bad line, after which the owner of the record before no longer holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from filterproxy.core.model import BadLine

from .lines import MAX_LINE, Options, decoded

MAX_LINES = 64
"""Lines of a record at most."""

_UNUSUAL = re.compile(r'["()\\]')
_TOKEN = re.compile(r'\s+|;.*|([()])|("(?:[^"\\]|\\.)*"|(?:[^\s;()"\\]|\\.)+)')
_PLAIN = re.compile(r"(?:[a-z0-9_*-]{1,63}\.)*[a-z0-9_*-]{1,63}")
_ESCAPE = re.compile(r"\\(\d{3}|.)", re.DOTALL)


class Record(NamedTuple):
    """The fields of a record or control entry as written; `owned` tells whether the first of them is the owner."""

    line: int
    text: str
    fields: list[str]
    owned: bool


class Name(NamedTuple):
    """A domain name: its labels in lower case, and whether it ends at the root rather than at the zone's apex."""

    labels: tuple[str, ...]
    absolute: bool


def records(lines: Iterable[bytes], options: Options) -> Iterator[Record | BadLine]:
    """Yield each record, or a bad line where there is none."""
    gathered: _Gathered | None = None
    for item in decoded(lines, options):
        if isinstance(item, BadLine):
            if gathered is not None:
                yield gathered.bad(options)
                gathered = None
            yield item
            continue
        number, text = item
        if gathered is None and not _UNUSUAL.search(text):  # nearly every line
            if fields := text.partition(";")[0].split():
                yield Record(number, text, fields, not text[0].isspace())
            continue
        if gathered is None:
            gathered = _Gathered(number, text)
        if not gathered.add(text):
            yield gathered.bad(options)
            gathered = None
        elif not gathered.depth:
            if gathered.fields:
                yield gathered.record
            gathered = None
    if gathered is not None:
        yield gathered.bad(options)


class _Gathered:
    """A record whose parentheses may go over several lines."""

    def __init__(self, line: int, text: str) -> None:
        """Begin with nothing."""
        self.fields: list[str] = []
        self.depth = 0
        self._line, self._text = line, text
        self._lines = self._size = 0

    def add(self, text: str) -> bool:
        """Take the fields of one more line; return False where it is none or too much."""
        self._lines += 1
        self._size += len(text)
        at = 0
        while found := _TOKEN.match(text, at):
            at = found.end()
            if found[1]:
                self.depth += 1 if found[1] == "(" else -1
            elif found[2]:
                self.fields.append(found[2])
            if self.depth < 0:
                return False
        return at == len(text) and self._lines <= MAX_LINES and self._size <= MAX_LINE

    @property
    def record(self) -> Record:
        """The record, complete."""
        return Record(self._line, self._text, self.fields, not self._text[0].isspace())

    def bad(self, options: Options) -> BadLine:
        """Return the bad line that it is where it has no end."""
        return options.bad(self._line, "a quote or parenthesis without its counterpart", self._text.strip())


def name_of(field: str) -> Name | None:
    """Return the name that a field spells, or None where it spells none. `@` is no name of its own."""
    if _PLAIN.fullmatch(field):  # nearly every name
        return Name(tuple(field.split(".")), absolute=False)
    if field == ".":
        return Name((), absolute=True)
    if field.startswith('"') or not field.isascii():
        return None
    if "\\" in field:
        # An escaped dot is part of its label; no host has such a label, but it has to stay one.
        field = _ESCAPE.sub(_unescaped, field)
    absolute = field.endswith(".")
    labels = tuple(field.removesuffix(".").lower().split("."))
    return Name(labels, absolute) if all(0 < len(label) <= 63 for label in labels) else None


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1]) if len(found[1]) == 3 else ord(found[1])
    letter = chr(code) if code < 128 else "?"
    return letter if letter.isalnum() or letter in "-_*" else "?"
