"""Overrides: proposed for one list, in force once enough people approved, until they expire or are revoked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, true, update

from filterproxy.core import appeals as rules
from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.core.policy import Override
from filterproxy.errors import MoveError, StoreError

from .damage import Damage
from .database import Database
from .rows import OverrideRow
from .schema import appeals, override_approvals, overrides
from .sealing import Sealing


class Overrides:
    """The queries over overrides."""

    def __init__(self, database: Database, sealing: Sealing, damage: Damage) -> None:
        self._database = database
        self._sealing = sealing
        self._damage = damage

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

        Raises MoveError where the rules of core.appeals forbid one, where there is no such appeal or it is closed,
        and StoreError; nothing was kept then.
        """
        for listing, _ in what:
            rules.check_override(listing, reference, expires_at, now)
        name = rules.check_approval(by, ())
        number = None if receipt is None else rules.canonical_receipt(receipt)
        shared = {"created_at": now, "expires_at": expires_at, "receipt": number, "revoked_by": ""}
        made: list[OverrideRow] = []
        with self._database.writing() as connection:
            if receipt is not None:
                _check_open(connection, number)
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
        """Return the overrides in force at `now`: approved by as many as needed, not expired, not revoked.

        One whose appeal was rejected or withdrawn is none, nor is one that is damaged: what cannot be read spares
        nothing, and hides no other.
        """
        refused = select(appeals.c.receipt).where(appeals.c.state.in_((State.REJECTED.value, State.WITHDRAWN.value)))
        meant = overrides.c.receipt.is_(None) | overrides.c.receipt.not_in(refused)
        found = self._select_overrides(_unexpired(now) & meant, self._override)
        return [override for needed, override in found if len(override.approved_by) >= needed]

    def override_rows(self, receipt: str | None = None) -> list[OverrideRow]:
        """Return every override there ever was, or those that grant one appeal, the oldest first; none damaged."""
        which = true() if receipt is None else overrides.c.receipt == rules.canonical_receipt(receipt)
        return self._select_overrides(which, self._override_row)

    def _select_overrides[Value](
        self, where: ColumnElement[bool], opened: Callable[[Sequence[Row[Any]]], Value]
    ) -> list[Value]:
        with self._database.reading() as connection:
            found = _with_approvals(connection, where)
        return self._damage.sound("override", found, lambda rows: str(rows[0].id), opened)

    def _one_override(self, connection: Connection, key: str) -> OverrideRow:
        found = _with_approvals(connection, overrides.c.id == key)
        if not found:
            raise MoveError("there is no such override")
        return self._override_row(found[0])

    def _locked_override(self, connection: Connection, key: str) -> OverrideRow:
        connection.execute(select(overrides.c.id).where(overrides.c.id == key).with_for_update())
        return self._one_override(connection, key)

    def _sealed(self, key: str, **texts: str) -> dict[str, bytes]:
        return {name: self._sealing.seal(f"overrides.{name}", key, text) for name, text in texts.items()}

    def _open_override(self, row: Row[Any], name: str) -> str:
        return self._sealing.open(f"overrides.{name}", row.id, getattr(row, name))

    def _override(self, rows: Sequence[Row[Any]]) -> tuple[int, Override]:
        """Return how many people an override needs, and what the decision needs of it; nothing else is opened."""
        row, by = rows[0], tuple(each.by for each in rows)
        entry, reference = _from_json(self._open_override(row, "entry")), self._open_override(row, "reference")
        return row.needed, Override(row.id, row.list_id, entry, row.expires_at, reference, by)

    def _override_row(self, rows: Sequence[Row[Any]]) -> OverrideRow:
        row, (needed, override) = rows[0], self._override(rows)
        return OverrideRow(
            id=row.id,
            list_id=row.list_id,
            entry=override.entry,
            reason=self._open_override(row, "reason"),
            reference=override.reference,
            needed=needed,
            approved_by=override.approved_by,
            receipt=row.receipt,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


def _unexpired(now: datetime) -> ColumnElement[bool]:
    return (overrides.c.expires_at > now) & overrides.c.revoked_at.is_(None)


def _with_approvals(connection: Connection, where: ColumnElement[bool]) -> list[list[Row[Any]]]:
    """Return for each override a row per approval, in order; one nobody approved is none."""
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
    return list(found.values())


def _check_open(connection: Connection, receipt: str | None) -> None:
    """Raise MoveError where there is no such appeal, or nothing more can become of it; hold it as it is till then."""
    state = connection.scalar(select(appeals.c.state).where(appeals.c.receipt == receipt).with_for_update())
    if state is None:
        raise MoveError("there is no appeal with this receipt number")
    if State(state).closed:
        raise MoveError(f"an appeal that is {state} cannot be granted")


def _approve(connection: Connection, key: str, name: str, now: datetime) -> None:
    connection.execute(insert(override_approvals).values(override_id=key, person=rules.person(name), by=name, at=now))


def _to_json(entry: Entry) -> str:
    return json.dumps({"kind": entry.kind, "value": entry.value, "scope": entry.scope, "action": entry.action})


def _from_json(text: str) -> Entry:
    try:
        found = json.loads(text)
        return Entry(Kind(found["kind"]), found["value"], Scope(found["scope"]), Action(found["action"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError("overrides.entry was made by another version") from exc
