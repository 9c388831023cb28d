from __future__ import annotations

from pathlib import Path

from filterproxy.lists import difference
from filterproxy.lists.refresh import Refresher
from filterproxy.settings import Settings
from tests.policies import NOW
from tests.seals import SEALS


def house(folder: Path, **options: object) -> tuple[Refresher, Path, Settings]:
    """Return a refresher that has read a list of a hundred names, the list's file, and the settings."""
    path = folder / "list.txt"
    path.write_text("".join(f"n{number}.example\n" for number in range(100)))
    settings = Settings.model_validate({
        "runtime": {"state": str(folder / "state")},
        "lists": [{"id": "names", "format": "domains", "source": str(path), **options}],
    })  # fmt: skip
    refresher = Refresher(settings, SEALS)
    refresher.refresh(settings.lists, NOW)
    return refresher, path, settings


def told(refresher: Refresher, settings: Settings, names: int = 10):
    """Return the difference of the only list."""
    return difference.of(refresher, settings.lists[0], NOW, frozenset(), names)


def test_a_difference_names_what_comes_and_goes_of_an_open_list(tmp_path):
    """Counts and names, at most as many as asked for; the list in force stays what it was."""
    refresher, path, settings = house(tmp_path)
    path.write_text("".join(f"n{number}.example\n" for number in range(2, 103)))
    found = told(refresher, settings, names=1)
    assert (found["before"], found["after"], found["added"], found["removed"]) == (100, 101, 3, 2)
    assert found["removed_names"] == [{"kind": "domain", "value": "n0.example", "scope": "tree", "action": "block"}]
    assert len(found["added_names"]) == 1
    assert found["refused"] == ""
    known = refresher.known(settings.lists[0])
    assert known is not None
    assert known.shares.entries == 100


def test_a_difference_of_a_confidential_list_names_nothing(tmp_path):
    """Only numbers are told."""
    refresher, path, settings = house(tmp_path, confidential=True)
    path.write_text("other.example\n" * 3)
    found = told(refresher, settings)
    assert (found["added"], found["removed"]) == (1, 100)
    assert "example" not in str(found)


def test_a_difference_says_what_would_be_refused(tmp_path):
    """A gate that would refuse the list is named, beside what it refuses."""
    refresher, path, settings = house(tmp_path)
    path.write_text("n1.example\n")
    found = told(refresher, settings)
    assert "cut short" in found["refused"]
    assert found["removed"] == 99
    path.write_text("")
    assert told(refresher, settings)["refused"] == "no entry in it"


def test_a_source_that_is_away_has_no_difference(tmp_path):
    """The reason is told, and no number."""
    refresher, path, settings = house(tmp_path)
    path.unlink()
    assert set(told(refresher, settings)) == {"id", "open", "refused"}


def test_of_a_list_that_never_loaded_everything_is_new(tmp_path):
    """There is nothing to compare with."""
    _, _, settings = house(tmp_path)
    fresh = settings.model_copy(
        update={"runtime": settings.runtime.model_copy(update={"state": tmp_path / "elsewhere"})}
    )
    found = told(Refresher(fresh, SEALS), fresh)
    assert (found["before"], found["added"], found["removed_names"]) == (0, 100, [])
