"""What is known of upstreams, and the order in which they are asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.upstreams.health import LEAST_DOUBT, Health, order


def known(rtt: float | None = None, *, resting: bool = False, silent: bool = False) -> Health:
    return Health(rtt=rtt, resting=resting, silent=silent)


@pytest.mark.parametrize(
    ("healths", "first", "expected"),
    [
        ([known(), known(), known()], 0, (0, 1, 2)),  # as configured, until one is known
        ([known(), known(0.5), known()], 0, (1, 0, 2)),
        ([known(0.010), known(0.009)], 0, (0, 1)),  # hardly faster
        ([known(0.010), known(0.007)], 0, (1, 0)),
        ([known(0.010), known(0.009)], 1, (1, 0)),
        ([known(0.001, resting=True), known(0.5), known()], 0, (1, 2, 0)),
        ([known(0.001, silent=True), known(0.5), known(0.002, resting=True)], 0, (1, 0, 2)),
    ],
)
def test_the_fastest_is_first_and_the_resting_last(healths, first, expected):
    """Who is preferred stays so until another is a quarter faster: what one has in its cache another must fetch."""
    assert order(healths, first) == expected


def test_a_slow_answer_counts_for_little_and_a_fast_one_for_much():
    """Whoever asks for slow names cannot make an upstream look slow with a few of them."""
    health = Health()
    health.heard(0, 0.002)
    for _ in range(4):
        health.heard(0, 2.0)
    assert health.rtt is not None
    assert health.rtt < 0.006
    health.rtt = 1.0
    for _ in range(10):
        health.heard(0, 0.002)
    assert health.rtt < 0.1


def test_one_that_answers_something_does_not_rest_for_what_it_does_not():
    """Only where nothing at all was heard since a question was sent is it that the upstream cannot be reached."""
    health = Health()
    health.heard(10.0, 0.01)
    assert not health.missed(9.0, 20.0)
    assert not health.resting
    assert health.missed(11.0, 21.0)
    assert not health.missed(11.0, 22.0)  # it rests already
    assert (health.resting, health.rests_until) == (True, 22.0)
    assert health.heard(13.0, None)
    assert (health.resting, health.rests_until) == (False, 22.0)


def test_silence_is_noticed_once_and_ends_with_a_word():
    """It costs its place, until it says anything."""
    health = Health()
    health.heard(10.0, 0.01)
    assert not health.doubted(9.0)
    assert health.doubted(10.5)
    assert not health.doubted(10.6)
    assert health.heard(11.0, 0.01)
    assert not health.silent


@given(st.lists(st.floats(0, 10), max_size=30), st.floats(0.01, 60))
def test_patience_has_its_bounds(times, timeout):
    """Never more than a third of the time-out, nor less than the time in which a packet may be on its way."""
    health = Health()
    for took in times:
        health.heard(0, took)
    assert min(LEAST_DOUBT, timeout / 3) <= health.patience(timeout) <= timeout / 3
    assert health.rtt is None or 0 <= health.rtt <= 10


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 10), st.booleans(), st.booleans()), min_size=1, max_size=20), st.data()
)
def test_everybody_is_asked_in_the_end(facts, data):
    """An order leaves out nobody and names nobody twice."""
    healths = [known(rtt, resting=resting, silent=silent) for rtt, resting, silent in facts]
    first = data.draw(st.integers(0, len(healths) - 1))
    assert sorted(order(healths, first)) == list(range(len(healths)))
