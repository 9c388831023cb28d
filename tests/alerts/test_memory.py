"""What was told is not told at each refresh, also after a restart; and nothing grows without bound."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.alerts import Alert
from filterproxy.alerts.alert import list_refused, list_stale
from filterproxy.alerts.memory import MOST, Memory

HOUR, DAY = 3600.0, 86_400.0
HIT = Alert("domain", "court", "…", {"domain": "shop.example"})


def test_a_state_that_lasts_reminds_once_a_day():
    """A list that stays out of date is told of again after a day, not at each look."""
    memory, stale = Memory(None), list_stale("court", "", closed=True)
    told = [hour for hour in range(72) if memory.is_new(stale, hour * HOUR)]
    assert told == [0, 24, 48]


def test_an_entry_that_stays_in_its_list_is_told_of_once():
    """However often, and for however long, the list is read again; after a month without it, it is news."""
    memory = Memory(None)
    assert [day for day in range(0, 400, 7) if memory.is_new(HIT, day * DAY)] == [0]
    assert memory.is_new(HIT, (399 + 31) * DAY)


def test_a_clock_that_was_ahead_silences_nothing_for_long():
    """What was told in a year that has not come yet is told again."""
    memory = Memory(None)
    assert memory.is_new(HIT, 4000 * DAY)
    assert memory.is_new(HIT, 1 * DAY)
    assert not memory.is_new(HIT, 1 * DAY)


def test_it_survives_a_restart(tmp_path):
    """What was written down is not told again; the file is its owner's alone and holds digests."""
    path = tmp_path / "alerts.json"
    memory = Memory(path)
    assert memory.is_new(HIT, DAY)
    content = memory.unwritten()
    assert content is not None
    memory.write(content)
    assert memory.unwritten() is None
    assert not Memory(path).is_new(HIT, DAY + HOUR)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "shop.example" not in path.read_text()


@given(st.binary(max_size=200) | st.builds(lambda data: json.dumps(data).encode(), st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
        st.text(max_size=5) | st.just("domain:x"), inner), max_leaves=5)))  # fmt: skip
def test_a_damaged_file_is_forgotten(tmp_path_factory, content):
    """Whatever it holds, alerts are told."""
    path = tmp_path_factory.mktemp("state") / "alerts.json"
    path.write_bytes(content)
    assert Memory(path).is_new(HIT, DAY)


def test_it_forgets_what_was_not_met_for_longest():
    """Its size is bounded, and what keeps coming is kept."""
    memory = Memory(None)
    for number in range(MOST + 10):
        assert memory.is_new(list_refused(f"list-{number}", "it stalled"), 1.0)
        assert memory.is_new(HIT, 1.0) is (number == 0)
    assert len(memory) == MOST


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    """The caller says so and goes on."""
    memory = Memory(tmp_path / "none" / "alerts.json")
    with pytest.raises(OSError, match="none"):
        memory.write(b"{}")
