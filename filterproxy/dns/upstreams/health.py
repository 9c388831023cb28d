"""What is known of each upstream, and the order in which they are asked. Pure: times are seconds of one clock.

Only one that cannot be reached rests; what it says, however useless, is about the question and not about itself. Else
whoever asks for a name of his own could choose which upstream serves the others. For the same reason a slow answer
counts for little: it shows how far the name was fetched from, a fast one how far away the upstream is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FASTER, SLOWER = 1 / 4, 1 / 32
"""The weight of a time that is shorter than usual, and of one that is longer."""
MOST_SLOWER = 8
"""How many times the usual time a single one counts at most."""
LEAST_DOUBT = 0.05
"""Seconds before which no answer is missed."""
LOYALTY = 0.75
"""Another must be faster by this to be preferred: what one has in its cache, the other must fetch."""


@dataclass(slots=True)
class Health:
    """How one upstream does."""

    rtt: float | None = None
    """Its usual time to answer, smoothed; None before the first."""
    heard_at: float = float("-inf")
    resting: bool = False
    """Whether it could not be reached and has not answered since."""
    rests_until: float = 0.0
    silent: bool = False
    """Whether questions wait longer than usual and nothing at all was heard meanwhile."""

    def heard(self, now: float, took: float | None) -> bool:
        """Note that it answered, within `took` seconds if that is known. Return whether it comes back by that."""
        self.heard_at = now
        if took is not None:
            if self.rtt is None:
                self.rtt = took
            elif took < self.rtt:
                self.rtt += (took - self.rtt) * FASTER
            else:
                self.rtt += (min(took, self.rtt * MOST_SLOWER + 0.001) - self.rtt) * SLOWER
        back = self.resting or self.silent
        self.resting = self.silent = False
        return back

    def missed(self, asked_at: float, until: float) -> bool:
        """Note that a question of `asked_at` reached nobody. Return whether it rests for that, from now on.

        Not where something else was answered since: then it was the question.
        """
        if self.heard_at >= asked_at:
            return False
        begins, self.resting, self.rests_until = not self.resting, True, until
        return begins

    def doubted(self, asked_at: float) -> bool:
        """Note that a question of `asked_at` waits for long. Return whether that makes it silent."""
        if self.silent or self.heard_at >= asked_at:
            return False
        self.silent = True
        return True

    def patience(self, timeout: float) -> float:
        """Return how long to wait for it before another is asked beside; `timeout` is what it may take at most."""
        usual = timeout if self.rtt is None else self.rtt
        return min(max(3 * usual, LEAST_DOUBT), timeout / 3)


def order(healths: Sequence[Health], first: int) -> tuple[int, ...]:
    """Return the numbers of the upstreams as they are to be asked, where `first` has been asked first until now.

    Those that answer, by their speed, then those not measured yet, as configured; the silent, and the resting last.
    """

    def key(number: int) -> tuple[bool, bool, float, int]:
        health = healths[number]
        speed = float("inf") if health.rtt is None else health.rtt * (LOYALTY if number == first else 1)
        return health.resting, health.silent, speed, number

    return tuple(sorted(range(len(healths)), key=key))
