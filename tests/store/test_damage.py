"""What is damaged is passed over and told once."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest

from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.errors import StoreError


def tell(path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("harm", [
    "UPDATE appeals SET message = x'00' WHERE receipt = '{}'",
    "UPDATE appeals SET state = 'lost' WHERE receipt = '{}'",
    "UPDATE appeal_moves SET note = x'00' WHERE receipt = '{}'",
])  # fmt: skip
def test_a_damaged_appeal_hides_no_other(store, path, now, caplog, harm):
    """The queue shows the rest; the damaged one is an error for who asks for it, and told once by its number."""
    bad, good = (store.file_appeal(f"{name}.example", now, message="words") for name in "ab")
    store.move(bad.receipt, State.TRIAGED, "Ann", "a note", now)
    tell(path, harm.format(bad.receipt))
    for _ in range(3):
        assert [row.receipt for row in store.appeals()] == [good.receipt]
    with pytest.raises(StoreError):
        store.appeal(bad.receipt)
    assert store.appeal(good.receipt).message == "words"
    assert [record.getMessage().partition(" is ")[0] for record in caplog.records] == [f"appeal {bad.receipt}"]
    assert "example" not in caplog.text


@pytest.mark.parametrize(("column", "in_force"), [("entry", 2), ("reference", 2), ("reason", 3)])
def test_a_damaged_override_hides_no_other(store, path, now, caplog, column, in_force):
    """It spares nothing, where what it spares cannot be read; why it was made is not even opened."""
    rows = [
        store.add_override(
            Listing("own"), Entry(Kind.DOMAIN, f"{name}.example", Scope.EXACT, Action.ALLOW), by="Ann", reason="",
            expires_at=now + timedelta(days=9), now=now,
        )
        for name in "abc"
    ]  # fmt: skip
    tell(path, f"UPDATE overrides SET {column} = x'00' WHERE id = '{rows[0].id}'")
    for _ in range(3):
        assert len(store.overrides(now)) == in_force
        assert len(store.override_rows()) == 2
    with pytest.raises(StoreError):
        store.revoke_override(rows[0].id, now)
    assert len(caplog.records) == 1
    assert rows[0].id in caplog.text
