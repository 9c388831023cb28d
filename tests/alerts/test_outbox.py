"""Whoever raises an alert never waits, and what could not be told is counted."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from filterproxy.alerts import Alert, Pace
from filterproxy.alerts.batch import Batch
from filterproxy.alerts.outbox import DeliveryError, Outbox
from filterproxy.errors import SecretError
from tests.alerts.receivers import until

SOON = Pace(gather=0.05, waits=(0.02, 0.02))


class Letters:
    """Takes messages, or fails as it is told."""

    name = "letters"

    def __init__(self, *fails: Exception) -> None:
        self.fails, self.attempts = list(fails), 0
        self.taken: list[Batch] = []
        self.hold = threading.Event()
        self.hold.set()

    def send(self, batch):
        self.hold.wait(20)
        self.attempts += 1
        if self.fails:
            raise self.fails.pop(0)
        self.taken.append(batch)


def alert(kind="domain", number=0):
    return Alert(kind, "court", "…", {"number": number})


@pytest.fixture
def opened():
    """Return a function that makes an outbox; all are closed at the end."""
    made = []

    def make(way, pace=SOON, on_idle=lambda: None):
        made.append(Outbox(way, pace, on_idle))
        return made[-1]

    yield make
    for outbox in made:
        outbox.close(20)


def test_alerts_of_a_kind_that_come_together_are_one_message(opened):
    """And those of another kind are another."""
    letters = Letters()
    outbox = opened(letters, Pace(gather=3600))
    for number in range(5000):
        outbox.put(alert(number=number), 1.0)
    outbox.put(alert("quarantine"), 1.0)
    outbox.close(20)
    assert sorted((batch.kind, batch.count) for batch in letters.taken) == [("domain", 5000), ("quarantine", 1)]
    assert outbox.lost == 0


def test_what_comes_later_is_a_message_of_its_own(opened):
    """A message is not changed once it is on its way."""
    letters = Letters()
    outbox = opened(letters)
    for number in (1, 2):
        outbox.put(alert(number=number), 1.0)
        until(lambda: outbox.idle)
    assert [batch.count for batch in letters.taken] == [1, 1]


def test_a_message_that_fails_is_sent_again_with_the_same_number(opened, caplog):
    """Until it arrives; the log says why it did not."""
    letters = Letters(DeliveryError("it answered 503"), OSError("mark.example"))
    outbox = opened(letters)
    outbox.put(alert(), 1.0)
    until(lambda: letters.taken)
    assert letters.attempts == 3
    assert outbox.lost == 0
    reasons = [record.fields["reason"] for record in caplog.records]
    assert reasons == ["it answered 503", "OSError"]  # an exception's own text may hold anything


def test_the_last_attempt_is_the_last(opened, caplog):
    """Then its alerts are lost, which is counted and an error."""
    letters = Letters(*[SecretError("the file is readable by others")] * 9)
    outbox = opened(letters, Pace(gather=0.5, waits=(0.02, 0.02)))
    outbox.put(alert(number=1), 1.0)
    outbox.put(alert(number=2), 1.0)
    until(lambda: outbox.lost)
    assert (letters.attempts, outbox.lost, outbox.idle) == (3, 2, True)
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].fields == {
        "way": "letters", "kind": "domain", "alerts": 2, "reason": "the file is readable by others",
    }  # fmt: skip


def test_too_many_messages_and_the_oldest_is_lost(opened):
    """A way that stalls holds no more than it may, and nobody who raises an alert waits for it."""
    letters = Letters()
    letters.hold.clear()
    outbox = opened(letters, Pace(gather=0.0, waits=(), held=3))
    begun = time.monotonic()
    outbox.put(alert(number=0), 0.0)
    until(lambda: outbox._in_hand is not None)
    kinds = ("domain", "quarantine", "list_stale", "list_refused", "licence_ended")
    for at, kind in enumerate(kinds, 1):
        outbox.put(alert(kind, at), float(at))
    assert time.monotonic() - begun < 5
    assert outbox.lost == 2
    letters.hold.set()
    until(lambda: outbox.idle)
    assert [batch.kind for batch in letters.taken] == ["domain", *kinds[2:]]


def test_closing_sends_what_waits_and_waits_no_longer_than_it_may(opened):
    """What was gathered goes out at once; what does not go is said to be cut short."""
    letters = Letters()
    outbox = opened(letters, Pace(gather=3600))
    outbox.put(alert(), 1.0)
    outbox.close(20)
    assert (len(letters.taken), outbox.lost, outbox.cut_short) == (1, 0, False)
    stalled = Letters()
    stalled.hold.clear()
    outbox = opened(stalled, Pace(gather=0))
    outbox.put(alert(), 1.0)
    begun = time.monotonic()
    outbox.close(0.2)
    assert time.monotonic() - begun < 5
    assert outbox.cut_short
    stalled.hold.set()


def test_a_message_that_fails_while_closing_is_not_tried_again(opened):
    """It is lost, and said to be cut short, so that the next start may raise it again."""
    letters = Letters(*[DeliveryError("refused")] * 9)
    outbox = opened(letters, Pace(gather=3600))
    outbox.put(alert(), 1.0)
    outbox.close(20)
    assert (letters.attempts, outbox.lost, outbox.cut_short) == (1, 1, True)


def test_idle_is_told_when_nothing_waits(opened):
    """Once per time that all is sent."""
    idle = threading.Event()
    outbox = opened(Letters(), on_idle=idle.set)
    outbox.put(alert(), 1.0)
    assert idle.wait(20)
    assert outbox.idle
