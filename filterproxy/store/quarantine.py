"""Decisions on entries in quarantine: who said what of which entry, in order. Nothing is ever changed or removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, text

from filterproxy.core import quarantine as rules
from filterproxy.core.quarantine import Choice, Decision, Standing

from .damage import Damage
from .database import Database
from .schema import quarantine_decisions as decisions
from .sealing import Sealing

_LOCK: Final = 4_607_412_894
"""PostgreSQL's advisory lock that whoever decides holds; any number that nobody else uses."""
_ORDER: Final = (decisions.c.list_id, decisions.c.entry_id, decisions.c.step)


class Quarantine:
    """The queries over decisions on what is held back."""

    def __init__(self, database: Database, sealing: Sealing, damage: Damage) -> None:
        self._database = database
        self._sealing = sealing
        self._damage = damage

    def quarantine_released(self, needed: Mapping[str, int]) -> dict[str, frozenset[str]]:
        """Return the entries of each list that enough people released.

        `needed` says how many that are (core.appeals.approvals_needed), for each list that is asked about.
        Raises StoreError.
        """
        columns = [column for column in decisions.c if column.name != "note"]
        with self._database.reading() as connection:
            rows = list(connection.execute(select(*columns).where(decisions.c.list_id.in_(needed)).order_by(*_ORDER)))
        found: dict[str, set[str]] = {list_id: set() for list_id in needed}
        for (list_id, entry_id), said in groupby(rows, lambda row: (row.list_id, row.entry_id)):
            settled = rules.settle((_decision(row, "") for row in said), needed[list_id])
            if settled.standing is Standing.RELEASED:
                found[list_id].add(entry_id)
        return {list_id: frozenset(ids) for list_id, ids in found.items()}

    def quarantine_decisions(self, list_id: str | None = None) -> list[Decision]:
        """Return every decision there ever was, or those on one list, those on one entry in order. Raises StoreError.

        The note of a damaged one is empty: what was decided holds nevertheless.
        """
        query = select(decisions).order_by(*_ORDER)
        with self._database.reading() as connection:
            rows = connection.execute(query if list_id is None else query.where(decisions.c.list_id == list_id))
            return [self._opened(row) for row in rows]

    def decide_quarantine(
        self, list_id: str, entry_id: str, choice: Choice, *, by: str, note: str = "", now: datetime, needed: int
    ) -> tuple[Decision, ...]:
        """Keep what `by` says of an entry, and return all that was said of it, the oldest first.

        Of several who decide at once each finds what the one before said. Raises MoveError where it would change
        nothing (core.quarantine.check), and StoreError; nothing was kept then.
        """
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            before = self._of_entry(connection, list_id, entry_id)
            name = rules.check(before, choice, by, note, needed)
            key = {"list_id": list_id, "entry_id": entry_id, "step": len(before)}
            sealed = self._sealing.seal("quarantine_decisions.note", _key(list_id, entry_id, len(before)), note)
            connection.execute(insert(decisions).values(**key, choice=choice.value, by=name, at=now, note=sealed))
            return (*before, Decision(list_id, entry_id, choice, name, now, note))

    def _of_entry(self, connection: Connection, list_id: str, entry_id: str) -> Sequence[Decision]:
        query = select(decisions).where(decisions.c.list_id == list_id, decisions.c.entry_id == entry_id)
        return [self._opened(row) for row in connection.execute(query.order_by(decisions.c.step))]

    def _opened(self, row: Row[Any]) -> Decision:
        key = _key(row.list_id, row.entry_id, row.step)
        notes = self._damage.sound(
            "quarantine decision", [row], lambda _: key,
            lambda found: self._sealing.open("quarantine_decisions.note", key, found.note),
        )  # fmt: skip
        return _decision(row, notes[0] if notes else "")


def _decision(row: Row[Any], note: str) -> Decision:
    return Decision(row.list_id, row.entry_id, Choice(row.choice), row.by, row.at, note)


def _key(list_id: str, entry_id: str, step: int) -> str:
    return f"{list_id}/{entry_id}/{step}"
