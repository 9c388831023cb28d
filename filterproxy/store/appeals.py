"""Appeals: filed by anyone, opened by the secret or by staff, moved step by step, each step kept."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from filterproxy.core import appeals as rules
from filterproxy.core.appeals import Origin, State
from filterproxy.errors import MoveError, StoreError

from .damage import Damage
from .database import Database
from .rows import AppealCounts, AppealRow, AppealStatus, Filed, Move, Step
from .schema import appeal_moves, appeals, overrides
from .sealing import Sealing, hash_secret, same

_LIMITS = {
    "subject": rules.SUBJECT_LIMIT, "message": rules.MESSAGE_LIMIT, "contact": rules.CONTACT_LIMIT,
    "reference": rules.REFERENCE_LIMIT,
}  # fmt: skip

_NOBODY = bytes(32)
"""No secret has this hash: what is compared where there is no such receipt."""

_CLOSING = (State.GRANTED, State.REJECTED, State.WITHDRAWN)
_ENDS_OVERRIDES = (State.FORWARDED, State.REJECTED, State.WITHDRAWN)
"""Where an appeal goes otherwise than granted, what was approved on the way is no longer meant."""


class Appeals:
    """The queries over appeals."""

    def __init__(self, database: Database, sealing: Sealing, damage: Damage) -> None:
        self._database = database
        self._sealing = sealing
        self._damage = damage

    def file_appeal(
        self,
        subject: str,
        now: datetime,
        *,
        message: str = "",
        contact: str = "",
        reference: str = "",
        origin: Origin = Origin.TYPED,
        list_id: str | None = None,
    ) -> Filed:
        """Keep an appeal and return its number and secret, of which only a hash stays.

        Raises ValueError where a text is longer than core.appeals allows, StoreError where nothing was kept.
        """
        texts = {"subject": subject, "message": message, "contact": contact, "reference": reference}
        for name, text in texts.items():
            if len(text) > _LIMITS[name]:
                raise ValueError(f"{name} is longer than {_LIMITS[name]} characters")
        for _ in range(3):  # of a million appeals, one in a million new numbers is taken
            filed = Filed(rules.receipt(secrets.token_bytes(5)), rules.secret(secrets.token_bytes(15)))
            row = {name: self._sealing.seal(f"appeals.{name}", filed.receipt, text) for name, text in texts.items()}
            values = {"created_at": now, "state": State.RECEIVED.value, "origin": origin.value, "list_id": list_id}
            if self._insert({**row, **values}, filed):
                return filed
        raise StoreError("no free receipt number was found")

    def _insert(self, values: dict[str, object], filed: Filed) -> bool:
        """Keep the appeal; False where its number is taken."""
        kept = hash_secret(filed.receipt, filed.secret)
        with self._database.writing() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(appeals).values(**values, receipt=filed.receipt, secret_hash=kept))
            except IntegrityError:
                return False
        return True

    def appeal_by_secret(self, receipt: str, secret: str) -> AppealStatus | None:
        """Return what the holder of the secret may see; None where the two do not belong together.

        A number that does not exist costs the same as a wrong secret: one look-up, one hash, one comparison.
        """
        number = rules.canonical_receipt(receipt) or ""
        with self._database.reading() as connection:
            kept = connection.scalar(select(appeals.c.secret_hash).where(appeals.c.receipt == number))
            given = hash_secret(number, rules.canonical_secret(secret) or "")
            if not same(given, _NOBODY if kept is None else kept):
                return None
            row = self._one_appeal(connection, number)
        steps = (Step(State.RECEIVED, row.created_at), *(Step(move.to_state, move.at) for move in row.moves))
        return AppealStatus(row.receipt, row.created_at, row.state, row.decided_at, row.answer, steps)

    def appeals(self, state: State | None = None, *, limit: int = 1000) -> list[AppealRow]:
        """Return appeals in this state (all where None), the oldest first, `limit` at most; none that is damaged."""
        query = select(appeals).order_by(appeals.c.created_at, appeals.c.receipt).limit(limit)
        if state is not None:
            query = query.where(appeals.c.state == state.value)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            moves = self._moves(connection, [row.receipt for row in rows])
        return self._damage.sound(
            "appeal", rows, lambda row: str(row.receipt), lambda row: self._appeal_row(row, moves.get(row.receipt, ()))
        )

    def appeal(self, receipt: str) -> AppealRow | None:
        """Return the appeal of this number, however it is typed; None where there is none.

        Raises StoreError also where it is damaged.
        """
        number = rules.canonical_receipt(receipt)
        with self._database.reading() as connection:
            there = connection.scalar(select(appeals.c.receipt).where(appeals.c.receipt == number))
            return None if there is None else self._one_appeal(connection, there)

    def move(
        self, receipt: str, to: State, by: str, note: str, now: datetime, *, answer: str | None = None
    ) -> AppealRow:
        """Take an appeal to another state and return it; the step is kept with who took it and why.

        Where it is forwarded, rejected or withdrawn, its overrides are revoked with it.
        `answer` is what its sender will read. Raises MoveError where the step is not legal or there is no such
        appeal, and StoreError; nothing has changed then. Of two people who decide at once, one is refused.
        """
        number, name = rules.canonical_receipt(receipt), rules.check_name(by)
        with self._database.writing() as connection:
            query = select(appeals.c.state).where(appeals.c.receipt == number).with_for_update()
            found = connection.scalar(query)
            if found is None or number is None:
                raise MoveError("there is no appeal with this receipt number")
            state = State(found)
            rules.move(state, to)
            changed: dict[str, object] = {"state": to.value}
            if to.decided:
                changed["decided_at"] = now
            if answer is not None:
                changed["answer"] = self._sealing.seal("appeals.answer", number, answer)
            connection.execute(update(appeals).where(appeals.c.receipt == number).values(**changed))
            if to in _ENDS_OVERRIDES:
                _revoke(connection, number, name, now)
            self._keep(connection, number, Move(now, state, to, name, note))
            return self._one_appeal(connection, number)

    def appeal_counts(self, until: date) -> AppealCounts:
        """Return how many appeals were received up to the end of the day `until` (UTC), and how many decided."""
        end = datetime.combine(until + timedelta(days=1), time(), UTC)
        closed = select(appeal_moves.c.to_state, func.count()).where(appeal_moves.c.at < end)
        with self._database.reading() as connection:
            received = connection.scalar(select(func.count()).where(appeals.c.created_at < end)) or 0
            rows = connection.execute(closed.group_by(appeal_moves.c.to_state))
            found: dict[str, int] = {row[0]: row[1] for row in rows}
        return AppealCounts(received, *(found.get(state.value, 0) for state in _CLOSING))

    def _keep(self, connection: Connection, receipt: str, move: Move) -> None:
        """Keep a step. Its number is the next one: two steps may bear the same time."""
        taken = select(func.count()).where(appeal_moves.c.receipt == receipt)
        step = (connection.scalar(taken) or 0) + 1
        connection.execute(
            insert(appeal_moves).values(
                receipt=receipt,
                step=step,
                at=move.at,
                from_state=move.from_state.value,
                to_state=move.to_state.value,
                by=move.by,
                note=self._sealing.seal("appeal_moves.note", f"{receipt}/{step}", move.note),
            )
        )

    def _moves(self, connection: Connection, receipts: Sequence[str]) -> dict[str, list[Row[Any]]]:
        found: dict[str, list[Row[Any]]] = {}
        query = select(appeal_moves).where(appeal_moves.c.receipt.in_(receipts)).order_by(appeal_moves.c.step)
        for row in connection.execute(query):
            found.setdefault(row.receipt, []).append(row)
        return found

    def _one_appeal(self, connection: Connection, receipt: str) -> AppealRow:
        row = connection.execute(select(appeals).where(appeals.c.receipt == receipt)).one()
        return self._appeal_row(row, self._moves(connection, [receipt]).get(receipt, ()))

    def _move(self, row: Row[Any]) -> Move:
        note = self._sealing.open("appeal_moves.note", f"{row.receipt}/{row.step}", row.note)
        return Move(row.at, State(row.from_state), State(row.to_state), row.by, note)

    def _appeal_row(self, row: Row[Any], moves: Sequence[Row[Any]]) -> AppealRow:
        def text(name: str) -> str:
            sealed = getattr(row, name)
            return "" if sealed is None else self._sealing.open(f"appeals.{name}", row.receipt, sealed)

        try:
            return AppealRow(
                receipt=row.receipt,
                created_at=row.created_at,
                state=State(row.state),
                origin=Origin(row.origin),
                list_id=row.list_id,
                subject=text("subject"),
                message=text("message"),
                contact=text("contact"),
                reference=text("reference"),
                decided_at=row.decided_at,
                answer=text("answer"),
                moves=tuple(map(self._move, moves)),
            )
        except ValueError as exc:
            raise StoreError("the appeal was made by another version") from exc


def _revoke(connection: Connection, receipt: str, by: str, now: datetime) -> None:
    """End every override that was to grant this appeal."""
    ended = update(overrides).where(overrides.c.receipt == receipt, overrides.c.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=now, revoked_by=by))
