from __future__ import annotations

import pytest

from filterproxy.core.bundle import Shares
from filterproxy.core.model import BadLine, Entry, Kind, Scope
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
