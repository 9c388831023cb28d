from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.lists.changes import changes, id_of, ids
from filterproxy.lists.compile import compile_segment
from tests.policies import KEY, table

SAMPLE = [
    Entry(Kind.DOMAIN, "a.example", Scope.TREE),
    Entry(Kind.DOMAIN, "a.example", Scope.EXACT),
    Entry(Kind.DOMAIN, "spared.a.example", Scope.TREE, Action.ALLOW),
    Entry(Kind.URL, "b.example/page", Scope.PAGE),
    Entry(Kind.URL, "b.example/dir/", Scope.PREFIX),
    Entry(Kind.PATTERN, "^ads", Scope.HOST),
    Entry(Kind.PATTERN, "^ads", Scope.HOST, Action.ALLOW),
    Entry(Kind.PATTERN, "^ads", Scope.URL),
    Entry(Kind.KEYWORD, "gadget", Scope.WORD),
    Entry(Kind.HASH, "md5:" + "0" * 32, Scope.EXACT),
    Entry(Kind.HASH, "pdq:" + "0" * 64, Scope.NEAR),
]


def ids_of(entries):
    """Return the ids that a compiled list of these entries has."""
    return ids(compile_segment("list:x", entries, KEY, table("x", "adblock").listing).parts, KEY)


def test_every_sort_of_entry_has_one_id():
    """Rows that only help look-ups, such as a host's, are none; and what an entry's own id is, a segment holds."""
    found = ids_of(SAMPLE)
    assert len(found) == len(SAMPLE)
    assert {id_of(entry, KEY) for entry in SAMPLE} == set(found.tolist())


def test_what_was_added_and_removed_is_told():
    """An entry that stays is neither; one whose scope changed is both."""
    before, after = ids_of(SAMPLE), ids_of([*SAMPLE[1:], Entry(Kind.DOMAIN, "a.example", Scope.BELOW)])
    changed = changes(before, after)
    assert changed.before == len(SAMPLE)
    assert changed.removed.tolist() == [id_of(SAMPLE[0], KEY)]
    assert changed.added.tolist() == [id_of(Entry(Kind.DOMAIN, "a.example", Scope.BELOW), KEY)]


@given(st.sets(st.sampled_from(range(40))), st.sets(st.sampled_from(range(40))))
def test_ids_change_as_sets_of_names_do(before, after):
    """The difference of the ids is the difference of the names."""
    one, other = ([Entry(Kind.DOMAIN, f"n{n}.example", Scope.TREE) for n in sorted(names)] for names in (before, after))
    changed = changes(ids_of(one), ids_of(other))
    assert (len(changed.added), len(changed.removed)) == (len(after - before), len(before - after))


@pytest.mark.parametrize("www", [False, True])
def test_a_sites_other_spelling_is_no_entry_of_its_own(www):
    """Else every entry of such a list counted twice where the gates ask how many are gone at once."""
    listing = Listing("x", www=www, root_is_site=www)
    entries = [Entry(Kind.DOMAIN, name, Scope.EXACT) for name in ("a.example", "b.example", "www.b.example")]
    compiled = compile_segment("list:x", entries, KEY, listing)
    assert ids(compiled.parts, KEY).tolist() == sorted(id_of(entry, KEY) for entry in entries)
    assert compiled.shares.entries == 3


def test_of_a_million_names_the_changes_are_told_to_the_last():
    """However many blocks they are compared in: what went, what came, and nothing else, each once."""
    some = np.sort(np.random.default_rng(1).integers(0, 1 << 63, 1_000_000, np.uint64) << np.uint64(1))
    some = np.unique(some)
    gone, kept = some[::1000], np.delete(some, np.s_[::1000])
    came = gone | np.uint64(1)
    changed = changes(some, np.sort(np.concatenate((kept, came))))
    assert (changed.removed.tolist(), changed.added.tolist()) == (gone.tolist(), came.tolist())
    assert changed.before == len(some)


def test_a_list_of_many_names_and_doubles_has_an_id_for_each():
    """In scopes, with exceptions, in any order and twice over, beyond one block of rows."""
    names = [Entry(Kind.DOMAIN, f"n{number}.example", Scope.TREE) for number in range(150_000)]
    below = [Entry(Kind.DOMAIN, f"n{number}.example", Scope.BELOW) for number in range(0, 150_000, 2)]
    spared = [Entry(Kind.DOMAIN, f"n{number}.example", Scope.TREE, Action.ALLOW) for number in range(0, 150_000, 3)]
    found = ids_of([*spared, *names, *below, *reversed(names)])
    assert len(found) == len(names) + len(below) + len(spared)
    assert (found[1:] > found[:-1]).all()
