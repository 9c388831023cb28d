"""What people typed is unreadable without the key, and stays where it was put."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import StoreError
from filterproxy.store.sealing import Sealing, hash_secret, same

SEALING = Sealing(bytes(range(32)))


@given(st.text(), st.text(max_size=20), st.text(max_size=20))
def test_what_is_sealed_opens_as_it_was(text, column, row):
    """Any text comes back, from its own column and row."""
    kept = text.encode(errors="replace").decode()
    column, row = (name.encode(errors="replace").decode() for name in (column, row))
    assert SEALING.open(column, row, SEALING.seal(column, row, text)) == kept


def test_nothing_of_a_text_shows():
    """The same text sealed twice looks different, and neither holds it."""
    first, second = (SEALING.seal("a.b", "1", "a.example") for _ in range(2))
    assert first != second
    assert b"example" not in first


@pytest.mark.parametrize(("column", "row"), [("a.c", "1"), ("a.b", "2"), ("a", ".b1"), ("", "a.b1"), ("a.b1", "")])
def test_a_sealed_text_belongs_to_its_column_and_row(column, row):
    """Moved to another place it does not open, and the error names only the place."""
    sealed = SEALING.seal("a.b", "1", "secret.example")
    with pytest.raises(StoreError) as caught:
        SEALING.open(column, row, sealed)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=64))
def test_damaged_bytes_are_a_store_error(sealed):
    """Whatever the column holds, it opens or is a StoreError."""
    with pytest.raises(StoreError):
        SEALING.open("a.b", "1", sealed)


def test_another_key_opens_nothing():
    """A text sealed under one key does not open under another."""
    with pytest.raises(StoreError):
        Sealing(bytes(32)).open("a.b", "1", SEALING.seal("a.b", "1", "x"))


def test_a_hash_is_that_of_one_receipt_and_one_secret():
    """The hash changes with either, and where one ends and the other begins counts."""
    hashes = {hash_secret(*pair) for pair in [("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab")]}
    assert len(hashes) == 5
    assert same(hash_secret("a", "b"), hash_secret("a", "b"))
    assert not same(hash_secret("a", "b"), hash_secret("a", "c"))
