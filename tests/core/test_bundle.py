from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core import bundle as room
from filterproxy.core.bundle import Bundle, Segment
from filterproxy.core.layout import MAGIC, join
from filterproxy.errors import SegmentError
from filterproxy.lists.compile import compile_segment
from tests.policies import KEY, entries, table

COMPILED = compile_segment("list:a", entries(table("a", "urls"), ["h.example/a?x", "http://g.example/"]), KEY)
BUFFER = join(COMPILED.header, COMPILED.parts)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_segment(content):
    """Whatever lies in a file, mapping it is a segment or that one error."""
    with pytest.raises(SegmentError):
        Segment.from_buffer(memoryview(MAGIC[:3] + content))


@given(st.integers(0, len(BUFFER) - 1))
def test_a_segment_that_is_cut_short_is_refused(size):
    """A file that was not written whole is never adopted."""
    with pytest.raises(SegmentError):
        Segment.from_buffer(memoryview(BUFFER[:size]))


@given(st.integers(0, len(BUFFER) - 1), st.integers(1, 255))
def test_a_changed_byte_never_raises_anything_else(place, change):
    """Damage is that one error or a segment; what it then says is for the digest of the file to refuse."""
    damaged = bytearray(BUFFER)
    damaged[place] ^= change
    with suppress(SegmentError):
        Segment.from_buffer(memoryview(bytes(damaged)))


def test_the_memo_is_bounded_and_changes_nothing(monkeypatch):
    """Looking a host up again gives the same, also when the memo was emptied in between."""
    monkeypatch.setattr(room, "MEMO_HOSTS", 10)
    bundle = Bundle([COMPILED.segment()], KEY)
    first = bundle.host("h.example")
    for number in range(100):
        assert bundle.host(f"x{number}.example") == {}
        assert len(bundle._memo) <= 10
    assert bundle.host("h.example") == first != {}


def test_no_address_is_in_the_buffer_in_clear():
    """A segment holds digests: whoever reads it learns no listed address."""
    assert b"h.example" not in BUFFER
    assert b"g.example" not in BUFFER
