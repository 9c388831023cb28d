"""A bundle under other keys says what it said, and nothing of it opens by the old ones."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filterproxy.core.decide import decide
from filterproxy.core.model import Entry, Kind, Question, Request, Scope, Subject
from filterproxy.errors import ControlError, SegmentError
from filterproxy.keys import Keys, rotation
from filterproxy.keys.ring import public_half
from filterproxy.lists import publish, resealing
from filterproxy.lists.canaries import compile_canaries
from filterproxy.lists.offline import compile_all
from filterproxy.lists.own import compile_own
from filterproxy.lists.refresh import Refresher, compile_overrides
from filterproxy.lists.resealing import Anew, compiled_anew, made_under, resealed, signed_anew
from filterproxy.lists.seals import Opening, Seals, rewrapped
from filterproxy.settings import Settings
from tests.policies import NOW, override
from tests.policies import url as url_of
from tests.seals import OPENING, PATTERNS, SEALING, SEALS

NEW = b"n" * 32
OVERRIDE = override("urls", Entry(Kind.URL, "h.example/spared-page", Scope.PAGE))


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    """Settings with a list of each sort."""
    texts = {"domains": "a.example\nb.example\n", "keywords": "marzipane\n"}
    texts["urls"] = "h.example/secret-page\nh.example/spared-page\nno url at all\n"
    texts["adblock"] = "||c.example^\n@@||x.c.example^\n/[a-z]+banner[0-9]/\n"
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    lists = [{"id": name, "format": name, "source": str(tmp_path / name), "action": "block"} for name in texts]
    return Settings.model_validate({
        "runtime": {"state": str(tmp_path / "state")}, "lists": lists,
        "profiles": [{"id": "default", "networks": ["0.0.0.0/0"], "deny": ["own.example"]}],
    })  # fmt: skip


@pytest.fixture
def refresher(house: Settings) -> Refresher:
    """Return a refresher with everything in force, an override too."""
    found = Refresher(house, SEALS)
    found.refresh_own(NOW)
    found.refresh(house.lists, NOW)
    found.override([OVERRIDE], NOW)
    return found


def folder_of(house: Settings) -> Path:
    return publish.bundle_folder(house.runtime.state)


def says(house: Settings, seals: Seals = SEALS, opening: Opening = OPENING) -> list[bool]:
    """Return what is blocked by what lies on disk, the sources being away."""
    gone = [item.model_copy(update={"source": "/nowhere"}) for item in house.lists]
    policy = compile_all(house.model_copy(update={"lists": tuple(gone)}), seals, opening)
    pages = ("h.example/secret-page", "h.example/spared-page", "k.example/marzipane", "good.example/")
    names = ("a.example", "c.example", "x.c.example", "own.example", "good.example")
    asked: list[Subject] = [Request("default", "GET", url_of(f"http://{page}")) for page in pages]
    asked += [Question("default", name) for name in names]
    return [decide(subject, policy, NOW).blocked for subject in asked]


SAYS = [True, False, True, False, True, True, False, True, False]


def under_digest(house: Settings, key: bytes = NEW) -> Anew:
    """Return how everything is compiled under another digest key."""

    def overlay():
        yield from compile_own(house, key)
        yield from compile_canaries(house, key, NOW)
        yield from compile_overrides([OVERRIDE], house, key)

    return compiled_anew(replace(SEALS, digest=key), folder_of(house), house.listings, overlay)


def rewrap(segment: str, part: str, wrapped: bytes) -> bytes:
    return rewrapped(segment, part, wrapped, PATTERNS, public_half("patterns", NEW))


def ways(house: Settings) -> dict[str, tuple[Anew, Opening]]:
    """Return for each key how the bundle is made under another one, and what opens it then."""
    public = public_half("sealing", NEW)
    signing = replace(SEALS, signing_private=NEW)
    sealing = replace(SEALS, sealing_private=NEW, sealing_public=public)
    patterns = replace(SEALS, patterns_public=public)
    return {
        "digest": (under_digest(house), OPENING),
        "signing": (signed_anew(signing), Opening(PATTERNS, signing.signing_public)),
        "sealing": (resealed(sealing, folder_of(house), entries=SEALING), OPENING),
        "patterns": (resealed(patterns, folder_of(house), patterns=rewrap), Opening(NEW, SEALS.signing_public)),
    }


@pytest.mark.parametrize("name", ["digest", "signing", "sealing", "patterns"])
def test_a_bundle_under_another_key_says_what_it_said(house, refresher, name):
    """Nothing is read from a source; the generation grows; the manifest names the new key and no other changes."""
    assert says(house) == SAYS
    for item in house.lists:
        Path(item.source).unlink()
    anew, opening = ways(house)[name]
    before = refresher.manifest
    manifest = refresher.rotate(anew, NOW)
    assert says(house, anew.seals, opening) == SAYS
    assert manifest.generation == before.generation + 1
    assert manifest.statuses == before.statuses
    assert {key for key, value in manifest.keys.items() if value != before.keys[key]} == {name}
    assert [part.name for part in sorted(manifest.parts, key=lambda part: part.name)] == sorted(
        part.name for part in before.parts
    )
    table = house.lists[0]
    assert [entry.value for entry in refresher.entries(table)] == ["a.example", "b.example"]
    files = {path.name for path in folder_of(house).iterdir()}
    assert files == {"manifest.json", *(part.file for part in manifest.parts)}


def test_what_is_sealed_anew_opens_no_more_by_the_old_key(house, refresher):
    """Entries and patterns in the new files are closed to whoever has the key from before."""
    refresher.rotate(ways(house)["sealing"][0], NOW)
    [part] = [part for part in refresher.manifest.parts if part.name == "list:keywords"]
    with pytest.raises(SegmentError, match="sealed under another key"):
        list(publish.entries_of(folder_of(house), part, SEALING))
    seals = replace(refresher.seals, patterns_public=public_half("patterns", NEW))
    refresher.rotate(resealed(seals, folder_of(house), patterns=rewrap), NOW)
    [part] = [part for part in refresher.manifest.parts if part.name == "list:keywords"]
    with pytest.raises(SegmentError, match="sealed under another key"):
        list(publish.opened(folder_of(house), part, OPENING))


def test_a_refresh_after_another_digest_key_finds_nothing_changed(house, refresher):
    """Churn is told under one key: the same source has no entry added or removed, and a real change is one."""
    refresher.rotate(under_digest(house), NOW)
    manifest = refresher.refresh(house.lists, NOW)
    assert {status.state for status in manifest.statuses} == {"ok"}
    Path(house.lists[0].source).write_text("a.example\nb.example\nnew.example\n")
    reading = refresher.read(house.lists[0], NOW)
    assert (len(reading.changes.added), len(reading.changes.removed)) == (1, 0)


def test_what_cannot_be_made_anew_leaves_everything_as_it_was(house, refresher):
    """An error in a part, in the overlay or of the disk: the old bundle under the old keys, and no file too many."""
    before, files = refresher.manifest, {path.name for path in folder_of(house).iterdir()}

    def fails(*_: object) -> Any:
        raise ControlError("the store is away")

    def full(*_: object) -> Any:
        raise OSError(28, "full")

    broken = (
        replace(under_digest(house), overlay=fails), replace(under_digest(house), part=full),
        replace(under_digest(house), part=fails),
    )  # fmt: skip
    for anew in broken:
        with pytest.raises((ControlError, OSError)):
            refresher.rotate(anew, NOW)
        assert (refresher.manifest, refresher.seals) == (before, SEALS)
        assert says(house) == SAYS
    refresher.override([OVERRIDE], NOW)
    named = {part.file for part in refresher.manifest.parts}
    assert {path.name for path in folder_of(house).iterdir()} <= files | named


def test_a_list_that_was_read_meanwhile_is_made_anew_too(house, refresher):
    """A refresh that ends before the rotation is part of it; one that ends after it has read under the new key."""
    Path(house.lists[0].source).write_text("a.example\nb.example\nnew.example\n")
    anew, done = under_digest(house), list[publish.Part]()

    def part(found, announce):
        made = anew.part(found, announce)
        if not done:
            done.append(found)
            refresher_thread = threading.Thread(target=refresher.override, args=([OVERRIDE], NOW))
            refresher_thread.start()
            refresher_thread.join()
            late.start()
        return made

    late = threading.Thread(target=refresher.refresh, args=(house.lists, NOW))
    refresher.rotate(replace(anew, part=part), NOW)
    late.join()
    assert refresher.seals == anew.seals
    assert says(house, anew.seals) == SAYS
    assert {part.digest for part in refresher.manifest.parts if part.name == "list:domains"}
    assert [entry.value for entry in refresher.entries(house.lists[0])] == ["a.example", "b.example", "new.example"]


def test_a_list_that_would_come_out_otherwise_is_refused(house, refresher, monkeypatch):
    """What is kept of a list must be what is in force of it: else names would come free in silence."""
    monkeypatch.setattr(resealing, "entries_of", lambda *args: list(publish.entries_of(*args))[1:])
    with pytest.raises(SegmentError, match="list:.*read the list anew first"):
        refresher.rotate(under_digest(house), NOW)
    assert says(house) == SAYS


@pytest.mark.parametrize("name", ["digest", "signing", "sealing", "patterns"])
def test_what_lies_on_disk_tells_which_keys_it_was_made_under(house, tmp_path, name):
    """Also where a rotation was cut off when the bundle was written: the next key is the one."""
    folder = tmp_path / "keys"
    keys = Keys.open_or_create(folder)
    state = house.runtime.state
    assert made_under(state, keys) == {}
    Refresher(house, Seals.of(keys)).refresh_own(NOW)
    begun = rotation.begin(folder, name)
    assert begun.under(made_under(state, begun)) == begun
    after = begun.after(name)
    Refresher(house, Seals.of(after)).refresh_own(NOW)
    assert begun.under(made_under(state, begun)).ids == after.ids
