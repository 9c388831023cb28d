"""What is in quarantine, and people's decisions on it: what `lists quarantine` and `lists decide` ask.

Who decides is the Unix user that the kernel names, never the name that somebody gives. What the store says holds; the
list is read again where that changed what may take force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from filterproxy.core.appeals import approvals_needed
from filterproxy.core.quarantine import Choice, Decision, Settled, Standing, overdue, settle
from filterproxy.errors import ControlError
from filterproxy.lists.publish import Held, Status
from filterproxy.settings import Settings
from filterproxy.settings.lists import List
from filterproxy.store import Store

from .channel import Body
from .worker import now

_SHORTEST: Final = 4
"""Digits of an id that may stand for all 32."""


class Lists(Protocol):
    """What is asked of the librarian."""

    @property
    def statuses(self) -> Mapping[str, Status]:
        """How each list stands."""

    async def refresh(self, tables: Iterable[List], *, accept: bool = False) -> None:
        """Read lists again and put what changed in force. Raises ControlError."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that is held back, and where it stands."""

    table: List
    held: Held
    said: tuple[Decision, ...]

    @property
    def settled(self) -> Settled:
        """Where it stands by what was said."""
        return settle(self.said, approvals_needed(self.table.listing))

    def overdue(self, settings: Settings, moment: datetime) -> bool:
        """Whether nobody has decided it within `alerts.quarantine`."""
        since = datetime.fromisoformat(self.held.since)
        return overdue(since, self.settled.standing, settings.alerts.quarantine, moment)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entries of a list are held back, and how many of these wait too long for a decision."""

    quarantined: int
    overdue: int


def waiting(settings: Settings, statuses: Mapping[str, Status], decisions: Iterable[Decision]) -> Iterator[Waiting]:
    """Yield what is held back, list by list in the order of the configuration."""
    said = _by_entry(decisions)
    for table in settings.lists:
        for held in statuses[table.id].held if table.id in statuses else ():
            yield Waiting(table, held, tuple(said.get((table.id, held.id), ())))


def tally(
    settings: Settings, statuses: Mapping[str, Status], decisions: Iterable[Decision], moment: datetime
) -> dict[str, Tally]:
    """Return what metrics and alarms say of each list; what people kept is held back too, and never overdue."""
    found = dict.fromkeys((table.id for table in settings.lists), Tally(0, 0))
    for item in waiting(settings, statuses, decisions):
        before = found[item.table.id]
        found[item.table.id] = Tally(before.quarantined + 1, before.overdue + item.overdue(settings, moment))
    return found


class Quarantine:
    """Answers the two requests."""

    def __init__(self, settings: Settings, store: Store, lists: Lists) -> None:
        """Use what the control role opened."""
        self._settings, self._store, self._lists = settings, store, lists

    async def list(self, request: Body) -> Body:
        """Return what is held back of all lists, or of `list`. Raises FilterproxyError."""
        wanted = request.get("list")
        if wanted is not None and wanted not in {table.id for table in self._settings.lists}:
            raise ControlError(f"there is no list {wanted}")
        decisions = await asyncio.to_thread(self._store.quarantine_decisions, wanted)
        moment = now()
        found = waiting(self._settings, self._lists.statuses, decisions)
        return {"held": [self._row(item, moment) for item in found if wanted in (None, item.table.id)]}

    async def decide(self, request: Body, user: str) -> Body:
        """Keep what `user` (of the kernel) says of an entry, and put in force what follows. Raises FilterproxyError."""
        try:
            choice = Choice(str(request.get("decision")))
        except ValueError:
            raise ControlError("a decision is release or keep") from None
        table, entry_id = self._found(
            str(request.get("id", "")), await asyncio.to_thread(self._store.quarantine_decisions)
        )
        needed = approvals_needed(table.listing)
        said = await asyncio.to_thread(
            self._store.decide_quarantine, table.id, entry_id, choice, by=user, note=str(request.get("note", "")),
            now=now(), needed=needed,
        )  # fmt: skip
        before, after = settle(said[:-1], needed), settle(said, needed)
        moved = (before.standing is Standing.RELEASED) is not (after.standing is Standing.RELEASED)
        trouble = await self._read_again(table) if moved else ""
        return {
            "id": entry_id, "list": table.id, "standing": after.standing, "approvals": list(after.people),
            "needed": needed, "said": _said(after, choice, entry_id, moved=moved) + trouble,
        }  # fmt: skip

    async def _read_again(self, table: List) -> str:
        """Put a decision in force; return what is to be said where it is not yet."""
        try:
            await self._lists.refresh([table])
        except ControlError as exc:
            return f" That is noted, but not in force yet: {exc}"
        status = self._lists.statuses.get(table.id)
        if status is None or status.state != "ok":
            reason = "" if status is None else f" ({status.reason})"
            return f" That is noted, but the list could not be read{reason}: it is in force once it can."
        return ""

    def _found(self, prefix: str, decisions: Sequence[Decision]) -> tuple[List, str]:
        """Return the list and id of the one entry, held or decided before, whose id begins so. Raises ControlError."""
        if len(prefix) < _SHORTEST:
            raise ControlError(f"write {_SHORTEST} digits of an id at least")
        tables = {table.id: table for table in self._settings.lists}
        known = {(item.table.id, item.held.id) for item in waiting(self._settings, self._lists.statuses, ())}
        known |= {(item.list_id, item.entry_id) for item in decisions if item.list_id in tables}
        found = [pair for pair in known if pair[1].startswith(prefix.lower())]
        if len(found) > 1:
            raise ControlError(f"several entries have an id that begins with {prefix}: write more of it")
        if not found:
            raise ControlError("nothing in quarantine has this id; `filterproxy lists quarantine` shows what there is")
        return tables[found[0][0]], found[0][1]

    def _row(self, item: Waiting, moment: datetime) -> dict[str, Any]:
        held, settled = item.held, item.settled
        # A list that was open when it was read may have become confidential since.
        hidden = item.table.confidential and bool(held.value)
        return {
            "id": held.id, "list": item.table.id, "kind": held.kind, "scope": held.scope, "line": held.line,
            "value": "" if hidden else held.value, "reason": "" if hidden else held.reason, "since": held.since,
            "standing": settled.standing, "approvals": list(settled.people),
            "needed": approvals_needed(item.table.listing), "overdue": item.overdue(self._settings, moment),
            "decisions": [
                {"at": one.at.isoformat(), "by": one.by, "decision": one.choice, "note": one.note} for one in item.said
            ],
        }  # fmt: skip


def _by_entry(decisions: Iterable[Decision]) -> dict[tuple[str, str], list[Decision]]:
    found: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        found.setdefault((decision.list_id, decision.entry_id), []).append(decision)
    return found


def _said(after: Settled, choice: Choice, entry_id: str, *, moved: bool) -> str:
    """Return what the person who decided is told."""
    if after.people:
        return (
            "Your word is noted; nothing changes yet. The list is mandatory, so another Unix user says so too:\n"
            f"  filterproxy lists decide {entry_id[:8]} {choice}"
        )
    if after.standing is Standing.RELEASED:
        return "Released: the entry is in force." if moved else "The entry stays in force."
    return "Kept: the entry is out of force again." if moved else "Kept: the entry stays out of force."
