"""Who may put in force what the guard held back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.quarantine import NOTE_LIMIT, Choice, Decision, Standing, check, overdue, settle
from filterproxy.errors import MoveError


def said(text, now):
    """Return decisions from `ann+ ben-`: who, and + for release, - for keep."""
    return [
        Decision("law", "0" * 32, Choice.RELEASE if word[-1] == "+" else Choice.KEEP, word[:-1], now)
        for word in text.split()
    ]


@pytest.mark.parametrize(
    ("text", "needed", "standing", "people"),
    [
        ("", 1, Standing.WAITING, ()),
        ("ann+", 1, Standing.RELEASED, ()),
        ("ann-", 1, Standing.KEPT, ()),
        ("ann+ ben-", 1, Standing.KEPT, ()),
        ("ann- ben+", 1, Standing.RELEASED, ()),
        ("ann+", 2, Standing.WAITING, ("ann",)),
        ("ann+ ann+", 2, Standing.WAITING, ("ann",)),
        ("ann+ ANN+", 2, Standing.WAITING, ("ANN",)),  # one person, however the name is spelled
        ("ann+ ben+", 2, Standing.RELEASED, ()),
        ("ann-", 2, Standing.KEPT, ()),
        ("ann+ ben-", 2, Standing.KEPT, ()),
        ("ann+ ben- cid+", 2, Standing.KEPT, ("cid",)),  # what Ann said before the keep counts no more
        ("ann+ ben- cid+ ann+", 2, Standing.RELEASED, ()),
        ("ann- ben+ ann-", 2, Standing.KEPT, ()),
        ("ann+ ben+ cid-", 2, Standing.RELEASED, ("cid",)),  # nobody takes out alone what two put in force
        ("ann+ ben+ cid- ann-", 2, Standing.KEPT, ()),
        ("ann+ ben+ cid- dan+", 2, Standing.RELEASED, ()),
    ],
)
def test_as_many_as_the_list_needs_release_and_one_keeps(now, text, needed, standing, people):
    """One person for a plain list, two different ones for a mandatory list; one keep settles that it stays out."""
    found = settle(said(text, now), needed)
    assert (found.standing, found.people) == (standing, people)


def test_a_list_that_became_mandatory_needs_another_person(now):
    """What one person released while the list was plain waits for the second one now."""
    one = said("ann+", now)
    assert settle(one, 1).standing is Standing.RELEASED
    assert settle(one, 2).standing is Standing.WAITING


@pytest.mark.parametrize(
    ("text", "choice", "by", "needed", "message"),
    [
        ("ann+", Choice.RELEASE, "ann", 2, "another person"),
        ("ann+", Choice.RELEASE, " Ann ", 2, "another person"),
        ("ann+ ben+ cid-", Choice.KEEP, "cid", 2, "another person"),
        ("ann+", Choice.RELEASE, "ben", 1, "released already"),
        ("ann-", Choice.KEEP, "ben", 2, "kept already"),
        ("", Choice.RELEASE, " ", 1, "needs a name"),
    ],
)
def test_what_would_change_nothing_is_refused(now, text, choice, by, needed, message):
    """The same person twice, what is settled already, and nobody at all are refused with the reason."""
    with pytest.raises(MoveError, match=message):
        check(said(text, now), choice, by, "", needed)


def test_a_note_has_an_end(now):
    """A note that is kept is kept whole; a longer one is refused."""
    assert check([], Choice.KEEP, "ann", "x" * NOTE_LIMIT, 1) == "ann"
    with pytest.raises(MoveError, match="characters"):
        check([], Choice.KEEP, "ann", "x" * (NOTE_LIMIT + 1), 1)


@pytest.mark.parametrize(
    ("standing", "hours", "late"),
    [
        (Standing.WAITING, 24, False),
        (Standing.WAITING, 25, True),
        (Standing.KEPT, 25, False),
        (Standing.RELEASED, 25, False),
    ],
)
def test_only_what_waits_is_ever_overdue(now, standing, hours, late):
    """The deadline is for people who have not decided; what they decided waits no more."""
    assert overdue(now - timedelta(hours=hours), standing, timedelta(days=1), now) is late


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_on_a_mandatory_list_nobody_changes_anything_alone(words):
    """Whatever is said in whatever order, an entry comes into force, or out of it, by two different people only."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    decisions = [Decision("law", "0", Choice.RELEASE if up else Choice.KEEP, who, moment) for who, up in words]
    for number in range(1, len(decisions)):
        before, after = (settle(decisions[:end], 2).standing for end in (number, number + 1))
        if (before is Standing.RELEASED) is not (after is Standing.RELEASED):
            assert len({decision.by for decision in decisions[: number + 1]}) >= 2
            assert settle(decisions[:number], 2).people not in ((), (decisions[number].by,))
