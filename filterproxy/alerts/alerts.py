"""Raising alerts: each is logged, counted, and handed to the ways out. Nobody who raises one waits or fails."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from filterproxy.settings import Settings

from .alert import KINDS, TITLES, Alert
from .memory import Memory
from .outbox import Outbox, Pace, Way

_log = logging.getLogger("filterproxy.alerts")
_LEVEL: Final = dict.fromkeys(KINDS, logging.WARNING) | dict.fromkeys(
    ("list_stale", "list_refused", "quarantine_overdue", "licence_ended"), logging.ERROR
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What was raised and what was lost, since this process began."""

    raised: dict[tuple[str, str], int]
    """By kind and list; what was not told again is not counted again."""
    undelivered: dict[str, int]
    """By way."""


class Alerts:
    """Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        ways: Sequence[Way] | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the ways that the settings name, unless `ways` does; nothing runs before the first alert."""
        self._clock = clock
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._memory = Memory(settings.runtime.state / "alerts.json")
        # All from nought, or Prometheus would miss the first of each: a counter that appears has not grown.
        self._raised = Counter(dict.fromkeys(product(KINDS, [table.id for table in settings.lists]), 0))
        chosen = ways_of(settings) if ways is None else ways
        self._outboxes = [Outbox(way, pace, self._remember) for way in chosen]

    def raise_(self, alert: Alert) -> None:
        """Tell of `alert`, unless it was told already. Returns at once, and never raises."""
        try:
            now = self._clock()
            with self._lock:
                if not self._memory.is_new(alert, now):
                    return
                self._raised[alert.kind, alert.list_id] += 1
            _log.log(_LEVEL[alert.kind], "alert", extra={"fields": _told(alert)})
            for outbox in self._outboxes:
                outbox.put(alert, now)
        except Exception as exc:  # noqa: BLE001 - an alarm that fails must not stop what raised it
            _log.error("alert_failed", extra={"fields": {"error": type(exc).__name__}})

    def raise_all(self, alerts: Iterable[Alert]) -> None:
        """Tell of each."""
        for alert in alerts:
            self.raise_(alert)

    def counts(self) -> Counts:
        """Return what the metrics show."""
        with self._lock:
            raised = dict(self._raised)
        return Counts(raised, {outbox.name: outbox.lost for outbox in self._outboxes})

    def close(self, timeout: float) -> None:
        """Send what waits, once, and return after `timeout` seconds at the latest. What was raised after is lost."""
        end = time.monotonic() + timeout
        for outbox in self._outboxes:
            outbox.hurry()
        for outbox in self._outboxes:
            outbox.close(max(0.0, end - time.monotonic()))
        self._remember()

    def _remember(self) -> None:
        """Write down what was told, unless some of it still waits or was cut short: that is to be raised again."""
        if not all(outbox.idle and not outbox.cut_short for outbox in self._outboxes):
            return
        with self._writing:
            with self._lock:
                content = self._memory.unwritten()
            if content is None:
                return
            try:
                self._memory.write(content)
            except OSError as exc:
                _log.warning("alerts_not_remembered", extra={"fields": {"reason": exc.strerror or type(exc).__name__}})


def ways_of(settings: Settings) -> list[Way]:
    """Return the ways that the settings name."""
    from .mail import Mailer
    from .webhook import Webhook

    found: list[Way] = []
    if settings.alerts.webhook:
        found.append(Webhook(settings.alerts, settings.operator.name))
    if settings.alerts.email:
        found.append(Mailer(settings.mail, settings.alerts.email, settings.operator.name))
    return found


def _told(alert: Alert) -> dict[str, str | int]:
    """Return what the log is told: no entry, be it of an open list; those who are to read it get it otherwise.

    A domain of ours may be the very entry of a confidential list, and a reason for quarantine names what is held.
    """
    facts, text = dict(alert.facts), alert.text
    if alert.kind == "quarantine" or (alert.kind == "domain" and "value" not in facts):
        text = f"{TITLES[alert.kind]}."
        facts.pop("domain", None)
        facts.pop("reason", None)
    facts.pop("value", None)
    return {"kind": alert.kind, "list": alert.list_id, **facts, "text": text}
