from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import BadLine, Entry
from filterproxy.lists.formats import Columns, Options
from filterproxy.lists.formats.csv import MAX_ROW_LINES, parse
from filterproxy.settings import Settings


def said(text, **columns):
    """Return what a text says under a mapping: (value, scope, reference), or the reason of a bad line."""
    items = parse(text.encode().splitlines(keepends=True), Options(columns=Columns(**columns)))
    return [
        (item.value, item.scope.value, item.reference) if isinstance(item, Entry) else item.reason for item in items
    ]


PAGE = [("h.example/a", "page", "7")]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("id,URL\n7,h.example/a\n", {"url": "url", "reference": "id"}),
        ("# preamble\n# id,url\n7,h.example/a\n", {"url": "url", "reference": "id"}),
        ("id,url\n7,h.example/a\n", {"url": "2", "reference": "1"}),
        ("7,h.example/a\n", {"url": "2", "reference": "1"}),
        ("column1,column2\n7,h.example/a\n", {"url": "2", "reference": "1"}),
        ("id,url\n7,h.example/a\n", {"url": "2", "reference": "id"}),
        ("id,url\n7,h.example/a\n", {"reference": "id"}),
        ("id,url,host\n7,h.example/a,h.example\n", {"reference": "id"}),
        ("id;url\n7;h.example/a\n", {"reference": "id", "delimiter": ";"}),
        ("id\turl\n7\th.example/a\n", {"reference": "id", "delimiter": "\t"}),
        ('"id", "url"\n"7", "h.example/a"\n', {"reference": "id"}),
        ("\ufeffid,url\r\n7,h.example/a\r\n", {"reference": "id"}),
        ('id,note,url\n7,"said ""so"",\n# and more,\n",h.example/a\n', {"reference": "id"}),
    ],
)
def test_columns_are_found_by_name_or_number(text, columns):
    """In the header, in a comment before the rows, or by number from 1; a header is never an entry."""
    assert said(text, **columns) == PAGE


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("id,link\n7,h.example/a\n", {}),
        ("id,url\n7,h.example/a\n", {"url": "link"}),
        ("id,url\n7,h.example/a\n", {"url": "url", "not_after": "until"}),
        ("7,h.example/a\n", {"url": "3"}),
        ("7,h.example/a\n", {"url": "0"}),
        ("url,url\nh.example/a,h.example/b\n", {"url": "url"}),
        ("# id,url\nx\n", {"url": "link"}),
    ],
)
def test_without_a_mapped_column_there_are_no_entries(text, columns):
    """One bad line, so that the gate refuses the list, rather than entries without what bounds them."""
    (reason,) = said(text, **columns)
    assert reason.startswith("no column")


def test_names_are_read_as_domain_lists_are():
    """And a name beside a URL is that of its host: the URL alone counts."""
    text = "url,host\n,a.example\n,*.b.example\nh.example/a,h.example\n,\n"
    assert said(text, url="url", domain="host") == [
        ("a.example", "tree", ""), ("b.example", "below", ""), ("h.example/a", "page", ""), "neither URL nor name",
    ]  # fmt: skip


def test_an_unquoted_comma_never_cuts_a_url():
    """A row with another number of fields is bad, not a shorter URL."""
    assert said("url,note\nh.example/a,b,x\nh.example/a\n") == ["3 fields in place of 2", "1 fields in place of 2"]


def test_moments_are_utc_unless_they_say():
    """ISO 8601, with `T` or a space, with or without a time."""
    text = "url,from,until\nh.example/a,2026-01-02,2026-01-02 03:04:05+02:00\n"
    columns = Columns(not_before="from", not_after="until")
    (entry,) = parse(text.encode().splitlines(keepends=True), Options(columns=columns))
    assert isinstance(entry, Entry)
    assert entry.not_before == datetime(2026, 1, 2, tzinfo=UTC)
    assert entry.not_after == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["soon", "2026-13-01", "01.02.2026", "1767225600", "0001-01-01T00:00:00+05:00"])
def test_a_moment_that_cannot_be_read_makes_the_row_bad(moment):
    """Without it the entry would hold for longer than its list says."""
    assert said(f"url,until\nh.example/a,{moment}\n", not_after="until") == ["a moment is written as ISO 8601 says"]


@pytest.mark.parametrize("territory", ["DE FR", "de;fr", "De|Fr", '"DE,FR"', '"de, fr"'])
def test_a_territory_counts_in_any_case(territory):
    """Spelled otherwise than the operator's own, an entry would never count, and nobody would notice."""
    lines = f"url,where\na.example/x,{territory}\n".encode().splitlines(keepends=True)
    (entry,) = parse(lines, Options(columns=Columns(territory="where")))
    assert isinstance(entry, Entry)
    settings = Settings.model_validate({"operator": {"territory": ["de", "fr"]}})
    assert entry.territories == {"DE", "FR"} == set(settings.operator.territory)


@pytest.mark.parametrize("reference", ["x" * 201, '"a\nb"', "\x1b[1m"])
def test_a_reference_is_a_short_printable_text(reference):
    """It stands in reports."""
    assert said(f"url,id\nh.example/a,{reference}\n", reference="id") == [
        "a reference is text of 200 characters at most"
    ]


def test_a_quote_that_is_never_closed_ends_the_list():
    """Behind it nobody knows what is a row; neither is more held than MAX_ROW_LINES lines."""
    text = 'url\nh.example/a\n"h.example/b\n' + "h.example/c\n" * 2 * MAX_ROW_LINES
    assert said(text) == [
        ("h.example/a", "page", ""), "a quoted field that is not closed; nothing behind it is read",
    ]  # fmt: skip


def test_bytes_that_are_no_text_inside_quotes_end_it_as_well():
    """The row cannot be told from what follows it."""
    found = list(parse([b"url\n", b'"h.example/a\n', b"\xff\n", b'"\n', b"h.example/b\n"], Options()))
    assert [(type(item), item.line) for item in found] == [(BadLine, 3), (BadLine, 2)]


@pytest.mark.parametrize("delimiter", ['"', "\n", "", "ab"])
def test_a_delimiter_that_parts_nothing_is_no_accident(delimiter):
    """Whatever the setting, bad lines and no exception."""
    assert not [item for item in said('url,"id"\nh.example/a,7\n', delimiter=delimiter) if isinstance(item, tuple)]


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.builds(Columns, url=st.sampled_from(["", "url", "1"]), not_after=st.sampled_from(["", "2", "9" * 5000])),
)
def test_any_bytes_are_entries_or_bad_lines(lines, columns):
    """Whatever a source holds, no exception, and no item without its line."""
    found = list(parse([b"url,until\n", *lines], Options(columns=columns)))
    assert all(1 <= item.line <= len(lines) + 1 for item in found)


@given(st.lists(st.sampled_from(['"', ",", "h.example/a", "\n", "\r", "#", " ", "2026-01-01", "\0"]), max_size=20))
def test_any_rows_are_entries_or_bad_lines(pieces):
    """Neither do pieces of real rows in any order raise anything."""
    list(parse([b"url,until\n", *"".join(pieces).encode().splitlines(keepends=True)], Options()))
