from __future__ import annotations

import pytest

from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.errors import SegmentError
from filterproxy.lists.changes import ids
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.files import write_segment
from filterproxy.lists.known import Shelf
from tests.policies import KEY
from tests.seals import SEALS

ENTRIES = [Entry(Kind.DOMAIN, "marked.example", Scope.TREE), Entry(Kind.KEYWORD, "markword", Scope.WORD)]
COMPILED = compile_segment("list:a", ENTRIES, KEY)


@pytest.fixture
def part(tmp_path):
    return write_segment(tmp_path, COMPILED, SEALS)


def test_a_segment_on_disk_says_what_was_compiled(tmp_path, part):
    """Its shares and the ids of its entries, of which none is shown."""
    known = Shelf(tmp_path).of(part, KEY)
    assert known.shares == COMPILED.shares
    found = known.ids()
    assert found is not None
    assert found.tolist() == ids(COMPILED.parts, KEY).tolist()
    assert "ids" not in repr(known)


def test_a_damaged_segment_says_nothing(tmp_path, part):
    """It is that one error; where it was known before, what it says is still known, and its ids are not."""
    shelf = Shelf(tmp_path)
    known = shelf.of(part, KEY)
    (tmp_path / part.file).write_bytes(b"damaged")
    assert known.ids() is None
    assert shelf.of(part, KEY).shares == COMPILED.shares
    with pytest.raises(SegmentError):
        Shelf(tmp_path).of(part, KEY)


def test_what_is_no_more_is_forgotten(tmp_path, part):
    """What is remembered does not grow with the number of refreshes."""
    shelf = Shelf(tmp_path)
    parts = [write_segment(tmp_path, COMPILED, SEALS) for _ in range(5)]
    for one in parts:
        shelf.note(one, COMPILED.shares, [part])
    assert len(shelf._shares) == 1
