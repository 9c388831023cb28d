"""What becomes of an entry in quarantine: who decided what, how many are needed, and when it waits too long. Pure.

As many people as the list needs (appeals.approvals_needed) release an entry: one, or two where it is mandatory. One
`keep` settles that it stays out, and wipes what was said for it before. What is settled may be decided anew, by as
many people as the list needs: they release what was kept, or keep what was released, so that one person alone never
puts an entry of a mandatory list in force, nor takes one out again. A person is the Unix user that the kernel names
(SO_PEERCRED).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from filterproxy.errors import MoveError

from .appeals import check_name, person

NOTE_LIMIT: Final = 4000
"""Characters of a note at most."""


class Choice(StrEnum):
    """What a person says of an entry."""

    RELEASE = "release"
    KEEP = "keep"


class Standing(StrEnum):
    """What an entry is by all that was said of it."""

    WAITING = "waiting"
    RELEASED = "released"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person said of one entry."""

    list_id: str
    entry_id: str
    """The id of what is held (lists.publish.Held): a keyed digest."""
    choice: Choice
    by: str
    """The Unix user."""
    at: datetime
    note: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where an entry stands, and who has asked for it to be otherwise so far."""

    standing: Standing
    people: tuple[str, ...] = ()
    """Who has spoken for a change, in order: for the release of what waits or is kept, for keeping what is released."""


def settle(decisions: Iterable[Decision], needed: int) -> Settled:
    """Return where an entry stands after these decisions, the oldest first, on a list that needs so many people.

    Asked again whenever it counts: a list may have become mandatory since.
    """
    standing, people = Standing.WAITING, dict[str, str]()
    for decision in decisions:
        release = decision.choice is Choice.RELEASE
        if release is (standing is Standing.RELEASED):  # it says what holds: whoever wanted otherwise begins anew
            people.clear()
            if standing is Standing.WAITING:
                standing = Standing.KEPT
            continue
        people[person(decision.by)] = decision.by
        if len(people) >= needed:
            standing = Standing.RELEASED if release else Standing.KEPT
            people.clear()
    return Settled(standing, tuple(people.values()))


def check(decisions: Sequence[Decision], choice: Choice, by: str, note: str, needed: int) -> str:
    """Return the name under which `by` may say this now. Raises MoveError where it would change nothing, or is none."""
    name = check_name(by)
    if len(note) > NOTE_LIMIT:
        raise MoveError(f"a note has at most {NOTE_LIMIT} characters")
    before = settle(decisions, needed)
    released = before.standing is Standing.RELEASED
    if (choice is Choice.RELEASE) is not released and person(name) in map(person, before.people):
        raise MoveError(f"{name} has said so already; another person is needed")
    said = Standing.RELEASED if choice is Choice.RELEASE else Standing.KEPT
    if before.standing is said and not before.people:
        raise MoveError(f"this entry is {said} already")
    return name


def overdue(since: datetime, standing: Standing, deadline: timedelta, now: datetime) -> bool:
    """Tell whether an entry waits longer for its decision than `deadline`. What was kept or released waits no more."""
    return standing is Standing.WAITING and now - since > deadline
