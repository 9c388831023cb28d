from __future__ import annotations

from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.dns.transfer.coverage import BLOCKED, DENIED, NOTHING, SPARED, Coverage
from tests.dns.transfer.zones import names
from tests.policies import NOW


def covered(entries, overrides=()):
    """Return what is said of names, as `{name: (itself, below)}`."""
    found = Coverage(Listing("list"), frozenset(), NOW)
    found.override(overrides)
    found.add(entries)
    said = list(found.names())
    assert said == sorted(said)
    return {name: (itself, below) for name, itself, below in said}


def test_what_lies_between_two_names_is_said_where_the_upper_speaks_for_all_below():
    """A name that is there hides what is above it; so each name between is said too, and only there."""
    found = covered(names("a.example.", "d.c.b.a.example", "z.y.example"))
    assert found == {
        "a.example": (DENIED, DENIED), "b.a.example": (DENIED, DENIED), "c.b.a.example": (DENIED, DENIED),
        "d.c.b.a.example": (BLOCKED, DENIED), "z.y.example": (BLOCKED, NOTHING),
    }  # fmt: skip


def test_what_says_the_same_as_what_is_above_is_left_out():
    """A listed name below a listed tree costs nothing, unless something else lies below it."""
    assert set(covered(names("a.example.", "b.a.example.", "*.c.a.example"))) == {"a.example"}
    assert set(covered(names("a.example.", "b.a.example.", "c.b.a.example"))) == {
        "a.example",
        "b.a.example",
        "c.b.a.example",
    }


def test_an_exception_where_nothing_is_blocked_says_nothing():
    """What ends a resolver's search is said only where it must be."""
    allow = [entry._replace(action=Action.ALLOW) for entry in names("a.example.", "b.c.example", "e.c.example.")]
    assert covered([*names("c.example", "f.e.c.example"), *allow]) == {
        "c.example": (BLOCKED, NOTHING), "f.e.c.example": (BLOCKED, NOTHING),
    }  # fmt: skip


def test_an_override_spares_what_it_names():
    """It counts for its own scope, beats whatever the list says, and keeps what is above from denying it."""
    important = [entry._replace(important=True) for entry in names("a.example.", "b.a.example")]
    assert covered(important, names("b.a.example")) == {
        "a.example": (BLOCKED, DENIED), "b.a.example": (SPARED, DENIED),
    }  # fmt: skip


def test_an_override_of_a_url_frees_no_name_by_itself():
    """Of a list whose hosts are not blocked nothing is said, spared or not."""
    page = Entry(Kind.URL, "a.example/x", Scope.PAGE)
    assert covered([page, *names("a.example")], [page]) == {"a.example": (BLOCKED, NOTHING)}
