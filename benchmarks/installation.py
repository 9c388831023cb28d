"""A product of the benchmarks' own with one long list: two workers, control, inspector; its memory and its log."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from benchmarks.make_data import listed, many
from benchmarks.side import SERVER
from filterproxy.errors import ControlError
from filterproxy.runtime import client

DNS, GATEWAY, PORTAL, UPSTREAM = 5320, 8320, 8321, 5399
WORKERS = 2
CHANGED = 0.01
"""The share of a list that a refresh replaces."""
MB = 1e6
_SEGMENT = "/memfd:segment"
_CONFIG = """
[operator]
name = "Benchmark"
[runtime]
state = "{folder}/state"
workers = {workers}
[dns]
listen = ["127.0.0.1:{dns}"]
upstreams = ["127.0.0.1:{upstream}"]
clients = ["127.0.0.0/8"]
max_inflight = 4000
limits = {{ rate = 10_000_000 }}
[gateway]
listen = "127.0.0.1:{gateway}"
clients = ["127.0.0.0/8"]
[portal]
listen = "127.0.0.1:{portal}"
url = "http://127.0.0.1:{portal}"
[console]
enabled = false
[metrics]
enabled = false
[[lists]]
id = "long"
source = "{folder}/long.domains"
format = "domains"
refresh = "24h"
"""


class Installation:
    """`filterproxy run` on a folder of its own; `events` are its log's lines, each with the moment it came.

    `more` follows its configuration, which ends within the table of its list.
    """

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.state = folder, folder / "state"
        self.source, self.config = folder / "long.domains", folder / "config.toml"
        self.config.write_text(
            _CONFIG.format(folder=folder, workers=WORKERS, dns=DNS, gateway=GATEWAY, portal=PORTAL, upstream=UPSTREAM)
            + more
        )
        self.events: list[tuple[float, str]] = []
        self._process: subprocess.Popen[str] | None = None
        self._begun = 0.0

    @contextmanager
    def running(self, patience: float) -> Iterator[None]:
        """Start it on the servers' core, wait until every process judges by the list, and stop it at the end."""
        command = ["taskset", "-c", SERVER, sys.executable, "-m", "filterproxy", "run", "-c", str(self.config)]
        self._begun = time.time()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._process = process
        reader = threading.Thread(target=self._read)
        reader.start()
        try:
            self.until(self._ready, patience)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            reader.join()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.events.append((time.time(), line.rstrip()))

    def until(self, holds: Callable[[], bool], patience: float) -> None:
        """Wait until `holds`; end with what the log says where that takes too long."""
        end = time.monotonic() + patience
        while not holds():
            if time.monotonic() > end or self._process is None or self._process.poll() is not None:
                said = "\n".join(line for _, line in self.events[-20:])
                raise SystemExit(f"the product did not get there within {patience:.0f} s:\n{said}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        try:
            status = self.ask(do="status")
        except ControlError:
            return False
        return status["generation"] > 0 and all(
            item["ready"] and item["generation"] == status["generation"] for item in status["processes"]
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to a request over the control socket."""
        return client.ask(self.state, request, timeout=300)

    def refresh(self) -> None:
        """Have the list read again, and return when every process judges by it."""
        [found] = self.ask(do="refresh", lists=["long"])["lists"]
        if found["state"] != "ok":
            raise SystemExit(f"the list was refused: {found['reason']}")

    def processes(self) -> dict[str, int]:
        """Return the pid of each process by its name."""
        assert self._process is not None
        rows = self.ask(do="status")["processes"]
        return {"supervisor": self._process.pid} | {row["name"]: row["pid"] for row in rows}

    def adopted_since(self, moment: float) -> dict[str, float]:
        """Return when each process last began to judge by another bundle, of what came after `moment`."""
        found = {}
        for at, line in self.events[:]:
            said = re.match(r"\S+ +info +(\S+) +bundle_adopted ", line)
            if said and at >= moment:
                found[said[1]] = at
        return found

    def serves_after(self) -> float:
        """Return how many seconds after its start the last edge worker first judged by a bundle."""
        pattern = r"\S+ +info +(edge-\d+) +bundle_adopted "
        found = [(said[1], at) for at, line in self.events if at >= self._begun and (said := re.match(pattern, line))]
        return max(dict(reversed(found)).values()) - self._begun

    def file_size(self) -> int:
        """Return how large the list's segment is on disk, in bytes."""
        return max(path.stat().st_size for path in (self.state / "bundle").glob("*.seg"))

    def written_at(self) -> float:
        """Return when the manifest in force was written."""
        return (self.state / "bundle" / "manifest.json").stat().st_mtime


def shared_memory(pids: dict[str, int]) -> dict[str, int]:
    """Return by process its proportional share of the segments, in bytes: they add up to what there is of them once."""
    found: dict[str, int] = defaultdict(int)
    for name, pid in pids.items():
        ours = False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if re.match(r"[0-9a-f]+-", line):
                ours = _SEGMENT in line
            elif ours and line.startswith("Pss:"):
                found[name] += int(line.split()[1]) * 1024
    return found


def footprint(pids: dict[str, int]) -> dict[str, int]:
    """Return what each process has of its own (proportional, in bytes), and as `segments` all sealed memory, once.

    Sealed memory is counted whole, be it looked at by many or by nobody yet.
    """
    found = {name: _own(pid) for name, pid in pids.items()}
    sizes: dict[int, int] = {}
    for pid in pids.values():
        sizes |= _held(pid) | _mapped(pid)
    return found | {"segments": sum(sizes.values())}


def _own(pid: int) -> int:
    wanted = ("Pss_Anon:", "Pss_File:")
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def _mapped(pid: int) -> dict[int, int]:
    """Return the size of each segment that a process maps, by its inode."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    rows = [line.split() for line in lines if _SEGMENT in line]
    bounds = [(int(row[4]), *(int(end, 16) for end in row[0].split("-"))) for row in rows]
    return {inode: end - begin for inode, begin, end in bounds}


def _held(pid: int) -> dict[int, int]:
    """Return the size of each segment that a process has a descriptor of, by its inode."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed between the listing and the look
            if _SEGMENT in str(path.readlink()):
                facts = path.stat()
                found[facts.st_ino] = facts.st_blocks * 512
    return found


class Watch:
    """Looks at the memory of processes, some times a second, for as long as it is entered."""

    def __init__(self, pids: dict[str, int], every: float = 0.1) -> None:
        self._pids, self._every, self._ending = pids, every, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: list[dict[str, int]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            self.seen.append(footprint(self._pids))


def variant(count: int, number: int, path: Path) -> None:
    """Write to `path` the list of `count` domains, of which `CHANGED` are others for each `number`; 0 is the list.

    The first hundred stay.
    """
    lines = listed(count).read_text().splitlines(keepends=True)
    if number:
        new = added(count, number)
        for place, name in zip(random.Random(number).sample(range(100, count), len(new)), new, strict=True):
            lines[place] = f"{name}\n"
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w") as file:
        file.writelines(lines)
    unfinished.replace(path)


def added(count: int, number: int) -> list[str]:
    """Return the names that this variant has and the list has not."""
    return [f"new-{name}" for name in many(int(count * CHANGED), seed=100 + number)]


def questions(count: int, asked: int = 20_000) -> list[str]:
    """Return names to ask for: half of them listed, half let pass and answered by the upstream, each many times."""
    draw = random.Random(3)
    lines = listed(count).read_text().split()
    return [draw.choice(lines) if number % 2 else f"ok{draw.randrange(2_000)}.example" for number in range(asked)]
