"""Bundles where machines fail: killed between any two steps, a disk that is full at each write, months of refreshes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from filterproxy.lists import publish
from filterproxy.runtime.memfd import sealed
from tests.conftest import ROOT
from tests.integration.bundles import rows
from tests.seals import OPENING, SEALS

MIB = 1024 * 1024
V1, V2, OWN = ["v1-0.example", "v1-199.example"], ["v2-0.example", "v2-199.example"], ["own.example"]
STORIES = {
    "refresh": (V1 + OWN, V2 + OWN),
    "override": (V1 + OWN, V1[1:] + OWN),
    "end": (V1 + OWN, OWN),
    "own": (V1 + OWN, V1 + OWN),
}
"""What is blocked before each change, and after it."""


def program(*words: object) -> list[str]:
    """Return the command of a process of its own."""
    return [sys.executable, "-m", "tests.integration.bundles", *map(str, words)]


def ran(*words: object, within: Sequence[str] = ()) -> Any:
    """Return what it has to say."""
    command = [*within, *program(*words)]
    # One arena: which threads share one is chance, and would look like growth.
    env = os.environ | {"MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("what", "how"),
    [("refresh", "whole"), ("refresh", "torn"), ("override", "whole"), ("end", "whole"), ("own", "whole")],
)
def test_killed_between_any_two_steps_the_last_good_or_the_new_bundle_is_in_force(tmp_path, what, how):
    """Never a mixture, never none; what was left half done is swept, and the next refresh goes on from there."""
    found = ran("killed", tmp_path, what, how)
    before, after = STORIES[what]
    assert len(found) > 15
    assert {item["killed"] for item in found[:-1]} == {9}
    states = [(item["says"]["generation"], item["says"]["blocked"]) for item in found]
    assert [state for state, _ in groupby(states)] == [(2, before), (3, after)]
    assert [item["leftovers"] for item in found if item["leftovers"]] == []
    assert [item["then"] for item in found] == [generation + 1 for generation, _ in states]


@pytest.mark.parametrize("of", ["pages", "files"])
def test_a_disk_that_is_full_at_any_write_leaves_the_last_good_bundle(tmp_path, of):
    """With no page or name left, with one, and so on: it is an error, no scrap stays, and with room it works."""
    within = [] if os.geteuid() == 0 else ["unshare", "-rm"]
    mounts = subprocess.run([*within, "unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False)
    if mounts.returncode:
        pytest.skip("no disk can be mounted here: run it as root, or where users may have namespaces of their own")
    found = ran("full", tmp_path, of, within=within)
    assert len(found) > 3
    assert [item["error"] for item in found] == [errno.ENOSPC] * (len(found) - 1) + [0]
    for item in found[:-1]:
        assert item["says"] == item["before"]
        assert item["before"]["blocked"] == V1
    assert found[-1]["says"]["blocked"] == V2
    for item in found:
        assert item["on_disk"]
        assert (item["scraps"], item["unnamed"]) == ([], 0)
        assert (item["then"]["blocked"], item["files"]) == (V2, 3)
        assert item["before"]["generation"] < item["then"]["generation"]


@pytest.mark.parametrize(("laps", "times", "names"), [(6, 50, 200), (5, 3, 100_000)])
def test_hundreds_of_refreshes_leave_memory_as_it_was(tmp_path, laps, times, names):
    """Each is adopted as by a worker: two segments are open and mapped, as at first, and nothing else grows."""
    found = ran("long", tmp_path, laps, times, names)
    assert {(item["fds"], item["maps"]) for item in found} == {(2, 2)}
    assert len({item["files"] for item in found}) == 1
    own = [item["own"] for item in found[1:]]  # the first lap also loads and warms up
    assert max(own) - own[0] < 4 * 1024, found
    assert not all(after - before > 512 for before, after in pairwise(own)), found


def test_a_large_segment_is_never_in_memory_twice(tmp_path):
    """Writing it and opening it for the workers each take a few MiB beside what is there."""
    found = ran("large", tmp_path, 2_000_000)
    assert found["size"] > 45
    assert found["file"] - found["size"] < 0.2
    assert found["memory"] < found["size"]  # the entries stay on disk
    assert found["writing"] < 8
    assert found["opening"] < 8


def test_two_workers_map_one_copy(tmp_path):
    """Each is charged half of a segment; the supervisor, which made it, maps none."""
    part = publish.write_segment(tmp_path, rows(500_000), SEALS)
    fd = sealed("segment", publish.opened(tmp_path, part, OPENING))
    size = os.fstat(fd).st_size
    workers = [
        subprocess.Popen(
            program("share", tmp_path, fd), cwd=ROOT, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"mapped\n"
        found = [_mapping(worker.pid) for worker in workers]
        for kinds in found:
            assert abs(kinds["Rss"] * 1024 - size) < 64 * 1024
            assert abs(kinds["Pss"] * 2048 - size) < 64 * 1024
            assert kinds["Private_Dirty"] == 0
        assert "memfd:segment" not in Path("/proc/self/maps").read_text()
    finally:
        for worker in workers:
            worker.communicate()
        os.close(fd)


def _mapping(pid: int) -> dict[str, int]:
    """Return what the kernel says of a process's map of a segment, in KiB."""
    lines = iter(Path(f"/proc/{pid}/smaps").read_text().splitlines())
    for line in lines:
        if "memfd:segment" in line:
            break
    found: dict[str, int] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if not value.endswith(" kB"):
            break
        found[name] = int(value.split()[0])
    return found
