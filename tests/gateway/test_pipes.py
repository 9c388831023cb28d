"""Pipes are few, lent for a turn, and nobody waits for one."""

from __future__ import annotations

import fcntl
import os
import resource
from collections import deque
from collections.abc import Callable

import pytest

from filterproxy.gateway import pipes as room
from filterproxy.gateway.pipes import Mover, Pipe, Pipes
from tests.gateway.pairs import descriptors


class Loop:
    """What `Pipes` needs of a loop: a turn at a time."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()

    def call_soon(self, callback):
        self.soon.append(callback)

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()


class Holder:
    """Borrows a pipe, fills it, and keeps it."""

    def __init__(self, pipes: Pipes) -> None:
        self.pipes, self.pipe, self.memory = pipes, pipes.lend(), b""
        os.write(self.pipe.mouth, b"abc")
        pipes.keep(self)

    def turn(self) -> None:
        """Do nothing."""

    def yield_pipe(self) -> None:
        self.memory = self.pipe.drain(3)
        self.pipes.give(self, self.pipe)


class Asker:
    """Notes its turns, and asks for so many more."""

    def __init__(self, pipes: Pipes, name: str, turns: list[str], more: int = 0) -> None:
        self.pipes, self.name, self.turns, self.more = pipes, name, turns, more

    def turn(self) -> None:
        self.turns.append(self.name)
        if self.more:
            self.more -= 1
            self.pipes.ask(self)

    def yield_pipe(self) -> None:
        """It has none."""


def make(most: int = 4) -> tuple[Pipes, Loop]:
    loop = Loop()
    return Pipes(loop, most, 65_536), loop  # type: ignore[arg-type] # all that it needs of one


def test_turns_come_in_the_order_of_asking():
    """Who has much to move stands behind who asked in the meantime."""
    pipes, loop = make()
    turns: list[str] = []
    askers: list[Mover] = [Asker(pipes, "a", turns, 2), Asker(pipes, "b", turns), Asker(pipes, "c", turns, 1)]
    for asker in askers:
        pipes.ask(asker)
    assert turns == []  # none within the call that asks
    assert len(loop.soon) == 1
    loop.turn()
    assert "".join(turns) == "abcaca"
    pipes.close()


def test_others_of_the_loop_are_served_between(monkeypatch):
    """Where the time is over after one turn, the next comes in the loop's next turn, until all had theirs."""
    monkeypatch.setattr(room, "SECONDS", 0)
    monkeypatch.setattr(room, "LONGEST", 0)
    pipes, loop = make()
    turns: list[str] = []
    for name in "abc":
        pipes.ask(Asker(pipes, name, turns))
    seen = []
    while loop.soon:
        loop.turn()
        seen.append("".join(turns))
    assert seen == ["a", "ab", "abc"]
    pipes.close()


def test_where_others_take_long_turns_may_as_well(monkeypatch):
    """Else thousands who wait, and are looked at in each turn of the loop, would get next to nothing of it."""
    monkeypatch.setattr(room, "SECONDS", 0)
    monkeypatch.setattr(room, "LONGEST", 60)
    pipes, loop = make()
    turns: list[str] = []
    for name in "abc":
        pipes.ask(Asker(pipes, name, turns))
    loop.turn()
    assert "".join(turns) == "abc"  # from the asking until now is time enough for three
    pipes.close()


def test_an_error_in_one_turn_takes_no_other_away():
    """What is wrong with one tunnel is seen, and the others go on."""
    pipes, loop = make()
    turns: list[str] = []

    class Broken(Asker):
        def turn(self) -> None:
            raise RuntimeError

    pipes.ask(Broken(pipes, "x", turns))
    pipes.ask(Asker(pipes, "a", turns))
    with pytest.raises(RuntimeError):
        loop.turn()
    loop.turn()
    assert turns == ["a"]
    pipes.close()


def test_who_waits_longest_gives_up_its_pipe_when_none_is_left():
    """There is a pipe for every turn, however many are kept, and not a byte is lost."""
    pipes, _ = make(4)
    before = descriptors()
    holders = [Holder(pipes) for _ in range(10)]
    assert [holder.memory for holder in holders] == [b"abc"] * 6 + [b""] * 4
    assert pipes.kept == 4
    assert descriptors() == before + 6  # the first pipe was open
    for holder in holders[6:]:
        holder.yield_pipe()
    assert pipes.kept == 0
    pipes.close()
    assert descriptors() == before - 2


def test_where_no_descriptor_is_left_a_pipe_is_shared():
    """The first pipe is enough."""
    pipes, _ = make(4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        holders = [Holder(pipes) for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [holder.memory for holder in holders] == [b"abc", b"abc", b""]
    holders[2].yield_pipe()
    pipes.close()


def test_a_pipe_tells_its_own_size(monkeypatch):
    """A user who may have no large pipe has smaller ones."""
    pipe = Pipe(131_072)
    assert pipe.size == 131_072
    pipe.close()
    set_size = fcntl.F_SETPIPE_SZ
    real = fcntl.fcntl

    def refuse(descriptor, command, *rest):
        if command == set_size:
            raise PermissionError
        return real(descriptor, command, *rest)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    pipe = Pipe(131_072)
    assert 4_096 <= pipe.size <= 65_536
    pipe.close()
