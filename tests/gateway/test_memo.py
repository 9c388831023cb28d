"""What was read lately."""

from __future__ import annotations

import asyncio

from filterproxy.gateway import memo as room
from filterproxy.gateway.memo import Memo


async def test_what_was_read_is_known_for_a_while(monkeypatch):
    """Then all of it is forgotten, for it is what people send."""
    monkeypatch.setattr(room, "SECONDS", 0.05)
    memo = Memo[int](asyncio.get_running_loop())
    memo.put(b"a", 1)
    memo.put(b"b", 2)
    assert (memo.get(b"a"), memo.get(b"b"), memo.get(b"c"), len(memo)) == (1, 2, None, 2)
    await asyncio.sleep(0.1)
    assert len(memo) == 0
    memo.put(b"a", 3)
    assert memo.get(b"a") == 3
    memo.forget()
    assert memo.get(b"a") is None


async def test_it_is_small(monkeypatch):
    """So many, and none that is long."""
    monkeypatch.setattr(room, "MOST", 3)
    memo = Memo[int](asyncio.get_running_loop())
    for number in range(10):
        memo.put(b"%d" % number, number)
        assert len(memo) <= 3
    memo.put(b"x" * (room.LONGEST + 1), 1)
    assert memo.get(b"x" * (room.LONGEST + 1)) is None
    memo.forget()


def test_without_a_loop_nothing_is_known():
    """Where nobody could forget it."""
    memo = Memo[int]()
    memo.put(b"a", 1)
    assert len(memo) == 0
