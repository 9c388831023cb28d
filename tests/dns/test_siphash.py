"""SipHash-2-4 as its authors defined it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(("length", "expected"), [
    (0, "310e0edd47db6f72"),
    (15, "e545be4961ca29a1"),
])  # fmt: skip
def test_the_vectors_of_the_paper_and_its_reference_come_out(length, expected):
    """Of the message 00 01 02 ... under the key 00 01 ... 0f."""
    assert siphash(KEY, bytes(range(length))).hex() == expected


@given(st.binary(max_size=80), st.binary(min_size=16, max_size=16))
def test_any_message_has_a_hash_of_8_bytes(message, key):
    """And a byte more is another message."""
    assert len(siphash(key, message)) == 8
    assert siphash(key, message) != siphash(key, message + b"\0")
