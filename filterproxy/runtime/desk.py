"""What the control process answers: the command line's requests, the supervisor's totals, and the report it keeps."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from filterproxy.alerts import Alerts
from filterproxy.core.appeals import State, sufficient
from filterproxy.core.model import Kind
from filterproxy.core.totals import Total
from filterproxy.errors import ControlError, StoreError
from filterproxy.store import AppealRow, OverrideRow, Store

from . import record
from .channel import Body, ChannelError
from .counters import NO_LIST
from .decisions import EXPIRES, Decision, Outcome, blocking, carry_out, subject_of
from .librarian import Librarian
from .quarantine import Quarantine
from .worker import Worker, now

_REPORT = 10.0
_NAMES = 10_000
"""Names of a difference that are told at most, added and removed each."""
_DECISIONS = 4
"""Decisions of people that are carried out at once."""
_WAITING = (State.RECEIVED, State.TRIAGED, State.FORWARDED)


@dataclass
class _People:
    store_up: bool | None = None
    waiting: int | None = None
    overdue: int | None = None


class Desk:
    """Takes requests, each as one JSON object, and answers them."""

    def __init__(self, worker: Worker, store: Store, librarian: Librarian, alerts: Alerts) -> None:
        """Use what the control role opened."""
        self._worker, self._store, self._librarian, self._alerts = worker, store, librarian, alerts
        self._quarantine = Quarantine(worker.settings, store, librarian)
        self._people = _People()
        self._overdue: dict[str, int] = {}
        self._wake = asyncio.Event()
        # Each decision holds one until every process judges by it, and this one needs the loop's own for that.
        self._threads = ThreadPoolExecutor(_DECISIONS, "decisions")

    async def run(self) -> None:
        """Tell the supervisor how lists, store and appeals stand, now and then and after each change."""
        while True:
            await self._look_at_people()
            self._overdue = {name: found.overdue for name, found in (await self._librarian.tallies()).items()}
            with contextlib.suppress(ChannelError):
                self._worker.channel.tell("report", self.report())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _REPORT if self._worker.live.policy().generation else 1.0)
            self._wake.clear()

    def report(self) -> dict[str, Any]:
        """Return how lists, store and appeals stand. No address is in it."""
        return {
            "lists": record.internal(
                self._worker.live.policy(), self._worker.settings, self._librarian.manifest, now(), self._overdue
            ),
            "bundle_error": self._librarian.disk_error,
            "store_up": self._people.store_up,
            "appeals_waiting": self._people.waiting,
            "appeals_overdue": self._people.overdue,
            "alerts": _counted(self._alerts),
        }

    async def command(self, body: Body) -> Body:
        """Answer a request of the command line. Raises FilterproxyError, whose text is shown."""
        request, by = body["request"], str(body["by"])
        match request["do"]:
            case "lists":
                return self.report()
            case "refresh":
                return await self._refresh(request)
            case "diff":
                return await self._diff(request)
            case "appeals.list":
                return await asyncio.to_thread(self._list, request)
            case "appeals.show":
                return await asyncio.to_thread(self._show, request)
            case "appeals.decide":
                return await self._decide(request, by)
            case "overrides.list":
                return {"overrides": await asyncio.to_thread(self._overrides)}
            case "overrides.revoke":
                await asyncio.to_thread(self._store.revoke_override, str(request.get("id", "")), now(), by=by)
                await self._librarian.look_for_overrides(force=True)
                return {"said": "The override has ended; the list blocks again."}
            case "quarantine.list":
                return await self._quarantine.list(request)
            case "quarantine.decide":
                self._wake.set()
                return await self._quarantine.decide(request, str(body.get("user", "")))
            case other:
                raise ControlError(f"nobody here knows {other!r}")

    async def totals(self, body: Body) -> Body:
        """Put counts of one day into the store. Raises StoreError; the supervisor keeps them then."""
        day = date.fromisoformat(body["day"])
        rows = [
            Total(day, "" if name == NO_LIST else name, frontend, action, n)
            for name, frontend, action, n in body["rows"]
        ]
        await asyncio.to_thread(self._store.add_totals, rows, batch=body["batch"])
        return {}

    async def _refresh(self, request: Body) -> Body:
        wanted = request.get("lists")
        tables = [table for table in self._worker.settings.lists if not wanted or table.id in wanted]
        if unknown := set(wanted or ()) - {table.id for table in tables}:
            raise ControlError(f"there is no list {min(unknown)}")
        await self._librarian.refresh(tables, accept=bool(request.get("accept")))
        self._wake.set()
        return self.report()

    async def _diff(self, request: Body) -> Body:
        """Say what reading lists now would change."""
        wanted, names = request.get("lists"), request.get("names", 20)
        tables = [table for table in self._worker.settings.lists if not wanted or table.id in wanted]
        if unknown := set(wanted or ()) - {table.id for table in tables}:
            raise ControlError(f"there is no list {min(unknown)}")
        most = names if isinstance(names, int) and 0 <= names <= _NAMES else _NAMES
        return {"differences": [await self._librarian.differ(table, most) for table in tables]}

    def _list(self, request: Body) -> Body:
        state = _state(request.get("state"))
        overdue = now() - self._worker.settings.alerts.overdue
        return {"appeals": [_brief(row, overdue) for row in self._store.appeals(state)]}

    def _show(self, request: Body) -> Body:
        row = self._store.appeal(str(request.get("receipt", "")))
        if row is None:
            raise ControlError("there is no appeal with this receipt number")
        subject = subject_of(row.subject)
        matches = [] if subject is None else blocking(subject, self._worker.live.policy(), now())
        appeal = {
            **_brief(row, now() - self._worker.settings.alerts.overdue),
            "subject": row.subject,
            "message": row.message,
            "contact": row.contact,
            "reference": row.reference,
            "answer": row.answer,
            "blocked_by": [match.listing.id for match in matches],
            "mandatory": any(match.listing.mandatory for match in matches),
            "moves": [
                {
                    "at": move.at.isoformat(),
                    "from": move.from_state,
                    "to": move.to_state,
                    "by": move.by,
                    "note": move.note,
                }
                for move in row.moves
            ],
            "overrides": [self._override(item) for item in self._store.override_rows(row.receipt)],
        }
        return {"appeal": appeal}

    def _overrides(self) -> list[dict[str, Any]]:
        moment = now()
        return [
            self._override(row)
            for row in self._store.override_rows()
            if row.revoked_at is None and row.expires_at > moment
        ]

    def _override(self, row: OverrideRow) -> dict[str, Any]:
        listing = next((item for item in self._worker.settings.listings if item.id == row.list_id), None)
        enough = listing is not None and sufficient(listing, row.approved_by, row.reference)
        return {
            "id": row.id,
            "list": row.list_id,
            "kind": row.entry.kind,
            "scope": row.entry.scope,
            "in_force": enough and row.in_force(now()),
            "reference": row.reference,
            "approved_by": list(row.approved_by),
            "needed": row.needed,
            "receipt": row.receipt,
            "expires_at": row.expires_at.isoformat(),
            "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
        }

    async def _decide(self, request: Body, by: str) -> Body:
        decision = _decision(request, by)
        policy, put = self._worker.live.policy, self._librarian.put_in_force
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(self._threads, carry_out, decision, self._store, policy, put, now())
        self._wake.set()
        return {
            "said": _said(outcome),
            "state": outcome.state,
            "waits_for": outcome.waits_for,
            "overrides": [self._override(row) for row in outcome.overrides],
        }

    async def _look_at_people(self) -> None:
        try:
            self._people = await asyncio.to_thread(self._count_people)
        except StoreError:
            self._people = _People(store_up=False)

    def _count_people(self) -> _People:
        waiting = [row for state in _WAITING for row in self._store.appeals(state)]
        overdue = now() - self._worker.settings.alerts.overdue
        return _People(True, len(waiting), sum(row.created_at < overdue for row in waiting))


def _counted(alerts: Alerts) -> dict[str, Any]:
    counts = alerts.counts()
    return {
        "raised": [[*row, value] for row, value in sorted(counts.raised.items())],
        "undelivered": counts.undelivered,
    }


def _decision(request: Body, by: str) -> Decision:
    try:
        days = request.get("days")
        reason = str(request.get("reason", ""))
        return Decision(
            receipt=str(request["receipt"]), outcome=str(request["decision"]), by=by, note=reason,
            answer=reason or None, reference=str(request.get("reference", "")),
            expires=EXPIRES if days is None else timedelta(days=float(days)),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, OverflowError) as exc:
        raise ControlError("appeals.decide: needs receipt and decision; days is a number") from exc


def _said(outcome: Outcome) -> str:
    """Return what the person who decided is told."""
    if outcome.waits_for:
        return (
            "Your approval is noted; nothing is spared yet. The list is mandatory, so another person approves too:\n"
            f"  filterproxy appeals decide {outcome.overrides[0].receipt} grant --by THEIR-NAME"
        )
    if outcome.state is not State.GRANTED:
        return f"The appeal is {outcome.state}."
    lists = ", ".join(sorted({row.list_id for row in outcome.overrides}))
    whole = any(row.entry.kind is Kind.DOMAIN for row in outcome.overrides)
    what = "the exact host that was asked for" if whole else "the page that was asked for, and that alone,"
    return f"Granted: {what} is spared from {lists}. It is in force now."


def _state(text: object) -> State | None:
    try:
        return None if text is None else State(str(text))
    except ValueError as exc:
        raise ControlError(f"there is no state {text!r}") from exc


def _brief(row: AppealRow, overdue: datetime) -> dict[str, Any]:
    return {
        "receipt": row.receipt,
        "created_at": row.created_at.isoformat(),
        "state": row.state,
        "origin": row.origin,
        "list": row.list_id,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
        "overdue": row.state in _WAITING and row.created_at < overdue,
    }
