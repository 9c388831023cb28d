"""Batches are remembered for as long as they could be handed in again."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import func, select, update

from filterproxy.core.totals import Total
from filterproxy.errors import StoreError
from filterproxy.store.schema import total_batches


def test_a_batch_is_forgotten_after_a_month(store, now):
    """The list of names does not grow for ever."""
    rows = [Total(date(2026, 3, 1), "a", "dns", "block", 1)]
    store.add_totals(rows, batch="old")
    with store._database.writing() as connection:
        connection.execute(update(total_batches).values(at=now.replace(year=2020)))
    store.add_totals(rows, batch="new")
    with store._database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(total_batches)) == 1


def test_a_batch_that_failed_may_be_handed_in_again(store):
    """What was not kept was not noted either."""
    good, bad = (Total(date(2026, 3, 1), name, "dns", "block", 1) for name in ("a", "b"))
    with store._database.writing() as connection:
        connection.exec_driver_sql("CREATE TRIGGER no BEFORE INSERT ON totals WHEN NEW.list_id = 'b' "
                                   "BEGIN SELECT RAISE(ABORT, 'no'); END")  # fmt: skip
    with pytest.raises(StoreError):
        store.add_totals([good, bad], batch="one")
    assert store.totals(good.day) == []
    assert store.add_totals([good], batch="one")
    assert store.totals(good.day) == [good]
