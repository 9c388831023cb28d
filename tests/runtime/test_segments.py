"""The supervisor's segments: what it takes from control and from the disk, and what it refuses."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filterproxy.core.model import ListFormat
from filterproxy.errors import SegmentError
from filterproxy.keys import Keys, rotation
from filterproxy.lists import publish
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.resealing import resealed
from filterproxy.lists.seals import Seals, rewrapped
from filterproxy.runtime.segments import Segments
from filterproxy.settings import load_text

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def descriptors() -> int:
    """Return how many descriptors this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


class World:
    """A state folder with a list, a refresher, and the supervisor's segments."""

    def __init__(self, folder: Path) -> None:
        self.state, self.source = folder / "state", folder / "one.domains"
        self.settings = load_text(
            f'[runtime]\nstate = "{self.state}"\nbundle_expires = "7d"\n'
            f'[[lists]]\nid = "one"\nsource = "{self.source}"\nformat = "domains"\n'
        )
        self.keys = Keys.open_or_create(folder / "keys")
        self.refresher = Refresher(self.settings, Seals.of(self.keys))
        self.segments = self.started()

    @property
    def bundle(self) -> Path:
        return publish.bundle_folder(self.state)

    def started(self) -> Segments:
        return Segments(self.state, lambda: self.keys)

    def refresh(self, name: str) -> str:
        self.source.write_text(f"{name}.example\n")
        return self.refresher.signed(self.refresher.refresh(self.settings.lists, NOW, accept=True))

    async def publish(self, signed: str) -> None:
        await self.segments.load(self.segments.verified(signed))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def refused(world: World, signed: str, reason: str) -> None:
    """Check that a manifest is refused for that reason, and that what is in force still is."""
    manifest, held = world.segments.manifest, descriptors()
    with pytest.raises(SegmentError, match=reason):
        await world.publish(signed)
    assert world.segments.manifest is manifest
    assert manifest is None or all(world.segments.fd(part.file) for part in manifest.parts)
    assert descriptors() == held


@pytest.mark.parametrize("name", ["patterns", "sealing"])
async def test_what_was_but_sealed_anew_is_not_held_twice(world, name):
    """Under another key of what is sealed, a segment says the same: its memory stays, once its new file was read."""
    await world.publish(world.refresh("a"))
    before = {part.name: os.fstat(world.segments.fd(part.file)).st_ino for part in world.segments.manifest.parts}
    held = descriptors()
    private = world.keys.patterns_private
    world.keys = rotation.begin(world.state.parent / "keys", name)
    after, folder = Seals.of(world.keys.after(name)), world.bundle
    anew = (
        resealed(after, folder, entries=world.keys.sealing_private) if name == "sealing"
        else resealed(after, folder, patterns=lambda segment, part, wrapped: rewrapped(
            segment, part, wrapped, private, after.patterns_public
        ))
    )  # fmt: skip
    await world.publish(world.refresher.signed(world.refresher.rotate(anew, NOW)))
    assert world.segments.manifest.keys == after.ids
    found = {part.name: os.fstat(world.segments.fd(part.file)).st_ino for part in world.segments.manifest.parts}
    assert found == before
    assert descriptors() == held
    for part in world.segments.manifest.parts:
        (world.bundle / part.file).write_bytes(b"?" * part.size)
    manifest = replace(world.segments.manifest, generation=9, parts=tuple(
        replace(part, file=f"{part.file}.other") for part in world.segments.manifest.parts
    ))  # fmt: skip
    with pytest.raises(SegmentError):
        await world.segments.load(manifest)
    assert descriptors() == held


async def test_what_control_says_is_put_in_force(world):
    """Once its signature holds; and again, if it is said again."""
    signed = world.refresh("a")
    for _ in range(2):
        await world.publish(signed)
    assert world.segments.generation == 1
    assert world.segments.there.is_set()


async def test_what_is_changed_foreign_or_older_is_refused(world):
    """By its bytes, its signature, its generation or its digest key; the last good bundle stays."""
    first = world.refresh("a")
    await world.publish(world.refresh("b"))
    third = world.refresh("c")
    await refused(world, first, "generation 1, and 2 was in force before")
    await refused(world, third.replace('"generation":3', '"generation":4'), "not signed with this installation's key")
    await refused(world, third[:-2], "damaged")
    await refused(world, "é", "damaged")
    manifest = world.refresher.manifest
    await refused(world, publish.signed(manifest, b"x" * 32).decode(), "not signed with this installation's key")
    other = replace(manifest, keys=manifest.keys | {"digest": "0" * 16})
    await refused(world, world.refresher.signed(other), "another digest key")
    await world.publish(third)
    assert world.segments.generation == 3


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "foreign"])
async def test_a_segment_that_is_not_what_was_written_is_refused(world, damage):
    """However good its manifest: no memory of it is kept, and the last good bundle stays."""
    await world.publish(world.refresh("a"))
    signed = world.refresh("b")
    [path] = world.bundle.glob("*.seg")
    content = path.read_bytes()
    match damage:
        case "flipped":
            path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "cut":
            path.write_bytes(content[:-1])
        case "gone":
            path.unlink()
        case "foreign":
            world.keys = replace(world.keys, patterns_private=b"x" * 32)
            manifest = world.refresher.manifest
            seals = replace(Seals.of(world.keys), patterns_public=Seals.passing().patterns_public)
            world.source.write_text("gadget\n")
            words = world.settings.lists[0].model_copy(update={"format": ListFormat.KEYWORDS})
            manifest = Refresher(world.settings, seals).refresh([words], NOW, accept=True)
            signed = world.refresher.signed(manifest)
    await refused(world, signed, "list:one: ")


async def test_what_lies_on_disk_is_taken_until_it_expires(world):
    """At a start, before control has said anything; then it is refused, and control reads the lists anew."""
    world.refresh("a")
    await world.started().load_last_good(NOW + timedelta(days=7, seconds=-1))
    late = world.started()
    with pytest.raises(SegmentError, match="expired"):
        await late.load_last_good(NOW + timedelta(days=7))
    assert late.generation == 0
    await late.load(late.verified(world.refresh("a")))
    assert late.generation == 2


async def test_an_older_bundle_that_was_put_back_is_refused(world, tmp_path, caplog):
    """By the mark that outlives a restart, also by control; and control's next bundle is above it."""
    await world.publish(world.refresh("a"))
    shutil.copytree(world.bundle, tmp_path / "old")
    for name in "bcd":
        await world.publish(world.refresh(name))
    shutil.rmtree(world.bundle)
    shutil.copytree(tmp_path / "old", world.bundle)
    with pytest.raises(SegmentError, match="generation 1, and 4 was in force before"):
        await world.started().load_last_good(NOW)
    world.refresher = Refresher(world.settings, Seals.of(world.keys))
    assert "4 was in force before; reading every list anew" in caplog.text
    assert world.refresher.manifest.parts == ()
    await world.publish(world.refresh("e"))
    assert world.segments.generation == 5


async def test_a_mark_that_cannot_be_written_keeps_nothing_from_being_in_force(world, caplog):
    """The bundle counts more than the note of it, which is written with the next one."""
    (world.state / publish.MARK).mkdir(parents=True)
    await world.publish(world.refresh("a"))
    assert world.segments.generation == 1
    assert "generation_not_noted" in caplog.text
    (world.state / publish.MARK).rmdir()
    await world.publish(world.refresh("b"))
    assert publish.mark(world.state) == 2


async def test_a_bundle_under_the_next_keys_is_ours(world):
    """While a key is being replaced, what was made under its successor is verified and opened by it."""
    before = world.keys
    world.keys = replace(before, next={"signing": b"n" * 32, "patterns": b"q" * 32})
    seals = Seals.of(world.keys.after("signing").after("patterns"))
    world.source.write_text("gadget\n")
    words = world.settings.lists[0].model_copy(update={"format": ListFormat.KEYWORDS})
    refresher = Refresher(world.settings, seals)
    await world.publish(refresher.signed(refresher.refresh([words], NOW)))
    assert world.segments.generation == 1
    world.keys = before
    with pytest.raises(SegmentError, match="not signed"):
        await world.started().load_last_good(NOW)


async def test_a_machine_without_memory_or_descriptors_refuses_the_bundle(world, monkeypatch):
    """With its reason: at a start, too, the product goes on without it, and control reads the lists."""
    signed = world.refresh("a")
    with monkeypatch.context() as full:
        full.setattr(os, "memfd_create", lambda *_: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        await refused(world, signed, "list:one: Too many open files")
    await world.publish(signed)


async def test_what_has_only_expired_comes_back_with_its_age_where_its_source_is_away(world):
    """No start serves it; but a list that cannot be read is better known as it was, `max_age` applying, than not."""
    world.refresh("a")
    loaded = world.refresher.manifest.loaded()
    world.source.unlink()
    late, moment = world.started(), NOW + timedelta(days=8)
    with pytest.raises(SegmentError, match="expired"):
        await late.load_last_good(moment)
    refresher = Refresher(world.settings, Seals.of(world.keys))
    await late.load(late.verified(refresher.signed(refresher.refresh(world.settings.lists, moment))))
    assert late.manifest is not None
    assert late.manifest.loaded() == loaded
