from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Kind, Scope
from filterproxy.lists.entries import CHUNK, Packing, unpacked

VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=80)
ENTRIES = st.builds(Entry, st.sampled_from(Kind), VALUES, st.sampled_from(Scope), st.sampled_from(Action))


@given(st.lists(ENTRIES, max_size=20))
def test_what_was_packed_is_unpacked(entries):
    """Kind, value, scope and action come back in order, whatever the value holds but the end of a line."""
    packing = Packing()
    for entry in entries:
        packing.add(entry)
    packing.end()
    assert [entry[:4] for entry in unpacked(packing.chunks)] == [entry[:4] for entry in entries]


def test_a_long_list_is_packed_in_chunks():
    """No chunk is much longer than its bound, so that one can be opened without the others."""
    packing = Packing()
    for number in range(10_000):
        packing.add(Entry(Kind.DOMAIN, f"name-{number}.example", Scope.TREE))
    packing.end()
    assert len(packing.chunks) > 10_000 * 20 // CHUNK
    assert sum(1 for _ in unpacked(packing.chunks)) == 10_000
