from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.membership import TREE, Facts, Membership, digest
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.errors import SegmentError
from filterproxy.lists.compile import compile_segment

KEY = b"k" * 32
NAMES = st.from_regex(r"[a-z]{1,6}\.(test|example)", fullmatch=True)


def membership(names):
    """Compile names as a domain list and return its index."""
    found = [Entry(Kind.DOMAIN, name, Scope.TREE) for name in names]
    return compile_segment("list:a", found, KEY).segment().membership


@given(st.sets(NAMES, max_size=200), NAMES)
def test_a_name_is_found_where_it_was_put_and_nowhere_else(names, other):
    """Every entry is found, nothing else is, whatever the number of buckets."""
    index = membership(names)
    assert len(index) == len(names)
    assert all(index.find(digest(name, KEY)) for name in names)
    assert bool(index.find(digest(other, KEY))) == (other in names)


def test_a_digest_is_compared_whole():
    """Half a digest in common is no match."""
    index = membership(["a.test"])
    high, low = digest("a.test", KEY)
    assert index.find((high, low))
    assert not index.find((high, low ^ 1))
    assert not index.find((high ^ 1, low))


def test_another_key_finds_nothing():
    """A stolen index says nothing about a name without the key of its installation."""
    assert not membership(["a.test"]).find(digest("a.test", b"x" * 32))


def test_many_buckets_find_as_few_do():
    """Bucket offsets of a large list lead to each of its rows."""
    names = [f"b{number}.test" for number in range(20_000)]
    index = membership(names)
    assert all(index.find(digest(name, KEY))[0][0] == TREE for name in names[::97])
    assert not any(index.find(digest(f"c{number}.test", KEY)) for number in range(1000))


def test_arrays_that_do_not_belong_together_are_refused():
    """A damaged segment is an error when it is mapped, not a wrong answer later."""
    q, b, i = memoryview(array("Q", [1])), memoryview(array("B", [1])), memoryview(array("I", [0, 2]))
    none = memoryview(array("I"))
    with pytest.raises(SegmentError):
        Membership(q, q, b, i, none, none, ())
    with pytest.raises(SegmentError):
        Membership(q, q, b, memoryview(array("I", [0, 0, 1, 1])), none, none, ())
    with pytest.raises(SegmentError):
        Membership(q, q, b, memoryview(array("I", [0, 1])), i, i, (Facts(),))
