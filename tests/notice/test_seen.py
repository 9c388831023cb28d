"""The cookie that lets a person past a warning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.notice.seen import NAME, Seen

NOW = datetime(2026, 3, 1, 12, 55, tzinfo=UTC)
FACTS = ("192.168.1.5", "a.example", "words", NOW)


def value(seen: Seen) -> str:
    return seen.cookie(*FACTS, secure=False).split(";")[0].removeprefix(f"{NAME}=")


def test_a_cookie_says_that_the_warning_was_shown():
    """Also a little later, and to a neighbour's address in the same network."""
    seen = Seen(b"k" * 32)
    given = ["x", value(seen)]
    assert seen.shown(given, *FACTS)
    assert seen.shown(given, "192.168.1.77", "a.example", "words", NOW + timedelta(minutes=10))


@pytest.mark.parametrize(
    "facts",
    [
        ("192.168.2.5", "a.example", "words", NOW),
        ("2001:db8::1", "a.example", "words", NOW),
        ("192.168.1.5", "b.example", "words", NOW),
        ("192.168.1.5", "a.example", "other", NOW),
        ("192.168.1.5", "a.example", "words", NOW + timedelta(hours=2)),
        ("192.168.1.5", "a.example", "words", NOW - timedelta(hours=2)),
    ],
)
def test_it_says_so_of_nothing_else(facts):
    """Another network, host, list or time warns anew; so does another key."""
    assert not Seen(b"k" * 32).shown([value(Seen(b"k" * 32))], *facts)
    assert not Seen(b"k" * 32).shown([value(Seen(b"x" * 32))], *FACTS)


def test_over_tls_it_stays_there():
    """Secure is added where the page came over TLS."""
    assert Seen(b"k" * 32).cookie(*FACTS, secure=True).endswith("; SameSite=Lax; Secure")


@given(st.text(max_size=40))
def test_nothing_else_is_taken_for_it(text):
    """Whatever a client writes there, it is only no."""
    assert not Seen(b"k" * 32).shown([text], *FACTS)
