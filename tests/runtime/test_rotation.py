"""The supervisor's share of a rotation; tests/integration/test_rotation.py rotates the keys of running products."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.errors import ControlError, SecretError, SegmentError
from filterproxy.keys import Keys, rotation
from filterproxy.lists.seals import rewrapped, sealed, unsealed
from filterproxy.runtime.channel import Body, ChannelError
from filterproxy.runtime.rotation import Rotations


class House:
    """A key folder, and a supervisor as far as a rotation knows it; its control answers or fails."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        self.fails: Exception | None = None
        self.control: Any = SimpleNamespace(ready=True)
        self.settings, self.everyone = SimpleNamespace(keys_folder=folder), list[Any]()
        self.segments = SimpleNamespace(generation=1, manifest=None)
        supervisor: Any = self
        self.rotations = Rotations(supervisor, Keys.open_or_create(folder))

    async def ask_control(self, kind: str, body: Body, _: float) -> Body:
        assert kind == "rotate"
        self.asked.append(body["key"])
        if self.fails is not None:
            raise self.fails
        if body["key"] != "token":  # as the supervisor does once the bundle is in force
            await self.rotations.settle(self.rotations.keys.after(body["key"]).ids)
        return {}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "keys")


@pytest.mark.parametrize("name", ["digest", "patterns", "sealing", "token", "signing"])
async def test_a_rotated_key_is_the_one_in_use(house, name):
    """Once control has done its share, on disk and here; what is said names the key and shows none."""
    before = house.rotations.keys
    said = await house.rotations.rotate(name, "ada")
    after = house.rotations.keys
    assert after == Keys.open(house.folder) != before
    assert after.next == {}
    assert said.startswith(f"The {name} key is a new one")
    assert "\n" not in said


async def test_what_cannot_begin_makes_no_key(house):
    """Without control, with one that does not serve yet, or for a key that is none, the folder stays as it is."""
    before = sorted(house.folder.iterdir())
    for control, name, reason in (
        (None, "digest", "no|not part"), (SimpleNamespace(ready=False), "digest", "try again"),
        (SimpleNamespace(ready=True), "column", "there is no key 'column'"),
    ):  # fmt: skip
        house.control = control
        with pytest.raises(ControlError, match=reason):
            await house.rotations.rotate(name, "ada")
    assert sorted(house.folder.iterdir()) == before
    assert house.asked == []


async def test_a_rotation_that_fails_can_be_asked_for_again(house):
    """The key in use is what it was; the next attempt goes on with the same next key, which may be in a bundle."""
    before = house.rotations.keys
    house.fails = ChannelError("the process is gone")
    with pytest.raises(ChannelError):
        await house.rotations.rotate("digest", "ada")
    coming = house.rotations.keys.next["digest"]
    assert house.rotations.keys.digest == before.digest
    house.fails = None
    await house.rotations.rotate("digest", "ada")
    assert house.rotations.keys.digest == coming


async def test_a_key_that_cannot_take_its_place_is_told_from_one_that_nothing_was_made_under(house, monkeypatch):
    """The bundle in force needs the next key then: nobody may be told that the one in use is what it was."""

    def full(*_: object) -> Keys:
        raise SecretError("keys: keys cannot be written: No space left on device")

    monkeypatch.setattr(rotation, "settle", full)
    with pytest.raises(ControlError, match="the key in use is what it was"):
        await house.rotations.rotate("signing", "ada")
    ids = house.rotations.keys.after("signing").ids
    house.segments.manifest = SimpleNamespace(keys=ids)
    with pytest.raises(ControlError, match=r"signing\.next\.key stays beside it, and is needed"):
        await house.rotations.rotate("signing", "ada")


async def test_keys_of_patterns_are_wrapped_for_the_next_pair_alone(house):
    """Control cannot have them wrapped for itself, nor outside a rotation, nor with another segment's name."""
    keys = house.rotations.keys
    whole = b"".join(sealed("list:words", "patterns", [b"clear"], keys.patterns_public))
    body = {"segment": "list:words", "part": "patterns", "wrapped": whole[:80].hex()}
    with pytest.raises(ControlError, match="not being rotated"):
        house.rotations.rewrap(body)
    house.rotations.keys = begun = rotation.begin(house.folder, "patterns")
    found = bytes.fromhex(house.rotations.rewrap(body)["wrapped"])
    anew = iter([found + whole[80:84], whole[84:88], whole[88:]])
    opened = unsealed("list:words", "patterns", len(whole), lambda _: next(anew), begun.next["patterns"])
    assert list(opened) == [b"clear"]
    with pytest.raises(SegmentError):
        rewrapped("list:words", "patterns", found, keys.patterns_private, keys.patterns_public)
    with pytest.raises(SegmentError):
        house.rotations.rewrap(body | {"segment": "list:other"})


async def test_a_tokens_key_goes_when_nothing_it_sealed_is_valid(house, monkeypatch):
    """Looked at now and then: the file goes, here it is forgotten, and control is told to forget it."""
    await house.rotations.rotate("token", "ada")
    assert len(house.rotations.keys.token_previous) == 1
    monkeypatch.setattr(house.rotations, "_looked", -1e9)
    await house.rotations.tick()
    assert len(house.rotations.keys.token_previous) == 1
    late = datetime.now(UTC) + timedelta(days=32)
    monkeypatch.setattr("filterproxy.runtime.rotation.now", lambda: late)
    monkeypatch.setattr(house.rotations, "_looked", -1e9)
    await house.rotations.tick()
    assert house.rotations.keys.token_previous == Keys.open(house.folder).token_previous == ()
    assert house.asked == ["token", "token"]
