from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.transfer import versions
from filterproxy.dns.transfer.versions import Version, newer
from tests.dns.transfer.zones import names, zone


def grown(*steps):
    """Return the version that these lists of names led to, serials from 1."""
    version = Version(zone(names(*steps[0])), 1)
    for serial, step in enumerate(steps[1:], 2):
        version = version.after(zone(names(*step)), serial)
    return version


def records(of):
    """Return packed records as a set."""
    return {of[at] for at in range(len(of))}


@given(
    st.lists(
        st.sets(st.sampled_from(["a.example", "b.example.", "*.c.example", "d.c.example"])), min_size=1, max_size=6
    )
)
def test_differences_lead_from_any_version_to_the_last(steps):
    """Whatever serial a receiver has, what it removes and adds makes its zone the current one."""
    version = grown(*steps)
    for serial, step in enumerate(steps, 1):
        has = records(zone(names(*step)).records)
        for difference in version.since(serial):
            assert records(difference.removed) <= has
            assert not records(difference.added) & has
            has = has - records(difference.removed) | records(difference.added)
        assert has == records(version.zone.records)


def test_a_serial_that_is_not_known_leads_nowhere():
    """Then the whole zone is given."""
    version = grown(["a.example"], ["b.example"])
    assert version.since(7) is None
    assert version.since(2) == ()
    assert len(version.since(1)) == 1


def test_history_is_bounded_by_count(monkeypatch):
    """The oldest differences go first."""
    monkeypatch.setattr(versions, "MAX_DIFFERENCES", 2)
    version = grown(*([f"{n}.a.example"] for n in range(5)))
    assert [step.before for step in version.differences] == [3, 4]


def test_history_is_bounded_by_records(monkeypatch):
    """What is kept never holds more records than that, and one difference beyond it ends all history."""
    monkeypatch.setattr(versions, "MAX_RECORDS", 4)
    version = grown(*([f"{n}.a.example"] for n in range(5)))
    assert [step.before for step in version.differences] == [3, 4]
    assert version.after(zone(names(*(f"{n}.b.example" for n in range(5)))), 9).differences == ()
    assert version.after(zone(names(*(f"{n}.b.example" for n in range(4)))), 9).differences == ()


def test_a_change_of_more_than_records_ends_history():
    """Where every record or the SOA's own data change, and where serials go back, the whole zone is given."""
    version = grown(["a.example"], ["b.example"])
    assert version.after(zone(names("b.example"), ttl=30), 3).differences == ()
    assert version.after(zone(names("c.example")), 1).differences == ()


def test_the_same_serial_is_the_same_version():
    """Building anew what says the same changes nothing for a receiver, but when it next changes."""
    version = grown(["a.example"], ["b.example"])
    again = zone(names("b.example"))
    assert (version.after(again, 2).differences, version.after(again, 2).zone) == (version.differences, again)


@pytest.mark.parametrize(
    ("serial", "than", "expected"),
    [(1, 0, True), (0, 0, False), (0, 1, False), (0, 2**32 - 1, True), (2**31 - 1, 0, True), (2**31, 0, False)],
)
def test_serials_go_round(serial, than, expected):
    """The next after the last number is newer (RFC 1982)."""
    assert newer(serial, than) is expected
