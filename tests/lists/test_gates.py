from __future__ import annotations

import pytest

from filterproxy.core.bundle import Shares
from filterproxy.core.model import BadLine, Entry, Kind, Scope, Unenforceable
from filterproxy.errors import SourceError
from filterproxy.lists import gates


@pytest.mark.parametrize(
    ("new", "previous", "refused"),
    [
        (Shares(), None, "no entry"),
        (Shares(), Shares(urls=3), "no entry"),
        (Shares(urls=3, bad_lines=11), None, "bad lines"),
        (Shares(urls=3, bad_lines=3), None, None),
        (Shares(urls=100), Shares(urls=10), "10 times"),
        (Shares(urls=99), Shares(urls=10), None),
        (Shares(urls=40), Shares(urls=4), None),
        (Shares(urls=74), Shares(urls=100), "cut short"),
        (Shares(urls=75), Shares(urls=100), None),
        (Shares(urls=99, unended=1), Shares(urls=100), "no end"),
        (Shares(urls=2, unended=1), Shares(urls=3), "no end"),
        (Shares(urls=2, unended=1), Shares(urls=3, unended=1), None),
        (Shares(urls=3, unended=1), Shares(urls=3), None),
        (Shares(urls=1), Shares(urls=40), None),
    ],
)
def test_what_is_empty_foreign_or_far_from_the_last_one_is_refused(new, previous, refused):
    """The reason stands in the error; small lists may change as a person edits them."""
    if refused is None:
        gates.check(new, previous)
    else:
        with pytest.raises(SourceError, match=refused):
            gates.check(new, previous)


def test_a_flood_is_refused_while_it_is_read():
    """Neither an endless list nor an endless file of something else fills memory first."""
    entry, bad = Entry(Kind.DOMAIN, "a.example", Scope.TREE), BadLine(1, "no")
    flood = gates.Flood(3)
    for _ in range(3):
        flood.add(entry)
    with pytest.raises(SourceError, match="max_entries"):
        flood.add(entry)
    flood = gates.Flood(3)
    for _ in range(gates.MANY_BAD_LINES):
        flood.add(bad)
    with pytest.raises(SourceError, match="bad lines"):
        flood.add(bad)


@pytest.mark.parametrize(
    ("new", "previous", "removed", "limits", "refused"),
    [
        (Shares(urls=100), Shares(urls=100), 26, gates.Limits(), "26 of 100 entries are gone at once"),
        (Shares(urls=100), Shares(urls=100), 25, gates.Limits(), None),
        (Shares(urls=40), Shares(urls=40), 40, gates.Limits(), None),
        (Shares(urls=100), Shares(urls=100), 60, gates.Limits(removed=0.6), None),
        (Shares(urls=45), Shares(urls=100), 55, gates.Limits(removed=0.6), None),
        (Shares(urls=200), Shares(urls=100), 0, gates.Limits(growth=2), "2 times larger"),
        (Shares(urls=9), None, 0, gates.Limits(least=10), "fewer than min_entries"),
        (Shares(urls=7, quarantined=3), None, 0, gates.Limits(least=10), None),
        (Shares(quarantined=1), None, 0, gates.Limits(), None),
        (Shares(urls=60, quarantined=40), Shares(urls=100), 40, gates.Limits(), None),
        (Shares(urls=60, quarantined=40), Shares(urls=100), 70, gates.Limits(), "30 of 100"),
        (Shares(urls=10, quarantined=200), Shares(urls=10, quarantined=200), 0, gates.Limits(), None),
        (Shares(urls=9, unended=1), Shares(urls=9), 1, gates.Limits(), "no end, and 1 entries are gone"),
        (Shares(urls=10, unended=1), Shares(urls=9), 0, gates.Limits(), None),
        (Shares(bad_lines=3), None, 0, gates.Limits(), "no entry in it, but 3 bad lines"),
        (Shares(urls=5, unenforceable=10, bad_lines=11), None, 0, gates.Limits(), None),
    ],
)
def test_a_list_keeps_to_its_own_limits(new, previous, removed, limits, refused):
    """How much may go at once counts also where as much has come; what is in quarantine is not gone."""
    if refused is None:
        gates.check(new, previous, removed, limits)
    else:
        with pytest.raises(SourceError, match=refused):
            gates.check(new, previous, removed, limits)


def test_lines_that_nobody_can_enforce_are_no_flood():
    """An AdBlock list may hold any number of rules for browsers."""
    flood = gates.Flood(3)
    for _ in range(3 * gates.MANY_BAD_LINES):
        flood.add(Unenforceable(1, "no"))
