"""CSV lists: which column holds what is the list's setting; URLs are read as URL lists are, names as domain lists.

Columns go by the names in the header, or by number from 1. The header is the first row, or the last `#` comment before
it where the names stand there. Where both a URL and a name are mapped, a row's URL counts, and its name only without
one: the name beside a URL is that of its host. Every row has as many fields as the first, or is a bad line: a comma
inside a URL would otherwise cut it. So is a row whose moment or reference cannot be read: without it the entry would
be a wider one. Where a mapped column is missing, the whole list is one bad line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from filterproxy.core.model import BadLine, Entry

from . import domains, urls
from .hashes import MAX_REFERENCE
from .lines import MAX_LINE, Columns, Options, decoded

MAX_ROW_LINES: Final = 50
"""Lines of one row at most: a quoted field may go over several."""

_URL: Final = ("url",)
_DOMAIN: Final = ("domain", "host", "hostname")
_HEADING = re.compile(r"[A-Za-z][A-Za-z0-9 _-]*")
_COLUMNS: Final = ("url", "domain", "reference", "not_before", "not_after", "territory")
_PARTED: Final = str.maketrans(",;|", "   ")


class Row(NamedTuple):
    """The fields of a row, or the text of a comment, and the line it begins on."""

    line: int
    fields: list[str]
    comment: bool = False


def parse(lines: Iterable[bytes], options: Options) -> Iterator[Entry | BadLine]:
    """Yield an entry or a bad line for each row that says something."""
    layout: _Layout | None = None
    comment: Row | None = None
    for row in _rows(lines, options):
        if isinstance(row, BadLine):
            yield row
        elif row.comment:
            comment = row
        elif layout is not None:
            yield layout.entry(row, options)
        else:
            found = _layout(row, comment, options.columns)
            if isinstance(found, str):
                yield options.bad(row.line, found, "")
                return
            layout = found
            if not layout.heads(row):
                yield layout.entry(row, options)


def _rows(lines: Iterable[bytes], options: Options) -> Iterator[Row | BadLine]:
    """Yield rows, comments and what is neither. A quoted field that is never closed ends the list."""
    gathered: list[str] = []
    begins = 0
    for item in decoded(lines, options):
        if isinstance(item, BadLine):
            yield item
            if gathered:
                break
            continue
        number, text = item
        if not gathered:
            begins, bare = number, text.strip()
            if not bare or bare[0] == "#":
                if bare:
                    yield Row(number, [bare.lstrip("# ")], comment=True)
                continue
        gathered.append(text)
        if len(gathered) > MAX_ROW_LINES or sum(map(len, gathered)) > MAX_LINE:
            break
        try:
            fields = _fields(gathered, options.columns.delimiter)
        except ValueError:
            yield options.bad(begins, "not comma-separated", "".join(gathered).strip())
            gathered.clear()
            continue
        if fields is not None:
            gathered.clear()
            yield Row(begins, fields)
    if gathered:
        yield options.bad(begins, "a quoted field that is not closed; nothing behind it is read", "")


def _fields(lines: Sequence[str], delimiter: str) -> list[str] | None:
    """Return the fields of a row, or None where it goes on. Raises ValueError where it is none."""
    if len(lines) == 1 and '"' not in lines[0] and len(delimiter) == 1:
        return [field.strip() for field in lines[0].split(delimiter)]
    asked_for_more = False

    def fed() -> Iterator[str]:
        nonlocal asked_for_more
        yield from lines
        asked_for_more = True

    try:
        fields = next(csv.reader(fed(), delimiter=delimiter, strict=True, skipinitialspace=True))
    except (csv.Error, TypeError, StopIteration) as exc:
        if asked_for_more:
            return None
        raise ValueError("not comma-separated") from exc
    return [field.strip() for field in fields]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column, from 0, holds what; None where there is none."""

    width: int
    header: int
    """The line of the header; 0 where there is none."""
    url: int | None
    domain: int | None
    reference: int | None
    not_before: int | None
    not_after: int | None
    territory: int | None

    def heads(self, row: Row) -> bool:
        """Tell whether a first row is the header: by its names, or because a word stands where URLs or names would."""
        if self.header:
            return row.line == self.header
        return bool(_HEADING.fullmatch(self._cell(row, self.url) or self._cell(row, self.domain)))

    def entry(self, row: Row, options: Options) -> Entry | BadLine:
        """Return the entry of a row, or the bad line that it is."""
        if len(row.fields) != self.width:
            return options.bad(row.line, f"{len(row.fields)} fields in place of {self.width}", _text(row))
        if url := self._cell(row, self.url):
            entry = urls.entry(row.line, url, options)
        elif name := self._cell(row, self.domain):
            entry = domains.entry(row.line, name, options)
        else:
            return options.bad(row.line, "neither URL nor name", _text(row))
        if isinstance(entry, BadLine) or self.reference == self.not_before == self.not_after == self.territory is None:
            return entry
        return self._with_facts(entry, row, options)

    def _with_facts(self, entry: Entry, row: Row, options: Options) -> Entry | BadLine:
        reference, territory = self._cell(row, self.reference), self._cell(row, self.territory)
        if len(reference) > MAX_REFERENCE or not reference.isprintable():
            return options.bad(row.line, f"a reference is text of {MAX_REFERENCE} characters at most", _text(row))
        territories = frozenset(territory.upper().translate(_PARTED).split())
        if not territory.isprintable() or bool(territory) != bool(territories):
            return options.bad(row.line, "not a territory", _text(row))
        try:
            begins = _moment(self._cell(row, self.not_before))
            ends = _moment(self._cell(row, self.not_after))
        except (ValueError, OverflowError):
            return options.bad(row.line, "a moment is written as ISO 8601 says", _text(row))
        if begins is not None and ends is not None and ends <= begins:
            return options.bad(row.line, "ends before it begins", _text(row))
        return entry._replace(reference=reference, not_before=begins, not_after=ends, territories=territories)

    @staticmethod
    def _cell(row: Row, column: int | None) -> str:
        return row.fields[column] if column is not None and column < len(row.fields) else ""


def _layout(row: Row, comment: Row | None, columns: Columns) -> _Layout | str:
    """Return where the columns of a list are, told by its first row and the comment before, or what is wrong."""
    asked = {what: text for what in _COLUMNS if (text := getattr(columns, what).strip())}
    if ("url" in asked or "domain" in asked) and all(map(_is_number, asked.values())):
        places = _places(asked, row.fields)
        return places if isinstance(places, str) else _Layout(len(row.fields), 0, **places)
    wrong = ""
    for header in (row, _header(comment, columns.delimiter)):
        names = [name.casefold() for name in header.fields]
        places = _places(asked if "url" in asked or "domain" in asked else asked | _default(names), names)
        if not isinstance(places, str):
            return _Layout(len(names), header.line, **places)
        wrong = wrong or places
    return wrong


def _header(comment: Row | None, delimiter: str) -> Row:
    """Return a comment as a row, without fields where it is none."""
    try:
        return Row(0, []) if comment is None else Row(comment.line, _fields(comment.fields, delimiter) or [])
    except ValueError:
        return Row(0, [])


def _places(asked: dict[str, str], names: Sequence[str]) -> dict[str, int | None] | str:
    """Return where each column that is asked for stands among the names, or which is missing."""
    places: dict[str, int | None] = dict.fromkeys(_COLUMNS)
    for what, text in asked.items():
        name = text.casefold()
        if _is_number(text) and 1 <= int(text) <= len(names):
            places[what] = int(text) - 1
        elif names.count(name) == 1:
            places[what] = names.index(name)
        else:
            return f"no column {text!r} for the {what}, or several"
    return places


def _default(names: Sequence[str]) -> dict[str, str]:
    """Return what to ask for where the list does not say: the column named so."""
    for what, known in (("url", _URL), ("domain", _DOMAIN)):
        for name in known:
            if name in names:
                return {what: name}
    return {"url": _URL[0]}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _moment(text: str) -> datetime | None:
    """Return a moment in UTC, or None for none. Raises ValueError or OverflowError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(row: Row) -> str:
    return ",".join(row.fields)
