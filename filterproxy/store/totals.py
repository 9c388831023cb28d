"""Daily totals: added to by whoever counts, read by the public record. No address and no client is near them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from filterproxy.core.totals import Total

from .database import Database
from .schema import total_batches, totals

_REMEMBERED = timedelta(days=30)
"""How long a batch is known by its name."""


class Totals:
    """The queries over totals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_totals(self, rows: Iterable[Total], *, batch: str = "") -> bool:
        """Add counts to those that are there, all or none; several nodes may add to the same day.

        A journal that was written and not yet shortened when the process died is handed in again. Under the same
        name `batch` (64 characters at most) it counts once for 30 days: False is returned the second time.
        Raises StoreError.
        """
        # In one order, or two nodes could wait for each other's rows.
        ordered = sorted(rows, key=lambda row: (row.day, row.list_id, row.frontend, row.action))
        with self._database.writing() as connection:
            if batch and not _first_time(connection, batch):
                return False
            for row in ordered:
                _add(connection, row)
        return True

    def totals(self, until: date, *, since: date | None = None) -> list[Total]:
        """Return the exact totals of the days from `since` to `until`, both included, in order of day."""
        columns = (totals.c.day, totals.c.list_id, totals.c.frontend, totals.c.action)
        query = select(*columns, totals.c["count"]).where(totals.c.day <= until)
        if since is not None:
            query = query.where(totals.c.day >= since)
        query = query.order_by(*columns)
        with self._database.reading() as connection:
            return [Total(*row) for row in connection.execute(query)]


def _add(connection: Connection, row: Total) -> None:
    where = {"day": row.day, "list_id": row.list_id, "frontend": row.frontend, "action": row.action}
    added = {"count": totals.c["count"] + row.count}
    if connection.dialect.name == "postgresql":
        values = postgresql.insert(totals).values(**where, count=row.count)
        connection.execute(values.on_conflict_do_update(index_elements=list(where), set_=added))
    else:
        upsert = sqlite.insert(totals).values(**where, count=row.count)
        connection.execute(upsert.on_conflict_do_update(index_elements=list(where), set_=added))


def _first_time(connection: Connection, batch: str) -> bool:
    """Note the batch; False where it was noted before."""
    now = datetime.now(UTC)
    connection.execute(delete(total_batches).where(total_batches.c.at < now - _REMEMBERED))
    values = {"id": batch, "at": now}
    if connection.dialect.name == "postgresql":
        noted = postgresql.insert(total_batches).values(**values).on_conflict_do_nothing()
        return connection.scalar(noted.returning(total_batches.c.id)) is not None
    note = sqlite.insert(total_batches).values(**values).on_conflict_do_nothing()
    return connection.scalar(note.returning(total_batches.c.id)) is not None
