from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.lists.formats.lines import MAX_LINE
from tests.lists.formats.table import items, said

OURS, NO_NAME = "tree a.example", "bad: not a domain name"
OTHER = "not ours: an option that lists no names"
FORWARD = "not ours: a server to forward to"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("local=/a.example/", [OURS]),
        ("server=/a.example/", [OURS]),
        ("address=/a.example/", [OURS]),
        ("address=/a.example/#", [OURS]),
        ("address=/a.example/0.0.0.0", [OURS]),
        ("address=/a.example/127.0.0.1", [OURS]),
        ("address=/a.example/::", [OURS]),
        ("address=/a.example/::1", [OURS]),
        ("local=/A.Example./", [OURS]),
        ("local=/.a.example/", [OURS]),
        ("local = /a.example/  # why", [OURS]),
        ("local=/bücher.example/", ["tree xn--bcher-kva.example"]),
        ("local=/a.example/b.example/", [OURS, "tree b.example"]),
        ("address=/a.example/b,c/zip/#", [OURS, NO_NAME, "bad: a whole top-level domain"]),
        ("local=/*.a.example/", ["below a.example"]),
        ("local=/*a.example/", [r"host /a\.example$/"]),
        ("local=/*bücher.example/", [r"host /xn\-\-bcher\-kva\.example$/"]),
        ("server=/a.example/#", [f"@@{OURS}"]),
        ("local=/a.example/#", [f"@@{OURS}"]),
        ("server=/*.a.example/#", ["@@below a.example"]),
        ("server=/*a.example/#", ["not ours: an exception with a wildcard"]),
        ("server=/a.example/192.0.2.1", [FORWARD]),
        ("server=/a.example/127.0.0.1#5353", [FORWARD]),
        ("local=/a.example/192.0.2.1@eth0", [FORWARD]),
        ("server=192.0.2.1", [FORWARD]),
        ("address=/a.example/192.0.2.1", ["not ours: an address of its own: local data, which is not served"]),
        ("address=/a.example/b.example", ["bad: not an address"]),
        ("address=/#/0.0.0.0", ["bad: every name there is"]),
        ("address=/#/", ["bad: every name there is"]),
        ("local=/*/", ["bad: every name there is"]),
        ("local=/zip/", ["bad: a whole top-level domain"]),
        ("local=/*zip/", ["bad: a whole top-level domain"]),
        ("local=/192.0.2.1/", ["bad: an address where a name belongs"]),
        ("local=/*192.0.2.1/", ["bad: an address where a name belongs"]),
        ("local=/a*.example/", [NO_NAME]),
        ("local=/a.example b.example/", [NO_NAME]),
        ("local=//", ["not ours: names without a dot"]),
        ("address=/", ["bad: no / after the name"]),
        ("address=192.0.2.1", ["bad: no /name/"]),
        ("server=", ["bad: no /name/"]),
        ("addn-hosts=/etc/hosts.more", [OTHER]),
        ("conf-file=/etc/more.conf", [OTHER]),
        ("cname=a.example,b.example", [OTHER]),
        ("ipset=/a.example/set", [OTHER]),
        ("no-resolv", [OTHER]),
        ("a.example", ["bad: not an option of dnsmasq"]),
        ("0.0.0.0 a.example", ["bad: not an option of dnsmasq"]),
        ("# local=/a.example/", []),
    ],
)
def test_what_a_line_says(line, expected):
    """Names that get no answer of their own are listed with all below them, and nothing else is."""
    assert said("dnsmasq", line) == expected


def test_the_old_style_has_one_meaning():
    """A name that stands once for IPv4 and once for IPv6 is the same entry twice."""
    assert said("dnsmasq", "address=/a.example/0.0.0.0\naddress=/a.example/::\n") == [OURS, OURS]


def test_lines_keep_their_numbers():
    """A report leads to the line, also past a byte order mark, comments and carriage returns."""
    text = "\ufefflocal=/a.example/\r\n\r\n# c\r\nlocal=/b.example/c,d/\r\n"
    assert [item.line for item in items("dnsmasq", text)] == [1, 4, 4]


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.from_regex(rb"(local|server|address)=/[a-z*.#/0-9:]{1,20}"))),
    st.booleans(),
)
def test_any_bytes_give_items(lines, confidential):
    """Whatever a source holds, each name gives an item at most, and nothing raises."""
    found = items("dnsmasq", b"\n".join(lines), confidential=confidential)
    assert len(found) <= sum(line.count(b"/") + 1 + sum(map(line.count, (b"\r", b"\n"))) for line in lines)


@pytest.mark.parametrize("part", [b"/", b"a/", b"*", b".", b"a.", b" ", b"#", "ü/".encode()])
def test_the_longest_lines_cost_little(part):
    """No line, however made, costs more than its length."""
    for head in (b"", b"local=/", b"address=/a.example/", b"server"):
        before = time.process_time()
        items("dnsmasq", (head + part * MAX_LINE)[:MAX_LINE])
        assert time.process_time() - before < 1
