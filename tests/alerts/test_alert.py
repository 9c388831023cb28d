"""An alert is one line, of a known kind, and the same again where it is about the same."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.alerts import KINDS, Alert
from filterproxy.alerts import alert as made
from filterproxy.alerts.alert import TITLES


def test_every_kind_has_a_title():
    """A message of any kind can be headed."""
    assert tuple(TITLES) == KINDS


def test_an_unknown_kind_is_refused():
    """Kinds are labels of a metric: there are no others."""
    with pytest.raises(ValueError, match="no kind of alert"):
        Alert("surprise", "court", "Something happened.")


@given(st.text(max_size=600), st.dictionaries(st.text(max_size=20), st.text(max_size=600) | st.integers(), max_size=5))
def test_whatever_a_provider_wrote_an_alert_is_one_printable_line(text, facts):
    """No control character reaches a header, a log or a terminal, and nothing grows without bound."""
    alert = Alert("domain", "court", text, facts)
    for said in (alert.text, *(value for value in alert.facts.values() if isinstance(value, str))):
        assert said.isprintable()
        assert len(said) <= 500
    assert len(alert.key) == 32


def test_the_facts_cannot_be_changed_afterwards():
    """Who raised an alert keeps no hand on it."""
    facts = {"line": 1}
    alert = Alert("domain", "court", "…", facts)
    facts["line"] = 2
    assert alert.facts == {"line": 1}
    with pytest.raises(TypeError):
        alert.facts["line"] = 3  # type: ignore[index]


@pytest.mark.parametrize(("one", "other", "same"), [
    (made.list_refused("a", "12 entries, 90 before"), made.list_refused("a", "13 entries, 90 before"), True),
    (made.list_refused("a", "it stalled"), made.list_refused("a", "no signature"), False),
    (made.list_refused("a", "it stalled"), made.list_refused("b", "it stalled"), False),
    (made.list_stale("a", "", closed=True), made.list_stale("a", "2026-03-01T00:00:00+00:00", closed=True), False),
    (made.quarantine("a", 2, "own", identity="x"), made.quarantine("a", 2, "own", identity="y"), False),
    (made.quarantine("a", 2, "own", identity="x"), made.quarantine("a", 2, "own", identity="x"), True),
    (made.licence_ending("a", date(2026, 3, 1)), made.licence_ended("a", date(2026, 3, 1)), False),
    (made.licence_ending("a", date(2026, 3, 1)), made.licence_ending("a", date(2027, 3, 1)), False),
    (made.quarantine_overdue("a", 2, "2026-03-01"), made.quarantine_overdue("a", 1, "2026-03-01"), True),
    (made.enumeration("a", 200, "ab12"), made.enumeration("a", 150, "ab12"), True),
    (made.enumeration("a", 200, "ab12"), made.enumeration("a", 200, "cd34"), False),
])  # fmt: skip
def test_what_is_the_same_alert(one, other, same):
    """A number that changes with every attempt makes no new alert; another list, reason or term does."""
    assert (one.key == other.key) is same


def test_what_tells_alerts_apart_is_not_shown():
    """Not even by mistake, in a representation."""
    assert "mark" not in repr(Alert("domain", "court", "…", {}, "mark"))
