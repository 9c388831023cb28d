"""Overrides: proposed for one list, in force once enough people approved, until they expire or are revoked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, true, update

from filterproxy.core import appeals as rules
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.core.policy import Override
from filterproxy.errors import MoveError

from .database import Database
from .rows import OverrideRow
from .schema import appeals, override_approvals, overrides
from .sealing import Sealing


class Overrides:
    """The queries over overrides."""

    def __init__(self, database: Database, sealing: Sealing) -> None:
        self._database = database
        self._sealing = sealing

    def add_override(
        self,
        listing: Listing,
        entry: Entry,
        *,
        by: str,
        reason: str,
        expires_at: datetime,
        now: datetime,
        reference: str = "",
        receipt: str | None = None,
    ) -> OverrideRow:
        """Keep an override that `by` proposes and thereby approves, and return it.

        It is in force at once unless the list needs a second person. Raises MoveError where the rules of
        core.appeals forbid it or there is no such appeal, and StoreError; nothing was kept then.
        """
        rules.check_override(listing, reference, expires_at, now)
        name = rules.check_approval(by, ())
        key, number = secrets.token_hex(8), None if receipt is None else rules.canonical_receipt(receipt)
        with self._database.writing() as connection:
            if receipt is not None and not _is_appeal(connection, number):
                raise MoveError("there is no appeal with this receipt number")
            connection.execute(
                insert(overrides).values(
                    id=key,
                    list_id=listing.id,
                    entry=self._sealing.seal("overrides.entry", key, _to_json(entry)),
                    reason=self._sealing.seal("overrides.reason", key, reason),
                    reference=self._sealing.seal("overrides.reference", key, reference.strip()),
                    needed=rules.approvals_needed(listing),
                    receipt=number,
                    created_at=now,
                    expires_at=expires_at,
                    revoked_by="",
                )
            )
            _approve(connection, key, name, now)
            return self._one_override(connection, key)

    def approve_override(self, id: str, by: str, now: datetime) -> OverrideRow:  # noqa: A002
        """Add a person's approval and return the override.

        Raises MoveError where that person approved already, where it has all it needs, has expired or was
        revoked, or does not exist; and StoreError.
        """
        with self._database.writing() as connection:
            row = self._locked_override(connection, id)
            if row.revoked_at is not None or row.expires_at <= now:
                raise MoveError("this override has expired or was revoked")
            if row.approved:
                raise MoveError("this override needs no further approval")
            _approve(connection, id, rules.check_approval(by, row.approved_by), now)
            return self._one_override(connection, id)

    def revoke_override(self, id: str, now: datetime, *, by: str = "") -> OverrideRow:  # noqa: A002
        """End an override now and return it; one that was revoked before keeps its time.

        Raises MoveError where there is none, and StoreError.
        """
        name = rules.check_name(by) if by else ""
        with self._database.writing() as connection:
            if self._locked_override(connection, id).revoked_at is None:
                ended = update(overrides).where(overrides.c.id == id)
                connection.execute(ended.values(revoked_at=now, revoked_by=name))
            return self._one_override(connection, id)

    def overrides(self, now: datetime) -> list[Override]:
        """Return the overrides in force at `now`: approved by as many as needed, not expired, not revoked."""
        return [row.override for row in self._select_overrides(_unexpired(now)) if row.in_force(now)]

    def pending_overrides(self, now: datetime) -> list[OverrideRow]:
        """Return the overrides that wait for another person's approval."""
        return [row for row in self._select_overrides(_unexpired(now)) if not row.approved]

    def override_rows(self) -> list[OverrideRow]:
        """Return every override there ever was, the oldest first."""
        return self._select_overrides(true())

    def _select_overrides(self, where: ColumnElement[bool]) -> list[OverrideRow]:
        with self._database.reading() as connection:
            return self._opened_overrides(connection, where)

    def _opened_overrides(self, connection: Connection, where: ColumnElement[bool]) -> list[OverrideRow]:
        # One statement for the approvals as well: they belong to the same snapshot, whatever the isolation level.
        query = (
            select(overrides, override_approvals.c.by)
            .join(override_approvals, override_approvals.c.override_id == overrides.c.id)
            .where(where)
            .order_by(overrides.c.created_at, overrides.c.id, override_approvals.c.at, override_approvals.c.person)
        )
        found: dict[str, list[Row[Any]]] = {}
        for row in connection.execute(query):
            found.setdefault(row.id, []).append(row)
        return [self._override_row(rows) for rows in found.values()]

    def _one_override(self, connection: Connection, key: str) -> OverrideRow:
        rows = self._opened_overrides(connection, overrides.c.id == key)
        if not rows:
            raise MoveError("there is no such override")
        return rows[0]

    def _locked_override(self, connection: Connection, key: str) -> OverrideRow:
        connection.execute(select(overrides.c.id).where(overrides.c.id == key).with_for_update())
        return self._one_override(connection, key)

    def _override_row(self, rows: Sequence[Row[Any]]) -> OverrideRow:
        row = rows[0]

        def text(name: str) -> str:
            return self._sealing.open(f"overrides.{name}", row.id, getattr(row, name))

        return OverrideRow(
            id=row.id,
            list_id=row.list_id,
            entry=_from_json(text("entry")),
            reason=text("reason"),
            reference=text("reference"),
            needed=row.needed,
            approved_by=tuple(each.by for each in rows),
            receipt=row.receipt,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


def _unexpired(now: datetime) -> ColumnElement[bool]:
    return (overrides.c.expires_at > now) & overrides.c.revoked_at.is_(None)


def _is_appeal(connection: Connection, receipt: str | None) -> bool:
    return connection.scalar(select(appeals.c.receipt).where(appeals.c.receipt == receipt)) is not None


def _approve(connection: Connection, key: str, name: str, now: datetime) -> None:
    connection.execute(insert(override_approvals).values(override_id=key, person=rules.person(name), by=name, at=now))


def _to_json(entry: Entry) -> str:
    return json.dumps({"kind": entry.kind, "value": entry.value, "scope": entry.scope, "action": entry.action})


def _from_json(text: str) -> Entry:
    found = json.loads(text)
    return Entry(Kind(found["kind"]), found["value"], Scope(found["scope"]), Action(found["action"]))
