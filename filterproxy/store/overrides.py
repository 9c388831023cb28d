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

        It is in force at once unless the list needs a second person. Raises as `add_overrides`.
        """
        return self.add_overrides(
            [(listing, entry)],
            by=by,
            reason=reason,
            expires_at=expires_at,
            now=now,
            reference=reference,
            receipt=receipt,
        )[0]

    def add_overrides(
        self,
        what: Sequence[tuple[Listing, Entry]],
        *,
        by: str,
        reason: str,
        expires_at: datetime,
        now: datetime,
        reference: str = "",
        receipt: str | None = None,
    ) -> tuple[OverrideRow, ...]:
        """Keep an override for each list and entry, all of them or none, as `add_override` does for one.

        Raises MoveError where the rules of core.appeals forbid one or there is no such appeal, and StoreError;
        nothing was kept then.
        """
        for listing, _ in what:
            rules.check_override(listing, reference, expires_at, now)
        name = rules.check_approval(by, ())
        number = None if receipt is None else rules.canonical_receipt(receipt)
        shared = {"created_at": now, "expires_at": expires_at, "receipt": number, "revoked_by": ""}
        made: list[OverrideRow] = []
        with self._database.writing() as connection:
            if receipt is not None and not _is_appeal(connection, number):
                raise MoveError("there is no appeal with this receipt number")
            for listing, entry in what:
                key = secrets.token_hex(8)
                sealed = self._sealed(key, entry=_to_json(entry), reason=reason, reference=reference.strip())
                row = {"id": key, "list_id": listing.id, "needed": rules.approvals_needed(listing)}
                connection.execute(insert(overrides).values(**row, **sealed, **shared))
                _approve(connection, key, name, now)
                made.append(self._one_override(connection, key))
        return tuple(made)

    def approve_override(self, id: str, by: str, now: datetime) -> OverrideRow:
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

    def revoke_override(self, id: str, now: datetime, *, by: str = "") -> OverrideRow:
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

    def override_rows(self, receipt: str | None = None) -> list[OverrideRow]:
        """Return every override there ever was, or those that grant one appeal, the oldest first."""
        if receipt is None:
            return self._select_overrides(true())
        return self._select_overrides(overrides.c.receipt == rules.canonical_receipt(receipt))

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

    def _sealed(self, key: str, **texts: str) -> dict[str, bytes]:
        return {name: self._sealing.seal(f"overrides.{name}", key, text) for name, text in texts.items()}

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
