"""Many alerts are one message, which says how many there were."""

from __future__ import annotations

from filterproxy.alerts import Alert
from filterproxy.alerts.batch import TOLD, Batch


def test_fifty_are_told_and_all_are_counted():
    """A list with 5,000 hits makes one message that can be read."""
    batch = Batch("domain", 0.0)
    for number in range(5000):
        batch.add(Alert("domain", f"list-{number % 5}", "…", {"line": number}))
    assert len(batch.alerts) == TOLD == 50
    assert (batch.count, batch.lists["list-3"]) == (5000, 1000)
    assert batch.title == "Entries fall on domains of yours (5000): list-0, list-1, list-2 and 2 more"


def test_each_message_has_a_number_of_its_own():
    """A receiver tells a repetition from another message."""
    assert Batch("domain", 0.0).id != Batch("domain", 0.0).id
