from __future__ import annotations

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Kind, Scope
from filterproxy.lists.entries import CHUNK, Packing, unpacked

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=20)
MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))
ENTRIES = st.builds(
    Entry, st.sampled_from(Kind), TEXT, st.sampled_from(Scope), st.sampled_from(Action), st.just(0),
    st.sampled_from(["", "http", "https", "ws"]), st.integers(1, 1000), st.text(max_size=20), MOMENTS, MOMENTS,
    st.frozensets(st.text(max_size=3), max_size=3), st.booleans(), st.lists(TEXT, max_size=3).map(tuple),
)  # fmt: skip


def packed(entries):
    """Return the chunks of entries."""
    packing = Packing()
    for entry in entries:
        packing.add(entry)
    packing.end()
    return packing.chunks


@given(st.lists(ENTRIES, max_size=5))
def test_what_was_packed_is_unpacked_whole(entries):
    """Every field comes back in order, whatever the value holds but the end of a line."""
    assert list(unpacked(packed(entries))) == entries


def test_a_long_list_is_packed_in_chunks():
    """No chunk is much longer than its bound, so that one can be opened without the others."""
    chunks = packed(Entry(Kind.DOMAIN, f"name-{number}.example", Scope.TREE) for number in range(10_000))
    assert len(chunks) > 10_000 * 20 // CHUNK
    assert sum(1 for _ in unpacked(chunks)) == 10_000
