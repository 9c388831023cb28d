from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.lists.formats.lines import MAX_LINE
from tests.lists.formats.table import items, said

OURS, NO_NAME = "exact a.example", "bad: not a domain name"
LOCAL_DATA = "not ours: an address of its own: local data, which is not served"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0.0.0.0 a.example", [OURS]),
        ("127.0.0.1\tA.Example.", [OURS]),
        ("127.0.0.53   a.example", [OURS]),
        (":: a.example", [OURS]),
        ("::1 a.example", [OURS]),
        ("0:0:0:0:0:0:0:1 a.example", [OURS]),
        ("::ffff:127.0.0.1 a.example", [OURS]),
        ("0 a.example", [OURS]),
        ("0.0.0.0 a.example b.example c.example", [OURS, "exact b.example", "exact c.example"]),
        ("0.0.0.0 a.example # b.example", [OURS]),
        ("0.0.0.0 a.example#b.example", [OURS]),
        ("0.0.0.0 a.example  ## why", [OURS]),
        ("0.0.0.0 bücher.example", ["exact xn--bcher-kva.example"]),
        ("0.0.0.0 a_b.example", ["exact a_b.example"]),
        ("192.0.2.1 a.example b.example", [LOCAL_DATA]),
        ("fe80::1%lo0 a.example", [LOCAL_DATA]),
        ("127.0.0.1 localhost", []),
        ("127.0.0.1 LOCALHOST localhost.localdomain a.example", [OURS]),
        ("::1 ip6-localhost ip6-loopback localhost6.localdomain6", []),
        ("fe80::1%lo0 localhost", []),
        ("255.255.255.255 broadcasthost", []),
        ("ff02::1 ip6-allnodes", []),
        ("0.0.0.0 0.0.0.0", []),
        ("0.0.0.0 192.0.2.1", ["bad: an address where a name belongs"]),
        ("0.0.0.0 a.example b,c.example http://d.example e.example", [OURS, NO_NAME, NO_NAME, "exact e.example"]),
        ("0.0.0.0 *.a.example", [NO_NAME]),
        ("0.0.0.0 zip", ["bad: a whole top-level domain"]),
        ("a.example", ["bad: no address before the names"]),
        ("a.example b.example", ["bad: no address before the names"]),
        ("0.0.0.0", ["bad: no name after the address"]),
        ("0.0.0.0 # a.example", ["bad: no name after the address"]),
        ("# 0.0.0.0 a.example", []),
        ("", []),
    ],
)
def test_what_a_line_says(line, expected):
    """An address that leads nowhere lists the names after it, each by itself, and nothing else does."""
    assert said("hosts", line) == expected


def test_subdomains():
    """Names cover what is below them only where the list says so."""
    assert said("hosts", "0.0.0.0 a.example\n", subdomains=True) == ["tree a.example"]
    assert said("hosts", "0.0.0.0 a.example\n", subdomains=False) == [OURS]


def test_every_item_has_the_number_of_its_line():
    """A report leads to the line, also past a byte order mark, empty lines and carriage returns."""
    text = "\ufeff0.0.0.0 a.example\r\n\r\n# c\r\n0.0.0.0 b.example c,d e.example\r\n"
    assert [item.line for item in items("hosts", text)] == [1, 4, 4, 4]


def test_a_confidential_list_keeps_its_text():
    """Neither a bad line nor one that cannot be enforced shows its text where the list is confidential."""
    found = items("hosts", "0.0.0.0 a,b\n192.0.2.1 a.example\na.example\n", confidential=True)
    assert [(item.line, getattr(item, "text", None)) for item in found] == [(1, ""), (2, ""), (3, "")]


@given(
    st.lists(st.one_of(st.binary(max_size=80), st.from_regex(rb"(0\.0\.0\.0|::1|[0-9.:]{1,9})( [a-z.*,-]{1,9}){0,4}")))
)
def test_any_bytes_give_items(lines):
    """Whatever a source holds, each word gives an item at most, and nothing raises."""
    found = items("hosts", b"\n".join(lines))
    assert len(found) <= sum(len(line) for line in lines)


@pytest.mark.parametrize(
    "line", [b"0.0.0.0" + b" a" * 32_000, b"0.0.0.0 " + b"a." * 32_000, b"0" * MAX_LINE, b"#" * MAX_LINE]
)
def test_the_longest_lines_cost_little(line):
    """No line, however made, costs more than its length."""
    before = time.process_time()
    items("hosts", line)
    assert time.process_time() - before < 1
