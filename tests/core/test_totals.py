"""What the public is told of counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.totals import rounded, shown, until


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "fewer than 10"),
        (1, "fewer than 10"),
        (9, "fewer than 10"),
        (10, "10"),
        (14, "10"),
        (15, "20"),
        (99, "100"),
        (104, "100"),
        (105, "110"),
        (994, "990"),
        (995, "1,000"),
        (1249, "1,200"),
        (1250, "1,300"),
        (123_456_789, "120,000,000"),
    ],
)
def test_a_count_is_told_rounded_or_not_at_all(count, told):
    """Two significant digits, tens below a hundred, nothing below ten: zero is not told from nine."""
    assert shown(count) == told


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_what_is_told_never_shrinks_while_the_count_grows(one, other):
    """Rounding keeps the order, and is never further off than half of what it rounds to."""
    low, high = sorted((one, other))
    assert (rounded(low) or 0) <= (rounded(high) or 0)
    value = rounded(high)
    if value is not None:
        assert value % 10 == 0
        assert abs(value - high) <= max(5, high // 19)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001
def test_nothing_is_told_before_it_is_a_day_old(moment, hours):
    """In whatever zone the clock speaks, the last day that is told ended a day ago at least, and two at most."""
    now = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    end = datetime.combine(until(now) + timedelta(days=1), time(), UTC)
    assert timedelta(days=1) <= now - end < timedelta(days=2)


def test_the_last_day_told_is_the_day_before_yesterday():
    """On the third of March, the totals go up to the first."""
    assert until(datetime(2026, 3, 3, tzinfo=UTC)) == date(2026, 3, 1)
    assert until(datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC)) == date(2026, 3, 1)
    with pytest.raises(ValueError, match="zone"):
        until(datetime(2026, 3, 3))  # noqa: DTZ001
