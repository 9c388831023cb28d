"""Vectors of TLS are read as far as they go, and no further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.gateway.vectors import UnreadableError, Vectors
from tests.gateway.hellos import vector


@given(st.binary(max_size=300), st.binary(max_size=9), st.sampled_from([2, 3]))
def test_a_vector_is_read_as_it_was_written(data, rest, size):
    """The bytes that its length says, and those behind it are left."""
    block = Vectors(vector(size, data) + rest)
    assert (block.vector(size), block.left, block.take(len(rest))) == (data, len(rest), rest)
    block.end()


@pytest.mark.parametrize(("data", "reads"), [
    (b"", lambda block: block.number(1)),
    (b"\1", lambda block: block.number(2)),
    (b"\2a", lambda block: block.vector(1)),
    (b"\1a", lambda block: block.vector(1, 2)),
    (b"\1", lambda block: block.end()),
])  # fmt: skip
def test_what_does_not_add_up_is_refused(data, reads):
    """An end that comes early, a vector below its least, and anything left."""
    with pytest.raises(UnreadableError):
        reads(Vectors(data))
