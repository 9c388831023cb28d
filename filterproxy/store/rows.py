"""What the store gives: frozen values, opened. What a person typed stays out of every representation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from filterproxy.core.appeals import Origin, State
from filterproxy.core.model import Entry
from filterproxy.core.policy import Override


@dataclass(frozen=True, slots=True)
class Filed:
    """What a person takes away: the number to talk about, and the secret that opens the status page."""

    receipt: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """That an appeal came into a state."""

    state: State
    at: datetime


@dataclass(frozen=True, slots=True)
class AppealStatus:
    """What the holder of the secret may see. It does not say whether the address is listed."""

    receipt: str
    created_at: datetime
    state: State
    decided_at: datetime | None
    answer: str
    steps: tuple[Step, ...]
    """Every state since it was received, in order."""


@dataclass(frozen=True, slots=True)
class Move:
    """A step, and who took it."""

    at: datetime
    from_state: State
    to_state: State
    by: str
    note: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppealRow:
    """All that is kept of an appeal, for those who decide."""

    receipt: str
    created_at: datetime
    state: State
    origin: Origin
    list_id: str | None
    subject: str = field(repr=False)
    message: str = field(repr=False)
    contact: str = field(repr=False)
    reference: str = field(repr=False)
    """What stood on the notice, as the person's token says it; empty where the address was typed."""
    decided_at: datetime | None
    answer: str = field(repr=False)
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class AppealCounts:
    """How many appeals were received up to a day, and what had become of them when it ended. Exact: round them."""

    received: int
    granted: int
    rejected: int
    withdrawn: int

    @property
    def waiting(self) -> int:
        return self.received - self.granted - self.rejected - self.withdrawn


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """All that is kept of an override, in force or not."""

    id: str
    list_id: str
    entry: Entry = field(repr=False)
    reason: str = field(repr=False)
    reference: str = field(repr=False)
    needed: int
    """How many people have to approve it."""
    approved_by: tuple[str, ...]
    """Who has, in order."""
    receipt: str | None
    """The appeal it grants."""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @property
    def approved(self) -> bool:
        return len(self.approved_by) >= self.needed

    def in_force(self, now: datetime) -> bool:
        return self.approved and self.revoked_at is None and self.expires_at > now

    @property
    def override(self) -> Override:
        """The part that the decision needs."""
        return Override(self.id, self.list_id, self.entry, self.expires_at, self.reference, self.approved_by)
