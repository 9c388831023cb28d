"""Which names are judged: hosts as lists spell them, and for what no list can spell its nearest parent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core import names as core
from filterproxy.dns.names import UNSPELLABLE, judged, judged_as, served
from filterproxy.dns.records import wire_name

ODD = UNSPELLABLE


@pytest.mark.parametrize(("labels", "name"), [
    ((b"WWW", b"Example"), "www.example"),
    ((b"_dmarc", b"a_b", b"example"), "_dmarc.a_b.example"),
    ((b"xn--bcher-kva", b"example"), "xn--bcher-kva.example"),
    (("bücher".encode(), b"example"), "xn--bcher-kva.example"),
    ((b"192", b"0", b"2", b"1"), "192.0.2.1"),
    ((b"*", b"example"), "*.example"),
    ((b"a.b", b"example"), f"{ODD}.example"),
    ((b"%61", b"example"), f"{ODD}.example"),
    ((b"x", b"\xff", b"y", b"example"), f"{ODD}.y.example"),
    ((b"\xc2\xad", b"example"), f"{ODD}.example"),  # a soft hyphen, which the parser drops
    (("a。b".encode(), b"example"), f"{ODD}.example"),  # a dot to the parser, and none to DNS
    ((b"\xff", b"192", b"0", b"2", b"1"), None),
    ((b"example", b"1"), None),
    ((b"1",), None),  # 0.0.0.1 to the parser
    ((b"\xff",), None),
    ((), None),
])  # fmt: skip
def test_a_name_is_judged_in_the_spelling_of_lists(labels, name):
    """Every label bounds a label, whatever it holds."""
    assert judged(labels) == name
    assert judged_as(wire_name(labels)) == name


LABEL = st.one_of(
    st.binary(min_size=1, max_size=9), st.sampled_from([b"www", b"a.b", b"Example", b"xn--bcher-kva", b"_tcp", b"1"])
)


@given(st.lists(LABEL, max_size=5).map(tuple))
def test_the_quick_way_to_judge_a_name_finds_the_same(labels):
    """Also where a label holds a dot, as no host does."""
    assert judged_as(wire_name(labels)) == judged(labels)


@given(st.lists(st.binary(min_size=1, max_size=63), min_size=1, max_size=5).map(tuple))
def test_whatever_is_judged_is_canonical(labels):
    """A judged name is its own canonical spelling, so that it meets the entries of lists."""
    name = judged(labels)
    assert name is None or core.host(name) == name


def test_what_stands_for_odd_labels_is_a_host():
    """Else what lies below a listed name could not be found there."""
    assert core.host(f"{ODD}.example") == f"{ODD}.example"


@pytest.mark.parametrize(("labels", "host"), [
    ((b"_8443", b"_https", b"example"), "example"),
    ((b"_dns", b"a_b", b"_c", b"example"), "a_b._c.example"),
    ((b"www", b"_tcp", b"example"), None),
    ((b"_tcp",), None),
    ((), None),
])  # fmt: skip
def test_a_service_belongs_to_the_host_behind_its_underscores(labels, host):
    """Labels that begin so name a port and a protocol, where they stand first."""
    assert served(labels) == host


SPELLABLE = st.sampled_from(
    [b"a", b"x-1", b"_b", "ü".encode(), b"xn--bcher-kva", b"0", b"\xff", b"a.b", b"xn--0", b"7"]
)


@given(st.lists(SPELLABLE, min_size=1, max_size=8).map(tuple))
def test_the_parent_judged_is_the_nearest_that_can_be_spelled(labels):
    """Though only a few are tried: what can be spelled ends in what can be spelled."""
    spelled = [judged(labels[at:]) for at in range(len(labels))]
    nearest = next((name for name in spelled if name is not None and not name.startswith(ODD)), None)
    if nearest is None or core.is_address(nearest):
        assert spelled[0] in (None, nearest)
    else:
        assert spelled[0] in (nearest, f"{ODD}.{nearest}")
        assert spelled[0] == nearest or nearest.count(".") < len(labels) - 1
