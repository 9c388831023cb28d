"""Totals, added by many and read by day, over both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

from filterproxy.core.totals import Total

DAY = date(2026, 3, 1)


def test_counts_of_one_day_add_up(store):
    """What several nodes count for one list, frontend and action is one total; others stay apart."""
    store.add_totals([Total(DAY, "a", "dns", "block", 3), Total(DAY, "a", "http", "block", 1)])
    store.add_totals([Total(DAY, "a", "dns", "block", 4), Total(DAY, "", "dns", "allow", 5_000_000_000)])
    assert store.totals(DAY) == [
        Total(DAY, "", "dns", "allow", 5_000_000_000),
        Total(DAY, "a", "dns", "block", 7),
        Total(DAY, "a", "http", "block", 1),
    ]


def test_totals_are_read_from_day_to_day(store):
    """Both ends are included, later days are not told."""
    rows = [Total(DAY + timedelta(days=n), "a", "dns", "block", n) for n in range(4)]
    store.add_totals(rows)
    assert store.totals(DAY + timedelta(days=2)) == rows[:3]
    assert store.totals(DAY + timedelta(days=2), since=DAY + timedelta(days=1)) == rows[1:3]
    assert store.totals(DAY - timedelta(days=1)) == []


def test_a_batch_counts_once(store):
    """A journal handed in again after a crash adds nothing."""
    rows = [Total(DAY, "a", "dns", "block", 3)]
    assert store.add_totals(rows, batch="node-1/7")
    assert not store.add_totals(rows, batch="node-1/7")
    assert store.add_totals(rows, batch="node-1/8")
    assert store.totals(DAY) == [Total(DAY, "a", "dns", "block", 6)]


def test_many_nodes_add_at_once_and_nothing_is_lost(opened):
    """Counts added in different orders by several processes neither block each other nor get lost."""
    stores = [opened() for _ in range(4)]
    rows = [Total(DAY, name, "dns", "block", 1) for name in "abcdef"]

    def add(number: int) -> None:
        for _ in range(5):
            stores[number].add_totals(rows if number % 2 else rows[::-1])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert {row.count for row in stores[0].totals(DAY)} == {20}
