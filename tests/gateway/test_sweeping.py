"""Who waits too long is ended, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from filterproxy.gateway import sweeping
from filterproxy.gateway.sweeping import NEVER, Sweeper


class Item:
    def __init__(self, sweeper: Sweeper, deadline: float) -> None:
        self.sweeper, self.deadline, self.ended = sweeper, deadline, 0

    def retire(self) -> None:
        self.deadline = 0.0

    def overdue(self) -> None:
        self.ended += 1
        self.sweeper.leave(self)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(sweeping, "EVERY", 0.01)


async def test_who_is_overdue_is_told_once():
    """Those whose time has not come, or never comes, are left alone; and so are those who left."""
    sweeper = Sweeper(asyncio.get_running_loop())
    now = sweeper.clock()
    late, soon, never, gone = (Item(sweeper, deadline) for deadline in (now, now + 0.1, NEVER, now))
    for item in (late, soon, never, gone):
        sweeper.join(item)
    sweeper.leave(gone)
    await asyncio.sleep(0.05)
    assert [item.ended for item in (late, soon, never, gone)] == [1, 0, 0, 0]
    await asyncio.sleep(0.1)
    assert [item.ended for item in (late, soon, never, gone)] == [1, 1, 0, 0]
    assert len(sweeper) == 1
    sweeper.close()


async def test_it_rests_while_nobody_is_there_and_begins_again():
    """A process without connections is not woken."""
    sweeper = Sweeper(asyncio.get_running_loop())
    first = Item(sweeper, 0)
    sweeper.join(first)
    await asyncio.sleep(0.05)
    assert (first.ended, sweeper._timer) == (1, None)
    second = Item(sweeper, 0)
    sweeper.join(second)
    await asyncio.sleep(0.05)
    assert second.ended == 1
    sweeper.close()
    sweeper.join(Item(sweeper, 0))
    assert sweeper._timer is None
