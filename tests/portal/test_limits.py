"""The limit counts networks, forgets, and stays small."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.portal.limits import Limiter

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("one", "other", "same"), [
    ("192.0.2.1", "192.0.2.254", True),
    ("192.0.2.1", "192.0.3.1", False),
    ("2001:db8:0:ff01::1", "2001:db8:0:ff02::1", True),  # one /56
    ("2001:db8:0:ff00::1", "2001:db8:1::1", False),
    ("::ffff:192.0.2.1", "192.0.2.9", True),
    ("fe80::1%eth0", "fe80::2%eth1", True),
    ("", "no address", True),
])  # fmt: skip
def test_a_network_counts_as_one(one, other, same):
    """Clients of one /24 or /56 share a limit; others do not."""
    limiter = Limiter(1, HOUR, b"key")
    assert limiter.allow(one, NOW)
    assert limiter.allow(other, NOW) is not same


def test_after_its_time_a_network_may_ask_again():
    """The limit holds for the span, however often one tries meanwhile, and ends with it."""
    limiter = Limiter(2, HOUR, b"key")
    assert [limiter.allow("192.0.2.1", NOW) for _ in range(4)] == [True, True, False, False]
    assert not limiter.allow("192.0.2.1", NOW + timedelta(minutes=59))
    assert limiter.allow("192.0.2.1", NOW + HOUR)


def test_a_flood_does_not_make_it_larger():
    """At most so many networks are remembered, and no address is among what is kept."""
    limiter = Limiter(1, HOUR, b"key", most=100)
    for number in range(1000):
        limiter.allow(f"10.{number // 256}.{number % 256}.1", NOW)
    assert len(limiter) == 100
    assert "10.0" not in repr(vars(limiter))


@given(st.text(max_size=60))
def test_any_client_is_counted(text):
    """Whatever stands for a client, the limit answers and never raises."""
    limiter = Limiter(1, HOUR, b"key")
    assert limiter.allow(text, NOW)
    assert not limiter.allow(text, NOW)
