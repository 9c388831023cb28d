"""What tests/integration/test_bundle_faults.py has processes of its own do: be killed, run out of disk, be measured.

`python -m tests.integration.bundles WHAT FOLDER …` writes one JSON value. It begins without a thread, so that it may
fork: each attempt is a process that has never seen the bundle before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from filterproxy.core.decide import decide
from filterproxy.core.model import Entry, Kind, Question, Scope
from filterproxy.keys import Keys
from filterproxy.lists import files, publish
from filterproxy.lists.compile import Compiled, compile_segment
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Opening, Seals
from filterproxy.runtime.live import Live
from filterproxy.runtime.memfd import mapped, sealed
from filterproxy.runtime.segments import Segments
from filterproxy.settings import Settings
from tests.policies import override
from tests.seals import OPENING, SEALS

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = 200
PAGE = 4096


class House:
    """A state folder, two lists that can be changed, and what a supervisor and a worker make of it."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.state, self.names, self.words = state or folder / "state", folder / "names", folder / "words"
        self.settings = Settings.model_validate({
            "runtime": {"state": str(self.state)},
            "lists": [
                {"id": "names", "format": "domains", "source": str(self.names)},
                {"id": "words", "format": "keywords", "source": str(self.words), "action": "block"},
            ],
            "profiles": [{"id": "default", "networks": ["0.0.0.0/0"], "deny": ["own.example"]}],
        })  # fmt: skip
        self.keys = Keys.open_or_create(folder / "keys")
        self.segments = Segments(self.state, lambda: self.keys)
        self.live = Live(self.settings)
        self.held: set[str] = set()

    def write(self, version: int, names: int = NAMES) -> None:
        """Have the lists say what they say in that version: every name is another one."""
        self.names.write_text("".join(f"v{version}-{number}.example\n" for number in range(names)))
        self.words.write_text(f"gadget{version}\n")

    def refresher(self) -> Refresher:
        return Refresher(self.settings, Seals.of(self.keys))

    def refresh(self, refresher: Refresher) -> publish.Manifest:
        return refresher.refresh(self.settings.lists, NOW, accept=True)

    async def adopt(self, signed: str | None = None) -> None:
        """Take what control says, else what lies on disk, and hand it over to a worker as the supervisor does."""
        if signed is None:
            await self.segments.load_last_good(NOW)
        else:
            await self.segments.load(self.segments.verified(signed))
        manifest = self.segments.manifest
        assert manifest is not None
        files = [part.file for part in manifest.parts if part.file not in self.held]
        fds = [os.dup(self.segments.fd(file)) for file in files]
        key = self.keys.under(manifest.keys).digest.hex()
        await self.live.adopt({"manifest": manifest.as_dict(), "files": files, "key": key}, fds)
        self.held = {part.file for part in manifest.parts}

    def says(self) -> dict[str, Any]:
        """Return what the worker judges by: the generation, and which of some names are blocked."""
        policy = self.live.policy()
        hosts = ("v1-0.example", "v1-199.example", "v2-0.example", "v2-199.example", "own.example")
        blocked = [host for host in hosts if decide(Question("default", host), policy, NOW).blocked]
        words = {term.text for segment in policy.bundle.segments for term in _terms(segment)}
        return {"generation": policy.generation, "blocked": blocked, "words": sorted(words)}

    def in_force(self) -> dict[str, Any]:
        """Return what a fresh start finds on disk."""
        asyncio.run(self.adopt())
        return self.says()

    def leftovers(self) -> list[str]:
        """Return the files that are no part of what is in force on disk, once a fresh start has swept."""
        manifest = self.refresher().manifest
        known = {part.file for part in manifest.parts} | {publish.MANIFEST}
        found = [path.name for path in publish.bundle_folder(self.state).iterdir() if path.name not in known]
        return found + [path.name for path in self.state.iterdir() if path.name.startswith(".")]


def _terms(segment: Any) -> Iterator[Any]:
    for same in segment.patterns._automaton.values():
        yield from same


def apart(work: Callable[[], Any]) -> tuple[int, Any]:
    """Have a process of its own do the work; return the signal that ended it, or 0, and what it returned."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            os.write(theirs, json.dumps(work()).encode())
        except BaseException:  # noqa: BLE001 - whatever it was, it must not go on as the parent would
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        content = answer.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status), None
    if os.WEXITSTATUS(status):
        raise SystemExit("a process of its own failed")
    return 0, json.loads(content)


# Killed between any two steps

_STEPS = ("mkdir", "open", "write", "fsync", "replace", "rename", "unlink", "memfd_create")
"""What changes something outside of the process."""


def _kill_at(step: int, *, torn: bool) -> None:
    """Have this process killed before its step of that number; a `torn` write has written half by then."""
    numbers = count(1)

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            if (name != "open" or args[1] & os.O_CREAT) and next(numbers) == step:
                if torn and name == "write":
                    work(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*args, **more)

        return wrapped

    for name in _STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def _change(house: House, what: str) -> publish.Manifest:
    refresher = house.refresher()
    match what:
        case "refresh":
            house.write(2)
            return house.refresh(refresher)
        case "override":
            return refresher.override([override("names", Entry(Kind.DOMAIN, "v1-0.example", Scope.EXACT))], NOW)
        case "end":
            return refresher.end(house.settings.lists[:1], NOW)
        case _:
            return refresher.refresh_own(NOW)


def killed(folder: Path, what: str, torn: str) -> list[dict[str, Any]]:
    """Return what is in force after a change was killed before its first step, its second, and so on to the end."""
    state, template = folder / "state", folder / "template"

    def begin() -> None:
        house = House(folder)
        house.write(1)
        refresher = house.refresher()
        house.refresh(refresher)
        refresher.refresh_own(NOW)
        asyncio.run(house.adopt())

    def change(step: int) -> None:
        house = House(folder)
        if torn == "torn":
            files.BLOCK = 1024  # type: ignore[misc]  # so that a file is written in several steps
        _kill_at(step, torn=torn == "torn")
        manifest = _change(house, what)
        asyncio.run(house.adopt(publish.signed(manifest, house.keys.signing_private).decode()))

    def start() -> dict[str, Any]:
        says, leftovers, house = House(folder).in_force(), House(folder).leftovers(), House(folder)
        house.write(3)
        house.refresh(house.refresher())
        return {"says": says, "leftovers": leftovers, "then": house.in_force()["generation"]}

    apart(begin)
    shutil.copytree(state, template)
    found: list[dict[str, Any]] = []
    for step in count(1):
        shutil.rmtree(state)
        shutil.copytree(template, state)
        end, _ = apart(lambda step=step: change(step))  # type: ignore[misc]
        found.append({"step": step, "killed": end, **apart(start)[1]})
        if not end:
            return found
    raise AssertionError


# A disk that fills up


def full(folder: Path, of: str) -> list[dict[str, Any]]:
    """Return how a refresh fares with no page (or file) left on the disk, with one, and so on until it succeeds."""
    disk = folder / "disk"
    disk.mkdir()
    os.unshare(os.CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=64", "tmpfs", str(disk)], check=True)
    house = House(folder, disk / "state")
    house.write(1)
    refresher = house.refresher()
    house.refresh(refresher)
    asyncio.run(house.adopt())
    found: list[dict[str, Any]] = []
    for left in count():
        found.append(_with(house, refresher, disk, of, left))
        if not found[-1]["error"]:
            return found
    raise AssertionError


def _with(house: House, refresher: Refresher, disk: Path, of: str, left: int) -> dict[str, Any]:
    house.write(1)
    asyncio.run(house.adopt(refresher.signed(house.refresh(refresher))))
    house.write(2)
    error = 0
    with _filled(disk, of, left):
        before = house.says()
        try:
            manifest = house.refresh(refresher)
        except OSError as exc:
            error = exc.errno or -1
        else:
            asyncio.run(house.adopt(refresher.signed(manifest)))  # also where its generation cannot be noted
        there = {path.name for path in publish.bundle_folder(house.state).iterdir()} - {publish.MANIFEST}
        kept = refresher.manifest
        disk_says = publish.load(publish.bundle_folder(house.state), Opening.of(house.keys).signing_public)
        on_disk = disk_says == kept
        says = house.says()
    unnamed = len(there - {part.file for part in kept.parts})
    asyncio.run(house.adopt(refresher.signed(house.refresh(refresher))))
    return {
        "left": left, "error": error, "before": before, "says": says, "on_disk": on_disk,
        "scraps": [name for name in there if name.startswith(".")], "unnamed": unnamed, "then": house.says(),
        "files": len(list(publish.bundle_folder(house.state).iterdir())),
    }  # fmt: skip


@contextmanager
def _filled(disk: Path, of: str, left: int) -> Iterator[None]:
    """Fill the disk so that so many pages, or names of files, are left."""
    folder = disk / "filler"
    folder.mkdir()
    try:
        if of == "pages":
            with (folder / "0").open("wb", buffering=0) as file:
                with suppress(OSError):
                    while file.write(bytes(PAGE)):
                        pass
                file.truncate(max(0, file.tell() // PAGE - left) * PAGE)
        else:
            with suppress(OSError):
                for number in count():
                    (folder / str(number)).touch()
            for _, path in zip(range(left), folder.iterdir(), strict=False):
                path.unlink()
        yield
    finally:
        shutil.rmtree(folder)


# Memory


def memory() -> dict[str, int]:
    """Return how many segments are open and mapped in this process, and what it holds beside them, in KiB."""
    fds = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "fds": sum("memfd:segment" in name for name in fds),
        "maps": Path("/proc/self/maps").read_text().count("memfd:segment"),
        "own": int(status["RssAnon"].split()[0]),
        "all": int(status["VmRSS"].split()[0]),
        "files": len(fds),
    }


def long(folder: Path, laps: str, times: str, names: str) -> list[dict[str, int]]:
    """Return the memory after each lap of so many refreshes, each adopted, of a list of so many names."""
    house, version = House(folder), count(1)
    house.write(0, int(names))
    refresher = house.refresher()

    async def lap() -> dict[str, int]:
        for _ in range(int(times)):
            house.write(next(version), int(names))
            manifest = await asyncio.to_thread(house.refresh, refresher)
            await house.adopt(refresher.signed(manifest))
            assert decide(Question("default", f"v{manifest.generation}-7.example"), house.live.policy(), NOW).blocked
        return memory()

    async def run() -> list[dict[str, int]]:
        return [await lap() for _ in range(int(laps))]

    return asyncio.run(run())


def rows(number: int) -> Compiled:
    """Return the segment of a list of so many rows that no list names."""
    compiled = compile_segment("list:large", [], SEALS.digest)
    source = np.random.default_rng(1)
    highs = np.sort(source.integers(0, 2**64, number, dtype=np.uint64))
    bounds = np.arange(1, 1 << 16, dtype=np.uint64) << np.uint64(48)
    arrays: dict[str, Any] = {
        "highs": highs, "lows": source.integers(0, 2**64, number, dtype=np.uint64),
        "codes": np.full(number, 2, np.uint8),
        "offsets": np.concatenate(([0], np.searchsorted(highs, bounds), [number])).astype("<u4"),
    }  # fmt: skip
    for name, array in arrays.items():
        compiled.parts[name] = memoryview(array).cast("B")
    compiled.entries.extend(os.urandom(20_000) for _ in range(number // 2000))
    return compiled


def _peak() -> int:
    """Return the most that was resident since the last look, in KiB, and begin anew."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path("/proc/self/clear_refs").write_text("5")
    return int(status["VmHWM"].split()[0])


def large(folder: Path, number: str) -> dict[str, float]:
    """Return, in MiB, the size of a large segment and what writing it and opening it take beside it at their peak."""
    write = opened = 0
    compiled = rows(int(number))
    size = sum(len(part) for part in compiled.parts.values()) + sum(map(len, compiled.entries))
    publish.write_segment(folder, rows(10), SEALS)  # what is imported and allocated once is no part of it
    gc.collect()
    _peak()
    before = memory()["all"]
    part = publish.write_segment(folder, compiled, SEALS)
    write = _peak() - before
    del compiled
    before = memory()["all"]
    _peak()
    fd = sealed("segment", publish.opened(folder, part, OPENING))
    opened = _peak() - before
    return {
        "size": size / 2**20, "file": part.size / 2**20, "memory": os.fstat(fd).st_size / 2**20,
        "writing": write / 1024, "opening": opened / 1024,
    }  # fmt: skip


def share(_: Path, number: str) -> None:
    """Map the segment at that descriptor as a worker does, read all of it, and wait to be ended."""
    memory = mapped(int(number))
    os.close(int(number))
    assert len(memoryview(memory)) == sum(len(memory[at : at + PAGE]) for at in range(0, len(memory), PAGE))
    sys.stdout.write("mapped\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    if answer is not None:
        json.dump(answer, sys.stdout)
