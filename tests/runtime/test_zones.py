"""Zones follow the bundle in force and the time, one list's trouble is not another's, and what they say stays here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.dns.transfer import zone
from filterproxy.keys import Keys
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Seals
from filterproxy.runtime import zones as room
from filterproxy.runtime.live import Live
from filterproxy.runtime.segments import Segments
from filterproxy.runtime.worker import Shared
from filterproxy.runtime.zones import Zones
from filterproxy.settings import load_text

ONE, TWO = "one.rpz.example", "two.rpz.example"
TEXT = """
[runtime]
state = "{folder}/state"
[keys]
folder = "{folder}/keys"
[dns.transfer]
zone = "rpz.example"
[[lists]]
id = "one"
source = "{folder}/one.domains"
format = "domains"
rpz = true
[[lists]]
id = "two"
source = "{folder}/two.urls"
format = "urls"
confidential = true
rpz = true
{more}
[[lists]]
id = "own"
source = "{folder}/one.domains"
format = "domains"
"""
DATED = """
[[lists]]
id = "dated"
source = "{folder}/dated.csv"
format = "csv"
columns = {{ domain = "domain", not_after = "ends" }}
rpz = true
"""


class World:
    """A state folder with lists, and the zones over what is published in it."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.told = folder, list[tuple[str, str]]()
        (folder / "state").mkdir(mode=0o700)
        self.one, self.two = folder / "one.domains", folder / "two.urls"
        self.one.write_text("a.example\nb.example\n")
        self.two.write_text("http://c.example/x\nhttp://d.example/y\n")
        self.settings = load_text(TEXT.format(folder=folder, more=more))
        self.keys = Keys.open_or_create(folder / "keys")
        self.refresher = Refresher(self.settings, Seals.of(self.keys))
        self.segments = Segments(folder / "state", lambda: self.keys)
        self.live = Live(self.settings)
        shared = Shared(self.keys.token_public, self.keys.patterns_public, b"", self.keys.mac)
        worker: Any = SimpleNamespace(settings=self.settings, keys=shared, live=self.live)
        self.worker = worker
        self.zones = Zones(worker, lambda name, list_id: self.told.append((name, list_id)))

    def publish(self) -> None:
        """Read the lists, and put what they say in force."""
        self.live.manifest = self.refresher.refresh(self.settings.lists, datetime.now(UTC))
        self.live.renewed.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[Zones]:
        running = asyncio.create_task(self.zones.run())
        try:
            async with asyncio.timeout(5):
                await self.zones.begun.wait()
            yield self.zones
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    def serial(self, name: str = ONE) -> int:
        held = self.zones.held(name)
        return held.version.serial if held is not None else -1

    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.zones.said())
        return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - a thread builds
            await asyncio.sleep(0.01)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_there_is_a_zone_for_each_list_that_is_given_and_has_loaded(world):
    """None for others, and none before: an empty one would tell resolvers to let everything pass."""
    async with world.kept() as zones:
        assert (zones.held(ONE), zones.said(), world.told) == (None, "{}", [])
        assert [zones.list_of(name) for name in (ONE, TWO, "own.rpz.example", "")] == ["one", "two", None, None]
        world.publish()
        await until(lambda: zones.held(ONE) is not None and zones.held(TWO) is not None)
        assert zones.held("own.rpz.example") is None
        assert sorted(world.told) == [(ONE, "one"), (TWO, "two")]


async def test_what_a_zone_cannot_carry_is_counted_and_named_nowhere(world, caplog):
    """By kind, for those who look after it; no entry is in what is told or logged."""
    caplog.set_level("INFO", "filterproxy")
    async with world.kept():
        world.publish()
        await until(lambda: len(world.said()) == 2)
    assert world.said()["one"] | {"serial": 0} == {"serial": 0, "records": 4, "unenforceable": {}}
    assert world.said()["two"]["unenforceable"] == {"url": 2}
    told = world.zones.said() + "".join(f"{item.getMessage()} {vars(item)}" for item in caplog.records)
    assert "zone_built" in told
    assert not [name for name in "abcd" if f"{name}.example" in told]


async def test_a_change_makes_a_newer_serial_and_what_is_the_same_does_not(world):
    """Receivers are told of the one, and of nothing else."""
    async with world.kept():
        world.publish()
        await until(lambda: len(world.told) == 2)
        first, other = world.serial(), world.serial(TWO)
        world.publish()
        world.one.write_text("a.example\nnew.example\n")
        world.publish()
        await until(lambda: world.serial() != first)
        assert world.serial() > first
        assert world.serial(TWO) == other
        assert world.told[2:] == [(ONE, "one")]


async def test_a_serial_goes_on_after_a_restart(world):
    """The same zone has the same one, so that receivers take nothing again; a changed one a newer one."""
    async with world.kept():
        world.publish()
        await until(lambda: len(world.told) == 2)
    before = world.serial()
    world.zones = Zones(world.worker, lambda *_: None)
    async with world.kept():
        assert world.serial() == before


async def test_a_list_that_cannot_be_read_keeps_its_zone_and_holds_up_no_other(world, monkeypatch, caplog):
    """It is tried again by itself; nothing of what failed is in the log but its class."""
    monkeypatch.setattr(room, "_AGAIN", 0.05)
    async with world.kept():
        world.publish()
        await until(lambda: len(world.told) == 2)
        first = world.serial(), world.serial(TWO)
        build = zone.build

        def failing(listed, manner, *args, **options):
            if manner.name == ONE:
                raise ValueError("a.example")
            return build(listed, manner, *args, **options)

        with monkeypatch.context() as broken:
            broken.setattr(zone, "build", failing)
            world.one.write_text("a.example\nnew.example\n")
            world.two.write_text("http://c.example/x\n")
            world.publish()
            await until(lambda: world.said()["two"]["unenforceable"] == {"url": 1})
            assert world.serial() == first[0]
            await until(lambda: "zone_not_built" in caplog.text)
        await until(lambda: world.serial() != first[0])
    assert "a.example" not in "".join(f"{item.getMessage()} {vars(item)}" for item in caplog.records)


async def test_a_zone_changes_when_its_time_comes(tmp_path):
    """An entry that ends is taken out without any new reading of its list."""
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    (tmp_path / "dated.csv").write_text(f"domain,ends\nstays.example,\nends.example,{ends.isoformat()}\n")
    world = World(tmp_path, DATED.format(folder=tmp_path))
    async with world.kept():
        world.publish()
        await until(lambda: "dated" in world.said())
        first = world.said()["dated"]
        await until(lambda: world.said()["dated"]["records"] == first["records"] // 2)
        assert world.said()["dated"]["serial"] > first["serial"]
