from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import BadLine, Entry, Unenforceable
from filterproxy.lists.formats import Options
from filterproxy.lists.formats.rpz import parse

SOA = "@ SOA ns. root. 1 2 3 4 5\n"


def said(text, **options):
    """Return what a zone says: (value, scope, action), or the reason why a record says nothing."""
    items = parse(text.encode().splitlines(keepends=True), Options(**options))
    return [
        (item.value, item.scope.value, item.action.value) if isinstance(item, Entry) else item.reason for item in items
    ]


@pytest.mark.parametrize(
    ("record", "meaning"),
    [
        ("x.example CNAME .", ("x.example", "exact", "block")),
        ("*.x.example CNAME .", ("x.example", "below", "block")),
        ("x.example CNAME *.", ("x.example", "exact", "block")),
        ("x.example CNAME rpz-drop.", ("x.example", "exact", "block")),
        ("x.example CNAME RPZ-Passthru.", ("x.example", "exact", "allow")),
        ("*.x.example CNAME rpz-passthru.", ("x.example", "below", "allow")),
        ("x.example CNAME x.example.", ("x.example", "exact", "allow")),
        ("x.example CNAME x.example", "local data"),  # relative: x.example below the zone
        ("*.x.example CNAME *.x.example.", "local data"),
        ("x.example CNAME rpz-drop", "local data"),
        ("x.example CNAME rpz-tcp-only.", "TCP only"),
        ("x.example HTTPS 1 . alpn=h2", "local data"),
        ("8.0.0.0.10.rpz-ip CNAME .", "a trigger of the kind rpz-ip"),
        ("x.example.rpz-nsdname CNAME rpz-passthru.", "a trigger of the kind rpz-nsdname"),
    ],
)
def test_a_rule_means_what_the_draft_says(record, meaning):
    """Triggers and actions of query names are entries; all others are understood and not bent into one."""
    assert said(SOA + record) == [meaning]


@pytest.mark.parametrize("between", ["CNAME", "IN CNAME", "60 CNAME", "60 IN CNAME", "in 1h30m cname", "\t1D\tCNAME"])
def test_a_ttl_and_a_class_may_stand_before_the_type(between):
    """RFC 1035, section 5.1, in either order and in any case."""
    assert said(f"x.example {between} .") == [("x.example", "exact", "block")]


@pytest.mark.parametrize(
    ("head", "owner", "meaning"),
    [
        (SOA, "x.example", "x.example"),
        ("$ORIGIN rpz.test.\n" + SOA, "x.example", "x.example"),
        ("$ORIGIN rpz.test.\n", "x.example.rpz.test.", "x.example"),
        ("rpz.test. SOA ns. root. 1 2 3 4 5\n", "x.example.RPZ.test.", "x.example"),
        ("rpz.test. SOA ns. root. 1 2 3 4 5\n$ORIGIN example.rpz.test.\n", "x", "x.example"),
        ("$ORIGIN test.\nrpz SOA ns. root. 1 2 3 4 5\n$ORIGIN rpz\n", "x.example", "x.example"),
        (". SOA ns. root. 1 2 3 4 5\n", "x.example.", "x.example"),
        ("rpz.test. SOA ns. root. 1 2 3 4 5\n", "x.example.", None),
        ("rpz.test. SOA ns. root. 1 2 3 4 5\n", "x.notrpz.test.", None),
        (SOA, "x.example.", None),
        ("$ORIGIN .\n", "x.example", None),
    ],
)
def test_an_owner_is_read_relative_to_its_zone(head, owner, meaning):
    """The apex is taken off; what lies outside, or nobody knows where, is never an entry."""
    found = [item for item in said(f"{head}{owner} CNAME .\n") if isinstance(item, tuple)]
    assert found == ([] if meaning is None else [(meaning, "exact", "block")])


def test_after_a_bad_line_nobody_owns_the_next():
    """A blank owner is the one before, and only where that one could be read."""
    text = 'a.example CNAME .\n TXT "a"\nb.example TXT "open\n CNAME .\nc..example CNAME .\n CNAME .\n'
    assert said(text) == [
        ("a.example", "exact", "block"), "local data", "a quote or parenthesis without its counterpart", "no owner",
        "an owner that is no name", "no owner",
    ]  # fmt: skip


def test_the_first_record_has_an_owner():
    """White space before the first record leaves it without one."""
    assert said(" CNAME .\n") == ["no owner"]


def test_a_record_over_lines_is_of_its_first():
    """Whoever reads the report finds where the record begins."""
    (item,) = parse([b"x.example CNAME ( ; why\n", b"rpz-tcp-only.\n", b")\n"], Options())
    assert isinstance(item, Unenforceable)
    assert item.line == 1


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_items(lines):
    """Whatever a zone holds, no exception, and no item without its line."""
    assert all(1 <= item.line <= len(lines) for item in parse(lines, Options()))


PIECES = [
    "x.example", "*", "@", "$ORIGIN", "$TTL", ".", "*.", "CNAME", "SOA", "IN", "60", "(", ")", '"', "\\", ";", " ",
    "\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_any_zone_is_items(pieces):
    """Neither do pieces of real zones in any order raise anything, and each line says one thing at most."""
    lines = "".join(pieces).encode().splitlines(keepends=True)
    found = list(parse(lines, Options(confidential=True)))
    assert len({item.line for item in found}) == len(found)
    assert all(not item.text for item in found if isinstance(item, BadLine | Unenforceable))
