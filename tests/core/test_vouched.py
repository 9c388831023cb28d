"""Whose a tunnel is, under a MAC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.vouched import vouch, vouched

KEY, PLACE, NOW = b"k" * 32, "a.example:443", 1_800_000_000.0


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_what_was_vouched_for_is_believed(address):
    """For about a minute either way: clocks of one machine are one, but a minute ends while one speaks."""
    said = vouch(KEY, address, PLACE, NOW)
    assert [vouched(KEY, said, PLACE, NOW + late) for late in (-60, 0, 60)] == [address] * 3


@pytest.mark.parametrize(("key", "place", "late"), [
    (b"x" * 32, PLACE, 0), (KEY, "b.example:443", 0), (KEY, "a.example:80", 0), (KEY, PLACE, 180), (KEY, PLACE, -180),
])  # fmt: skip
def test_nobody_else_is(key, place, late):
    """Under another key, for another place, at another time."""
    assert vouched(key, vouch(KEY, "192.0.2.1", PLACE, NOW), place, NOW + late) is None


@given(st.one_of(st.binary(max_size=300), st.text(max_size=60).map(str.encode)))
def test_whatever_else_is_said_is_not_believed(value):
    """Nor does it do any harm."""
    assert vouched(KEY, value, PLACE, NOW) is None


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_word_is_not_believed(at, change):
    """Not one bit of it."""
    said = bytearray(vouch(KEY, "192.0.2.1", PLACE, NOW))
    said[at % len(said)] ^= change
    assert vouched(KEY, bytes(said), PLACE, NOW) is None
