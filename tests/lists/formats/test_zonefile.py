from __future__ import annotations

import pytest

from filterproxy.core.model import BadLine
from filterproxy.lists.formats import Options
from filterproxy.lists.formats.lines import MAX_LINE
from filterproxy.lists.formats.zonefile import MAX_LINES, Name, Record, name_of, records


def fields(text):
    """Return line, fields and whether the first is the owner, or the line of what is none."""
    return [
        (item.line, item.fields, item.owned) if isinstance(item, Record) else item.line
        for item in records(text.encode().splitlines(keepends=True), Options())
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b ; c\n\n ; c\nd", [(1, ["a", "b"], True), (4, ["d"], True)]),
        (" b\n\tc", [(1, ["b"], False), (2, ["c"], False)]),
        ('a "b ; c ( d" e', [(1, ["a", '"b ; c ( d"', "e"], True)]),
        ('a "b\\"c"', [(1, ["a", '"b\\"c"'], True)]),
        ("a\\;b c", [(1, ["a\\;b", "c"], True)]),
        ("a ( b ; c\n\n d\n) e\nf", [(1, ["a", "b", "d", "e"], True), (5, ["f"], True)]),
        ("a ((b) c)", [(1, ["a", "b", "c"], True)]),
        ("( ; nothing\n)\na", [(3, ["a"], True)]),
        ("a ) b\nc", [1, (2, ["c"], True)]),
        ('a "b\nc', [1, (2, ["c"], True)]),
        ("a (\nb", [1]),
        ("a (\n\udcff\nb".encode("utf-8", "surrogateescape").decode("latin-1"), [1]),
    ],
)
def test_records_are_gathered_and_comments_dropped(text, expected):
    """RFC 1035, section 5.1: parentheses go over lines, quotes hold anything, `;` ends a line."""
    assert fields(text) == expected


def test_a_line_that_is_no_text_ends_what_was_open():
    """Both are reported, and reading goes on behind them."""
    found = list(records([b"a (\n", b"\xff\n", b"b c\n"], Options()))
    assert [item.line for item in found] == [1, 2, 3]
    assert [isinstance(item, BadLine) for item in found] == [True, True, False]


@pytest.mark.parametrize("line", [b"x\n", b"x" * (MAX_LINE // 4) + b"\n"])
def test_what_never_closes_is_given_up_soon(line):
    """A parenthesis holds at most MAX_LINES lines and MAX_LINE characters in memory."""
    found = list(records([b"a (\n", *[line] * MAX_LINES * 2], Options()))
    assert isinstance(found[0], BadLine)
    assert all(isinstance(item, Record) for item in found[1:])
    assert len(found) > MAX_LINES


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("A.Example", Name(("a", "example"), absolute=False)),
        ("a.example.", Name(("a", "example"), absolute=True)),
        (".", Name((), absolute=True)),
        ("\\097.example", Name(("a", "example"), absolute=False)),
        ("\\*.example", Name(("*", "example"), absolute=False)),
        ("a\\.b", Name(("a?b",), absolute=False)),
        ("a\\046b", Name(("a?b",), absolute=False)),
        ("\\@", Name(("?",), absolute=False)),
        ("a..b", None),
        ("", None),
        ('"a"', None),
        ("ü.example", None),
        ("a" * 64, None),
    ],
)
def test_a_name_is_its_labels(field, name):
    """Escapes are undone where a host could have the letter, and never become a dot."""
    assert name_of(field) == name
