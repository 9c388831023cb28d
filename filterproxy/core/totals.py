"""What the public may be told of counts: rounded, suppressed where small, and late. Pure.

An exact count, or one that moves at once, would confirm a probe: whoever asks for an address and sees a number
grow by one has learnt that it is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

SUPPRESSED_BELOW: Final = 10
"""Counts below this are never shown, zero among them: else "fewer than 10" would mean "at least one"."""

SUPPRESSED: Final = "fewer than 10"

_DELAY: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Total:
    """How often a list, at a frontend, led to an action on a day (UTC). `list_id` is empty where none did."""

    day: date
    list_id: str
    frontend: str
    action: str
    count: int


def rounded(n: int) -> int | None:
    """Return `n` to two significant digits, below a hundred to the nearest ten; None where it is suppressed.

    Halves go up. What is shown never shrinks while the count grows.
    """
    if n < SUPPRESSED_BELOW:
        return None
    unit: int = 10 ** max(1, len(str(n)) - 2)
    return (n + unit // 2) // unit * unit


def shown(n: int) -> str:
    """Return the words for a count: `1,200`, or `fewer than 10`."""
    value = rounded(n)
    return SUPPRESSED if value is None else f"{value:,}"


def until(now: datetime) -> date:
    """Return the last day (UTC) whose totals may be shown at `now`.

    It is the day before yesterday: yesterday ended less than a day ago, and what happened a minute before
    midnight must not show a minute after it. Raises ValueError where `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a time needs a time zone")
    return now.astimezone(UTC).date() - _DELAY
