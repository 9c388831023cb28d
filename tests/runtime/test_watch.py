"""Who is silent for how long before others take over."""

from __future__ import annotations

import asyncio
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.runtime.children import Child
from filterproxy.runtime.watch import DOUBTED, PATIENT, SILENT, Watch
from filterproxy.settings import load_text


class Killed(Child):
    """Notes its signals."""

    def __init__(self, role: str) -> None:
        super().__init__(role, f"{role}-0", load_text(""))
        channel: Any = object()
        self.channel, self.ready = channel, True
        self.served.set()
        self.signals: list[signal.Signals] = []

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)


class World:
    """A supervisor with these children, and a manager that wants a sign of life each second."""

    def __init__(self, *children: Child, every: float | None = 1.0) -> None:
        self.lives = self.settled = 0
        self.longer: list[float] = []
        notifier = SimpleNamespace(every=every, lives=self._lives, longer=self.longer.append)
        supervisor: Any = SimpleNamespace(
            everyone=list(children), settle=self._settle, notifier=notifier, reloads=SimpleNamespace(running=False),
            all_ready=SimpleNamespace(is_set=lambda: True), stopping=asyncio.Event(),
        )  # fmt: skip
        self.supervisor = supervisor
        self.watch = Watch(supervisor)

    def _lives(self) -> None:
        self.lives += 1

    def _settle(self) -> None:
        self.settled += 1


@pytest.mark.parametrize(("role", "ready", "silent", "doubted", "killed"), [
    ("edge", True, DOUBTED - 0.1, False, False),
    ("edge", True, DOUBTED + 0.1, True, False),
    ("edge", True, SILENT + 0.1, False, True),
    ("edge", False, SILENT + 0.1, False, False),
    ("edge", False, PATIENT + 0.1, False, True),
    ("control", True, SILENT + 0.1, False, False),
    ("control", True, PATIENT + 0.1, False, True),
])  # fmt: skip
def test_patience_depends_on_who_is_silent(role, ready, silent, doubted, killed):
    """A worker that served is doubted, then killed, within seconds; whoever reads lists or is starting much later."""
    child = Killed(role)
    child.ready, child.last_beat = ready, 1000.0
    World(child).watch.look(1000.0 + silent)
    assert (child.doubted, child.signals) == (doubted, [signal.SIGKILL] if killed else [])


def test_a_sign_of_life_ends_the_doubt():
    """And those who covered are told with the next look."""
    child = Killed("edge")
    child.last_beat, world = 1000.0, World(child)
    world.watch.look(1003.0)
    assert child.doubted
    child.beat()
    world.watch.look(child.last_beat + 0.1)
    assert child.serves
    assert world.settled == 2


def test_who_was_stopped_himself_blames_nobody():
    """A container that was paused for a minute finds its workers as they were."""
    child = Killed("edge")
    child.last_beat = 1000.0
    World(child).watch.look(1060.5, missed=60.0)
    assert (child.doubted, child.signals) == (False, [])


def test_the_manager_hears_of_a_product_that_serves():
    """Not more often than it asked, and not at all while no worker serves, however busy the supervisor is."""
    child = Killed("edge")
    child.last_beat, world = 1000.0, World(child)
    for tenth in range(20):
        world.watch.look(1000.0 + tenth / 10)
    assert 2 <= world.lives <= 3
    before = world.lives
    child.ready = False
    world.watch.look(1005.0)
    assert world.lives == before


def test_a_product_without_workers_lives_while_it_turns():
    """Where DNS is off there is nobody to wait for."""
    world = World(Killed("control"))
    world.watch.look(1000.0)
    assert world.lives == 1
    silent = World(Killed("control"), every=None)
    silent.watch.look(1000.0)
    assert silent.lives == 0


def test_a_long_reload_asks_for_time():
    """Once in a while, for as long as it goes on."""
    world = World()
    world.supervisor.reloads.running = True
    for second in range(70):
        world.watch.look(1000.0 + second)
    assert len(world.longer) == 3


def test_a_worker_that_never_served_is_not_missed_by_the_manager():
    """DNS was turned on by a reload, and its first bundle takes its time: nothing that served is gone."""
    child = Killed("edge")
    child.ready, child.last_beat = False, 1000.0
    child.served.clear()
    world = World(child)
    world.watch.look(1000.0)
    assert world.lives == 1


def test_an_end_that_takes_its_time_is_no_fault():
    """A long drain, in which no worker takes questions: the manager hears that it goes on, and waits."""
    child = Killed("edge")
    child.ending, child.last_beat, world = True, 1000.0, World(child)
    world.supervisor.stopping.set()
    for second in range(3):
        world.watch.look(1000.0 + second)
    assert (world.lives, len(world.longer)) == (3, 1)
