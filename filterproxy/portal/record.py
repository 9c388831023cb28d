"""The public record: what lists are in force and what they did, as far as it may be told. Pure.

A number is published once, rounded, per list and day, and never beside a sum of its kind: differences of what is
shown tell nothing that is not shown. Every list has a number on every day, also where it is nothing: "fewer than
10" must not mean "at least one", or it would confirm a probe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from filterproxy.core.model import Action, Basis
from filterproxy.core.totals import Total, rounded

DAYS = 30
"""Days of totals that are shown."""


@dataclass(frozen=True, slots=True)
class ListRecord:
    """What the public may know of a list.

    `entries_rounded` is None below ten. `exact`, `host` and `none` are whole percents of its entries: enforced as
    the list means them, by the whole host, or not at all. `loaded_at` is None where it never loaded.
    """

    id: str
    title: str
    authority: str
    category: str
    basis: Basis
    opt_out: bool
    confidential: bool
    entries_rounded: int | None
    exact: int
    host: int
    none: int
    loaded_at: datetime | None
    stale: bool


@dataclass(frozen=True, slots=True)
class Record:
    """What the runtime knows of the lists in force, in the order of the configuration."""

    lists: tuple[ListRecord, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """How often a list blocked on a day (UTC); None: fewer than `suppressed_below`."""

    day: date
    list: str
    blocked: int | None


@dataclass(frozen=True, slots=True)
class AppealCounts:
    """Appeals up to the last day shown; None: fewer than `suppressed_below`."""

    received: int | None
    decided: int | None
    granted: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened up to and with the day `until`."""

    until: date
    blocks: tuple[Cell, ...]
    appeals: AppealCounts


@dataclass(frozen=True, slots=True)
class Report:
    """The whole record, as its JSON gives it. `totals` is None while the database is away."""

    operator: str
    software: str
    suppressed_below: int
    lists: tuple[ListRecord, ...]
    totals: Totals | None
    stored: str


def cells(lists: Sequence[ListRecord], totals: Iterable[Total], until: date) -> tuple[Cell, ...]:
    """Return a cell for every list in force and each of the last DAYS days, newest day first.

    A list that is gone keeps the days on which its number can be told.
    """
    first = until - timedelta(days=DAYS - 1)
    counts: dict[tuple[date, str], int] = defaultdict(int)
    for total in totals:
        if total.action == Action.BLOCK and total.list_id and first <= total.day <= until:
            counts[total.day, total.list_id] += total.count
    known = [item.id for item in lists]
    gone = sorted({name for _, name in counts} - set(known))
    found = []
    for day in (until - timedelta(days=back) for back in range(DAYS)):
        found += [Cell(day, name, rounded(counts.get((day, name), 0))) for name in known]
        told = [Cell(day, name, rounded(counts.get((day, name), 0))) for name in gone]
        found += [cell for cell in told if cell.blocked is not None]
    return tuple(found)
