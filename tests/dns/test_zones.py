"""Conditional forwarding: whose question goes where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.cache import failure
from filterproxy.dns.zones import Zones
from tests.dns.rooms import Below, ask, question

ZONES = ("corp.example", "lab.corp.example", "10.in-addr.arpa", "intern")


def zones() -> tuple[Zones, dict[str, Below]]:
    rooms = {zone: Below(late=True) for zone in (*ZONES, "rest")}
    return Zones([(zone, rooms[zone]) for zone in ZONES], rooms["rest"]), rooms


@pytest.mark.parametrize(("name", "zone"), [
    ("corp.example", "corp.example"),
    ("CORP.Example", "corp.example"),
    ("a.b.corp.example", "corp.example"),
    ("lab.corp.example", "lab.corp.example"),
    ("x.LAB.corp.example", "lab.corp.example"),
    ("notlab.corp.example", "corp.example"),
    ("notcorp.example", "rest"),
    ("corp.example.com", "rest"),
    ("example", "rest"),
    ((), "rest"),
    ("intern", "intern"),
    ("1.2.3.10.in-addr.arpa", "10.in-addr.arpa"),
    ((b"x\x04corp", b"example"), "rest"),  # bytes of a length inside a label bound no label
    ((b"a.b", b"\xff", b"corp", b"example"), "corp.example"),
    ((b"x\x06intern",), "rest"),
])  # fmt: skip
def test_the_longest_zone_that_holds_a_name_is_asked(name, zone):
    """Label by label, whatever the case, and nobody else; its answer is handed on as it is."""
    room, rooms = zones()
    query = question(name)
    answer = ask(room, query, *rooms.values())
    assert {name: below.asked for name, below in rooms.items() if below.asked} == {zone: [query]}
    assert answer is rooms[zone].given[0]


LABEL = st.sampled_from([b"a", b"B", b"corp", b"\x01a", b"a\x01b", b"\xff"])


@given(
    st.lists(LABEL, max_size=5),
    st.lists(st.lists(st.sampled_from(["a", "b", "corp"]), min_size=1, max_size=4).map(".".join), unique=True),
)
def test_it_is_the_zone_that_comparing_labels_finds(labels, named):
    """The quick way by wire forms says the same as the plain one."""
    rooms = {zone: Below() for zone in named}
    rest = Below()
    ask(Zones(list(rooms.items()), rest), question(labels))
    lowered = [label.lower().decode("latin-1") for label in labels]
    holding = [zone for zone in named if lowered[-len(zone.split(".")) :] == zone.split(".")]
    expected = max(holding, key=lambda zone: zone.count("."), default=None)
    assert [zone for zone, below in rooms.items() if below.asked] == ([] if expected is None else [expected])
    assert bool(rest.asked) == (expected is None)


def test_without_zones_everything_goes_on():
    """A failure too, whatever it says."""
    below = Below({("a.example", "A"): failure(2, 23)})
    assert ask(Zones([], below), question("a.example")) is below.given[0]


@pytest.mark.parametrize("zone", ["a..example", f"{'a' * 64}.example", ".".join(["abcdefghi"] * 30)])
def test_a_zone_that_no_name_can_have_is_an_error(zone):
    """It would never be asked, and nobody would know."""
    with pytest.raises(ValueError, match="a label has"):
        Zones([(zone, Below())], Below())
