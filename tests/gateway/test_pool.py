"""Connections to origins that wait for the next request."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from filterproxy.gateway.origin import IDLE
from filterproxy.gateway.pool import Pool


class Kept:
    """What a pool knows of an origin."""

    def __init__(self, key: Hashable, *, fit: bool = True) -> None:
        self.key, self.fit = key, fit
        self.left = self.rested = False
        self.idle = 0.0

    def leave(self) -> None:
        self.left = True

    def rest(self) -> None:
        self.rested = True

    def idle_for(self, allowed: float) -> float:
        assert allowed == IDLE
        return self.idle


def made(*origins: Kept, most: int = 10, each: int = 5) -> Any:
    pool: Any = Pool(most, each)
    for origin in origins:
        pool.give(origin)
    return pool


def test_the_one_that_was_used_last_is_used_next():
    """Those that wait long are closed by their origins first; another key's are another's."""
    one, two, other = Kept("a"), Kept("a"), Kept("b")
    pool = made(one, two, other)
    assert one.rested
    assert len(pool) == 3
    assert [pool.take("a"), pool.take("a"), pool.take("a"), pool.take("b")] == [two, one, None, other]
    assert (len(pool), pool._of) == (0, {})


def test_who_is_not_fit_is_left():
    """When it comes, and when it is wanted."""
    one, two = Kept("a"), Kept("a")
    pool = made(one, two)
    two.fit = False
    assert pool.take("a") is one
    assert two.left
    gone = Kept("a", fit=False)
    pool.give(gone)
    assert gone.left
    assert len(pool) == 0


def test_who_waited_longest_makes_room():
    """Of its key where that has its share, else of all."""
    origins = [Kept("a"), Kept("a"), Kept("a"), Kept("b"), Kept("c"), Kept("d")]
    pool = made(*origins, most=4, each=2)
    assert [origin.left for origin in origins] == [True, True, False, False, False, False]
    assert len(pool) == 4


@pytest.mark.parametrize(("most", "each"), [(0, 5), (5, 0)])
def test_nothing_is_kept_where_nothing_may_be(most, each):
    """As the settings may say."""
    one = Kept("a")
    assert made(one, most=most, each=each).take("a") is None
    assert one.left


def test_what_cannot_be_asked_twice_takes_none_that_waited_long():
    """The one used last, if that was just now."""
    old, new = Kept("a"), Kept("a")
    old.idle, new.idle = 9.0, 0.5
    pool = made(old, new)
    assert pool.take_fresh("a", 1.0) is new
    assert pool.take_fresh("a", 1.0) is None
    assert pool.take_fresh("b", 1.0) is None
    assert pool.take("a") is old


def test_one_that_is_no_more_is_forgotten():
    """Also one that was never here."""
    one, other = Kept("a"), Kept("a")
    pool = made(one)
    pool.gone(other)
    pool.gone(one)
    assert pool.take("a") is None
    pool.give(other)
    pool.close()
    assert other.left
    assert len(pool) == 0
