from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Entry, Scope
from filterproxy.lists.formats.lines import MAX_LINE
from tests.lists.formats.table import items, said

NO_NAME = "bad: not a domain name"
ALL = "bad: every name there is, or a whole top-level domain"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("*.a.example", "below a.example"),
        ("a.example", "exact a.example"),
        (".a.example", "tree a.example"),
        ("*.A.Example.", "below a.example"),
        ("*.a.example # why", "below a.example"),
        ("a.example\t# why", "exact a.example"),
        ("*.bücher.example", "below xn--bcher-kva.example"),
        ("192.0.2.1", "exact 192.0.2.1"),
        ("*.192.0.2.1", "bad: nothing is below an address"),
        ("ads*.a.example", r"host /^ads[^.]*\.a\.example$/"),
        ("*ads.a.example", r"host /^[^.]*ads\.a\.example$/"),
        ("A.*.example", r"host /^a\.[^.]+\.example$/"),
        ("ads.*", r"host /^ads\.[^.]+$/"),
        ("ads.*.*", r"host /^ads\.[^.]+\.[^.]+$/"),
        ("*.ads*.example", r"host /\.ads[^.]*\.example$/"),
        (".ads*.example", r"host /(?:^|\.)ads[^.]*\.example$/"),
        ("a*b*.example", r"host /^a[^.]*b[^.]*\.example$/"),
        ("bücher.*", r"host /^xn--bcher-kva\.[^.]+$/"),
        ("büch*.example", "not ours: a wildcard inside an internationalised label"),
        ("*", ALL),
        ("*.*", ALL),
        ("*.*.zip", ALL),
        ("ads*", ALL),
        ("*.zip", "bad: a whole top-level domain"),
        ("a**.example", NO_NAME),
        ("**.a.example", NO_NAME),
        ("*.", NO_NAME),
        ("a..*", NO_NAME),
        ("a.example/*", NO_NAME),
        ("a b.example", NO_NAME),
        ("||a.example^", NO_NAME),
    ],
)
def test_what_a_line_says(line, expected):
    """A star at the head is what is below, one elsewhere a part of one label, and no line covers everything."""
    assert said("wildcard", line) == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("*.a.example", "tree a.example"),
        ("a.example", "tree a.example"),
        (".a.example", "tree a.example"),
        ("*.192.0.2.1", "bad: nothing is below an address"),
        ("192.0.2.1", "exact 192.0.2.1"),
        ("ads*.example", r"host /(?:^|\.)ads[^.]*\.example$/"),
        ("*.ads*.example", r"host /(?:^|\.)ads[^.]*\.example$/"),
    ],
)
def test_with_subdomains_a_name_covers_all_below_it(line, expected):
    """`subdomains = true` makes a tree of each name, as publishers mean it who write `*.` for the name as well."""
    assert said("wildcard", line, subdomains=True) == [expected]


@pytest.mark.parametrize(
    ("line", "covered", "spared"),
    [
        ("ads*.a.example", "ads.a.example ads1.a.example", "ads.b.a.example x.ads.a.example ads.a.example.test"),
        ("a.*.example", "a.b.example", "a.example a.b.c.example x.a.b.example"),
        ("*.ads*.example", "x.ads1.example x.y.ads.example", "ads1.example xads.example"),
        ("ads.*", "ads.test ads.example", "ads.co.example myads.test"),
    ],
)
def test_a_star_stays_within_its_label(line, covered, spared):
    """A wildcard covers what it stands for, and no host with a label more or less."""
    (entry,) = items("wildcard", line)
    assert isinstance(entry, Entry)
    assert [host for host in covered.split() if not re.search(entry.value, host)] == []
    assert [host for host in spared.split() if re.search(entry.value, host)] == []


def test_lines_keep_their_numbers():
    """A report leads to the line, also past a byte order mark, comments and carriage returns."""
    assert [item.line for item in items("wildcard", "\ufeff*.a.example\r\n\r\n# c\r\na/b\r\n")] == [1, 4]


@given(st.lists(st.one_of(st.binary(max_size=60), st.from_regex(rb"[a-z*.\xc3\xbc-]{1,20}"))), st.booleans())
def test_any_bytes_give_an_item_a_line_at_most(lines, subdomains):
    """Whatever a source holds, nothing raises, and an entry is a name or an expression on hosts."""
    found = items("wildcard", b"\n".join(lines), subdomains=subdomains)
    assert len({item.line for item in found}) == len(found)
    assert all(
        item.scope in (Scope.EXACT, Scope.BELOW, Scope.TREE, Scope.HOST) for item in found if isinstance(item, Entry)
    )


@pytest.mark.parametrize("part", [b"*", b"*.", b"a*", b".", "ü.".encode(), b"a*b.", b" #"])
def test_the_longest_lines_cost_little(part):
    """No line, however made, costs more than its length."""
    before = time.process_time()
    items("wildcard", (part * MAX_LINE)[:MAX_LINE])
    assert time.process_time() - before < 1
