"""What the store gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from filterproxy.core.appeals import Origin, State
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.store import AppealCounts, AppealRow, Filed, Move, OverrideRow

SECRET = "very-private.example"


@pytest.fixture
def row(now) -> OverrideRow:
    return OverrideRow(
        id="1", list_id="own", entry=Entry(Kind.DOMAIN, SECRET, Scope.TREE), reason=SECRET, reference="case", needed=2,
        approved_by=("Ann", "Ben"), receipt=None, created_at=now, expires_at=now + timedelta(days=1), revoked_at=None,
    )  # fmt: skip


def test_no_representation_holds_what_was_typed(row, now):
    """A row that is printed by mistake shows no address, no words and no secret."""
    move = Move(now, State.RECEIVED, State.TRIAGED, "Ann", SECRET)
    appeal = AppealRow(
        "FP-0000-0000", now, State.RECEIVED, Origin.TYPED, None, SECRET, SECRET, SECRET, SECRET, None, SECRET, (move,)
    )
    for value in (row, row.override, move, appeal, Filed("FP-0000-0000", SECRET)):
        assert SECRET not in repr(value)


def test_an_override_is_in_force_while_approved_unexpired_and_unrevoked(row, now):
    """Each of the three is needed."""
    assert row.in_force(now)
    assert not row.in_force(row.expires_at)
    assert not replace(row, approved_by=("Ann",)).in_force(now)
    assert not replace(row, revoked_at=now).in_force(now)


def test_what_waits_is_what_is_neither_decided_nor_withdrawn():
    """The four numbers add up."""
    assert AppealCounts(received=10, granted=3, rejected=2, withdrawn=1).waiting == 4
