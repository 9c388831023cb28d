from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns.transfer.packed import Records

RECORDS = st.lists(st.binary(min_size=1, max_size=20), unique=True, max_size=20)


@given(RECORDS)
def test_records_come_back_as_they_went_in(items):
    """Packing loses nothing and changes no order."""
    found = Records.of(iter(items))
    assert [found[at] for at in range(len(found))] == items


@given(RECORDS, st.integers(0, 20), st.integers(0, 200))
def test_a_run_is_as_long_as_fits(items, at, room):
    """As many records are taken as fit into the room, and not one more."""
    at = min(at, len(items))
    found = Records.of(items)
    end = found.fitting(at, room)
    assert bytes(found.run(at, end)) == b"".join(items[at:end])
    assert len(found.run(at, end)) <= room
    assert end == len(items) or len(found.run(at, end + 1)) > room


@given(RECORDS, RECORDS, st.integers(0, 20))
def test_what_another_does_not_have_is_found(ours, theirs, most):
    """The difference is that of sets, in our order; or none where it is too big."""
    left = [item for item in ours if item not in theirs]
    found = Records.of(ours).without(Records.of(theirs), most)
    assert (None if found is None else [found[at] for at in range(len(found))]) == (left if len(left) <= most else None)
