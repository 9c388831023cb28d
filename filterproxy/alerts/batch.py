"""Alerts of one kind that came together: one message tells up to fifty of them, and how many there were."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from .alert import TITLES, Alert

TOLD: Final = 50
"""Alerts that a message tells one by one; of the rest only their number."""


@dataclass(slots=True)
class Batch:
    """A message in the making. It grows until it is sent, and is not changed after."""

    kind: str
    opened: float
    """Unix time of its first alert."""
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    """Stays the same however often it is sent: a receiver knows a repetition by it."""
    alerts: list[Alert] = field(default_factory=list)
    lists: Counter[str] = field(default_factory=Counter)
    """How many alerts each list gave."""

    def add(self, alert: Alert) -> None:
        """Put an alert in."""
        self.lists[alert.list_id] += 1
        if len(self.alerts) < TOLD:
            self.alerts.append(alert)

    @property
    def count(self) -> int:
        """How many alerts it stands for."""
        return self.lists.total()

    @property
    def at(self) -> datetime:
        """When its first alert was raised, in UTC."""
        return datetime.fromtimestamp(self.opened, UTC)

    @property
    def title(self) -> str:
        """One line: what it is, how often, of which lists."""
        names = sorted(self.lists)
        of = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{TITLES[self.kind]} ({self.count}): {of}"
