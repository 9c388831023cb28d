"""An alert, and the few kinds there are. Pure: who raises one says what happened, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

Fact = str | int

KINDS: Final = (
    "domain", "list_refused", "list_stale", "quarantine", "quarantine_overdue", "licence_ending", "licence_ended",
    "enumeration",
)  # fmt: skip
"""Every kind of alert. They are labels of a metric: the names stay."""

TITLES: Final = {
    "domain": "Entries fall on domains of yours",
    "list_refused": "A list was refused",
    "list_stale": "A list is out of date",
    "quarantine": "Entries are in quarantine",
    "quarantine_overdue": "Entries in quarantine wait too long for a decision",
    "licence_ending": "The licence of a list ends soon",
    "licence_ended": "The licence of a list has ended",
    "enumeration": "Somebody may be finding out what is listed",
}
"""What people read of each kind."""

_MOST: Final = 500
"""Characters of a text or fact at most."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something an operator must hear of.

    `text` is one sentence, `facts` what a program would read. Neither holds a listed address of a confidential list,
    and what cannot be printed, such as the end of a line, is no part of either. `identity` tells it from other
    alerts of its kind and list, the facts where it is empty; it is hashed, and told to nobody.
    Raises ValueError for an unknown kind.
    """

    kind: str
    list_id: str
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    identity: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind} is no kind of alert")
        facts = {name: _clean(value) if isinstance(value, str) else value for name, value in self.facts.items()}
        object.__setattr__(self, "list_id", _clean(self.list_id))
        object.__setattr__(self, "text", _clean(self.text))
        object.__setattr__(self, "facts", MappingProxyType(facts))

    @property
    def key(self) -> str:
        """What the same alert has again: a digest (128 bits, in hex) of kind, list and identity or facts."""
        what = self.identity or sorted(self.facts.items())
        return blake2b(json.dumps([self.kind, self.list_id, what]).encode(), digest_size=16).hexdigest()


def list_refused(list_id: str, reason: str) -> Alert:
    """A new version was refused; the last good one, if any, stays. One reason is one alert, whatever its numbers."""
    identity = "".join(char for char in reason if not char.isdigit())
    text = f"List {list_id} was refused: {reason}. The last good version, if there is one, stays in force."
    return Alert("list_refused", list_id, text, {"reason": reason}, identity or "refused")


def list_stale(list_id: str, loaded_at: str, *, closed: bool) -> Alert:
    """A list never loaded (`loaded_at`, in ISO 8601, is empty) or is older than its `max_age`."""
    since = f"was last read at {loaded_at}, longer ago than its max_age" if loaded_at else "never loaded"
    follows = "what it would judge is refused" if closed else "filtering goes on without what is new in it"
    facts = {"loaded_at": loaded_at, "on_failure": "closed" if closed else "open"}
    return Alert("list_stale", list_id, f"List {list_id} {since}: {follows}.", facts, loaded_at or "never")


def quarantine(list_id: str, held: int, reason: str, *, identity: str) -> Alert:
    """`held` entries wait for people's decision. `identity` changes with what is held: a digest of the ids will do."""
    text = f"{held} of list {list_id} in quarantine until somebody decides: {reason}."
    return Alert("quarantine", list_id, text, {"held": held, "reason": reason}, identity)


def quarantine_overdue(list_id: str, held: int, since: str) -> Alert:
    """`held` entries have waited longer than `alerts.quarantine`, the first since `since` (ISO 8601)."""
    text = f"{held} of list {list_id} wait in quarantine for a decision, the first since {since}."
    return Alert("quarantine_overdue", list_id, text, {"held": held, "since": since}, since)


def licence_ending(list_id: str, until: date) -> Alert:
    """The licence ends within `alerts.licence`; `until` is its last day."""
    text = f"The licence of list {list_id} ends after {until.isoformat()}; then the list is wiped."
    return Alert("licence_ending", list_id, text, {"licence_until": until.isoformat()})


def licence_ended(list_id: str, until: date) -> Alert:
    """The licence ended after the day `until`, and the list was wiped."""
    text = f"The licence of list {list_id} ended after {until.isoformat()}: the list was wiped and blocks nothing."
    return Alert("licence_ended", list_id, text, {"licence_until": until.isoformat()})


def enumeration(list_id: str, entries: int, network: str) -> Alert:
    """One network of clients, told by a digest, met `entries` distinct entries of this list within an hour."""
    text = f"One network of clients met {entries} distinct entries of list {list_id} within an hour."
    return Alert("enumeration", list_id, text, {"entries": entries, "network": network}, network)


def _clean(text: str) -> str:
    """Return `text` on one line: a control character could end a header, or a line of a log."""
    return "".join(char if char.isprintable() else " " for char in text[:_MOST])
