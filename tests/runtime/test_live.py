"""A child's policy: swapped whole, or left as it was."""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filterproxy.core.decide import decide
from filterproxy.core.model import Connection
from filterproxy.errors import SegmentError
from filterproxy.keys import Keys
from filterproxy.lists import publish
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Seals
from filterproxy.runtime.live import Live
from filterproxy.runtime.segments import Segments
from filterproxy.settings import load_text

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def descriptors() -> int:
    """Return how many descriptors this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


class World:
    """A state folder with a list, the supervisor's segments, and a child's live policy."""

    def __init__(self, folder) -> None:
        self.source = folder / "one.domains"
        self.source.write_text("a.example\n")
        self.settings = load_text(
            f'[runtime]\nstate = "{folder}"\n[[lists]]\nid = "one"\nsource = "{self.source}"\nformat = "domains"\n'
        )
        self.keys = Keys.open_or_create(folder / "keys")
        self.refresher = Refresher(self.settings, Seals.of(self.keys))
        self.segments = Segments(folder, lambda: self.keys)
        self.live = Live(self.settings)

    def refresh(self) -> publish.Manifest:
        return self.refresher.refresh(self.settings.lists, NOW)

    async def hand_over(self, *, held: set[str] | None = None) -> None:
        manifest = self.segments.manifest
        assert manifest is not None
        files = [part.file for part in manifest.parts if part.file not in (held or set())]
        fds = [os.dup(self.segments.fd(file)) for file in files]
        body = {"manifest": manifest.as_dict(), "files": files, "key": self.keys.digest.hex()}
        await self.live.adopt(body, fds)

    def blocked(self, host: str) -> bool:
        return decide(Connection("default", host), self.live.policy(), NOW).blocked


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_bundle_is_adopted_whole(world):
    """From no list to the list, and to the next one, of which only what changed is handed over."""

    async def story() -> None:
        assert not world.blocked("a.example")
        await world.segments.load(world.refresh())
        await world.hand_over()
        assert world.live.adopted.is_set()
        assert world.blocked("a.example")
        held, said = {part.file for part in world.segments.manifest.parts}, world.live.policy().says
        await world.segments.load(world.refresh())  # the same list, read later: nothing to hand over
        await world.hand_over(held=held)
        assert world.live.policy().generation == world.segments.generation == 2
        assert world.live.policy().says is said  # nothing that was remembered is forgotten
        world.source.write_text("b.example\n")
        await world.segments.load(world.refresh())
        await world.hand_over(held=held)
        assert (world.blocked("a.example"), world.blocked("b.example")) == (False, True)
        assert world.live.policy().says is not said

    asyncio.run(story())


def test_a_list_that_ends_or_another_key_is_another_policy(world):
    """Though no segment of it is new."""

    async def story() -> None:
        await world.segments.load(world.refresh())
        await world.hand_over()
        manifest, said = world.segments.manifest, world.live.policy().says
        statuses = tuple(replace(item, state="ended") for item in manifest.statuses)
        ended = replace(manifest, generation=2, statuses=statuses).as_dict()
        await world.live.adopt({"manifest": ended, "files": [], "key": world.keys.digest.hex()}, [])
        assert world.live.policy().says is not said
        assert not world.blocked("a.example")
        said = world.live.policy().says
        await world.live.adopt({"manifest": ended, "files": [], "key": bytes(32).hex()}, [])
        assert world.live.policy().says is not said

    asyncio.run(story())


def test_an_incomplete_bundle_is_refused_and_the_old_one_stays(world):
    """A segment that was not handed over, or memory that is none: nothing has changed, no descriptor is left."""

    async def story() -> None:
        await world.segments.load(world.refresh())
        await world.hand_over()
        before = descriptors()
        world.source.write_text("b.example\n")
        await world.segments.load(world.refresh())
        manifest, key = world.segments.manifest.as_dict(), world.keys.digest.hex()
        with pytest.raises(SegmentError):
            await world.live.adopt({"manifest": manifest, "files": [], "key": key}, [])
        pipe, end = os.pipe()
        os.close(end)
        with pytest.raises(SegmentError):
            await world.live.adopt({"manifest": manifest, "files": [manifest["parts"][0]["file"]], "key": key}, [pipe])
        assert descriptors() == before
        assert world.blocked("a.example")

    asyncio.run(story())


def test_a_bundle_that_was_tried_in_vain_changes_nothing(world):
    """What the first process cannot adopt is taken back: manifest, segments and descriptors are as before."""

    async def story() -> None:
        await world.segments.load(world.refresh())
        before, held = descriptors(), [part.file for part in world.segments.manifest.parts]
        world.source.write_text("b.example\n")

        async def refuse() -> None:
            assert world.segments.generation == 2
            raise SegmentError("no")

        with pytest.raises(SegmentError):
            await world.segments.load(world.refresh(), refuse)
        assert world.segments.generation == 1
        assert descriptors() == before
        assert all(world.segments.fd(file) for file in held)

    asyncio.run(story())


def test_a_last_good_bundle_is_loaded_and_a_damaged_one_is_not(world):
    """The supervisor hands out what lies on disk only as it was written."""

    async def story() -> None:
        world.refresh()
        await world.segments.load_last_good(NOW)
        assert world.segments.generation == 1
        [file] = publish.bundle_folder(world.settings.runtime.state).glob("*.seg")
        file.write_bytes(file.read_bytes()[:-1])
        other = Segments(world.settings.runtime.state, lambda: world.keys)
        with pytest.raises(SegmentError):
            await other.load_last_good(NOW)
        assert other.generation == 0

    asyncio.run(story())


def maps() -> int:
    """Return how many segments are mapped in this process."""
    return Path("/proc/self/maps").read_text().count("memfd:segment")


def test_an_index_is_freed_when_its_last_user_lets_go(world):
    """After fifty adoptions one segment is mapped, and no descriptor held; who still judges by an old one may go on."""

    async def adopt(number: int) -> None:
        world.source.write_text(f"n{number}.example\n")
        await world.segments.load(world.refresh())
        await world.hand_over()

    async def story() -> None:
        gc.collect()
        gc.disable()  # what goes must go at once: a cycle would keep an index of millions until whenever
        before = maps()
        await adopt(0)
        held, fds = world.live.policy(), descriptors()
        for number in range(1, 51):
            await adopt(number)
            assert world.blocked(f"n{number}.example")
        assert maps() == before + 2
        assert descriptors() == fds
        assert decide(Connection("default", "n0.example"), held, NOW).blocked
        del held
        assert maps() == before + 1

    try:
        asyncio.run(story())
    finally:
        gc.enable()
