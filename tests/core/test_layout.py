from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.layout import MAGIC, START, header_of, join, layout, padding, split
from filterproxy.errors import SegmentError

PARTS = st.dictionaries(st.text("abc", min_size=1), st.binary(max_size=50), max_size=5)


@given(PARTS, st.text(max_size=30))
def test_what_is_joined_is_split_the_same(parts, text):
    """Header and parts survive, each part at a multiple of eight."""
    buffer = join({"name": text}, parts)
    header, found = split(memoryview(buffer))
    assert header == {"name": text}
    assert {name: bytes(view) for name, view in found.items()} == parts
    at = len(layout(header, {name: len(part) for name, part in parts.items()}))
    for part in parts.values():
        assert at % 8 == 0
        assert buffer[at : at + len(part)] == part
        at += len(part) + len(padding(len(part)))
    assert at == len(buffer)


@given(PARTS, st.integers(1, 40))
def test_what_is_cut_short_or_longer_is_no_segment(parts, more):
    """There is one length that the parts have together."""
    buffer = join({}, parts)
    for wrong in (buffer[: -min(more, len(buffer))], buffer + bytes(more)):
        with pytest.raises(SegmentError):
            split(memoryview(wrong))


@given(PARTS, st.data())
def test_a_damaged_header_is_that_one_error_or_still_a_header(parts, data):
    """Nothing else is ever raised, whatever byte has changed."""
    buffer = bytearray(join({"name": "a"}, parts))
    buffer[data.draw(st.integers(0, len(buffer) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(SegmentError):
        split(memoryview(bytes(buffer)))


@pytest.mark.parametrize("text", [
    b"", b"[]", b"null", b"{}", b'{"parts":1}', b'{"parts":{"a":-8}}', b'{"parts":{"a":8.0}}', b'{"parts":{"a":true}}',
    b'{"parts":{"a":"8"}}', b"[" * 100_000, b"\xff",
])  # fmt: skip
def test_sizes_are_whole_numbers(text):
    """A header that says anything else of its parts is none."""
    with pytest.raises(SegmentError):
        header_of(text, 8)


def test_another_version_is_said_to_be_one():
    """What an earlier product wrote is told from what was cut."""
    with pytest.raises(SegmentError, match="version"):
        split(memoryview(MAGIC.replace(b"\x03", b"\x02") + bytes(START)))
