"""One way out, such as mail: gathers alerts, sends them in a thread of its own, tries again, and counts what is lost.

Nothing that raises an alert ever waits for it; each way has its own thread, so that one that stalls delays no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from filterproxy.errors import SecretError

from .alert import Alert
from .batch import Batch

_log = logging.getLogger(__name__)


class DeliveryError(Exception):
    """A message did not arrive. It is sent again, and counted as lost after the last attempt.

    The text stands in the log: it holds no URL and no address.
    """


class Way(Protocol):
    """Where messages go."""

    name: str

    def send(self, batch: Batch) -> None:
        """Deliver a message, in bounded time. Raises DeliveryError, SecretError or OSError."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast alerts go out, in seconds."""

    gather: float = 60.0
    """How long alerts of one kind are gathered into a message."""
    waits: tuple[float, ...] = (10.0, 60.0, 300.0, 1200.0, 3600.0, 14_400.0, 43_200.0)
    """The pauses between attempts; after the attempt that follows the last of them the message is lost."""
    held: int = 100
    """Messages that wait at most; then the oldest is lost."""


@dataclass(slots=True)
class _Sending:
    batch: Batch
    due: float
    """On the monotonic clock."""
    attempts: int = 0


class Outbox:
    """Thread-safe. The thread starts with the first alert."""

    def __init__(self, way: Way, pace: Pace, on_idle: Callable[[], None]) -> None:
        """Send by `way`; `on_idle` is called, in the thread, whenever nothing is left to send."""
        self._way, self._pace, self._on_idle = way, pace, on_idle
        self._changed = threading.Condition()
        self._gathering: dict[str, Batch] = {}
        self._waiting: list[_Sending] = []
        self._in_hand: _Sending | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self.lost = 0
        """Alerts that nobody was told of by this way."""
        self.cut_short = False
        """Whether some of these were lost only because this way closed."""

    @property
    def name(self) -> str:
        """The way's name."""
        return self._way.name

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._waiting and self._in_hand is None

    def put(self, alert: Alert, now: float) -> None:
        """Take an alert raised at `now` (Unix time), and return at once."""
        with self._changed:
            batch = self._gathering.get(alert.kind)
            if batch is None:
                batch = self._gathering[alert.kind] = Batch(alert.kind, now)
                self._wait(_Sending(batch, time.monotonic() + self._pace.gather))
            batch.add(alert)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name=f"alerts-{self.name}", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Send what waits now, each message once, and then end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Return when all is sent, or after `timeout` seconds."""
        self.hurry()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._changed:
            self.cut_short = self.cut_short or bool(self._waiting) or self._in_hand is not None

    def _run(self) -> None:
        while (sending := self._next()) is not None:
            reason = self._attempt(sending)
            with self._changed:
                self._in_hand = None
                if reason:
                    self._failed(sending, reason)
            if self.idle:
                self._on_idle()

    def _next(self) -> _Sending | None:
        """Return the next message when its time has come, or None when all is sent and this way closes."""
        with self._changed:
            while True:
                now = time.monotonic()
                first = min(self._waiting, key=lambda sending: sending.due, default=None)
                if first is None and self._closing:
                    return None
                if first is not None and (first.due <= now or self._closing):
                    self._take(first)
                    self._in_hand = first
                    return first
                self._changed.wait(None if first is None else first.due - now)

    def _attempt(self, sending: _Sending) -> str:
        """Send a message and return why it failed; empty where it arrived."""
        sending.attempts += 1
        try:
            self._way.send(sending.batch)
        except (DeliveryError, SecretError) as exc:
            return str(exc)
        except Exception as exc:  # noqa: BLE001 - the thread must live, and the text may hold anything
            return type(exc).__name__
        return ""

    def _failed(self, sending: _Sending, reason: str) -> None:
        fields = {"way": self.name, "kind": sending.batch.kind, "alerts": sending.batch.count, "reason": reason}
        if self._closing or sending.attempts > len(self._pace.waits):
            self.cut_short = self.cut_short or self._closing
            self._lose(sending, reason)
            return
        _log.warning("alerts_not_delivered", extra={"fields": fields | {"attempt": sending.attempts}})
        sending.due = time.monotonic() + self._pace.waits[sending.attempts - 1]
        self._wait(sending)

    def _wait(self, sending: _Sending) -> None:
        """Let a message wait its turn; too many, and the oldest is lost."""
        self._waiting.append(sending)
        if len(self._waiting) > self._pace.held:
            oldest = min(self._waiting, key=lambda waiting: waiting.batch.opened)
            self._take(oldest)
            self._lose(oldest, "too many messages wait")
        self._changed.notify_all()

    def _take(self, sending: _Sending) -> None:
        self._waiting.remove(sending)
        if self._gathering.get(sending.batch.kind) is sending.batch:
            del self._gathering[sending.batch.kind]

    def _lose(self, sending: _Sending, reason: str) -> None:
        batch = sending.batch
        self.lost += batch.count
        fields = {"way": self.name, "kind": batch.kind, "alerts": batch.count, "reason": reason}
        _log.error("alerts_lost", extra={"fields": fields})
