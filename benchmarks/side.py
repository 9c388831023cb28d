"""What the benchmarks share: servers pinned to one core, the load generator to another, CPU read from /proc."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SERVER, LOAD = "0", "1"
"""The cores. The target's children stay in its process group, or their CPU is not seen."""
CONFIG = Path("config/bench.toml")
TARGET = [str(Path(sys.executable).with_name("filterproxy")), "run", "-c", str(CONFIG)]
BUSY = 0.95
"""A server that used less of its core than this was waiting for the load generator."""
_PATH = f"{os.environ['PATH']}:/usr/sbin"
"""Where servers are found: Debian leaves /usr/sbin out of a user's own."""

Figures = dict[str, float]


def derived(path: Path, *changes: tuple[str, str]) -> list[str]:
    """Write the benchmarks' configuration with `changes` of its text to `path`; return the command that runs it."""
    text = CONFIG.read_text()
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{CONFIG} no longer says {old}")
        text = text.replace(old, new)
    path.write_text(text)
    return [*TARGET[:-1], str(path)]


@contextmanager
def server(command: list[str], ready: Callable[[], bool], core: str = SERVER, patience: float = 60) -> Iterator[int]:
    """Start `command` on one core, wait until `ready`, yield its pid; stop its whole group at the end.

    Ends with one line where another server is there already: it would be measured instead.
    """
    if ready():
        raise SystemExit(f"{Path(command[0]).name}: another server already answers in its place")
    pinned = ["taskset", "-c", core, *command]
    process = subprocess.Popen(
        pinned,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PATH": _PATH},
    )
    try:
        end = time.monotonic() + patience
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not answer")
            time.sleep(0.1)
        yield process.pid
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that servers of any user may read, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="filterproxy-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def need(*tools: str) -> None:
    """Stop with one line where a tool is missing without which nothing can be measured."""
    missing = [tool for tool in tools if not installed(tool)]
    if missing:
        raise SystemExit(f"not installed: {' '.join(missing)} (see benchmarks/README.md)")


def installed(tool: str) -> bool:
    """Return whether a program is there to be started."""
    return shutil.which(tool, path=_PATH) is not None


def answers_dns(port: int) -> bool:
    """Return whether a DNS server on 127.0.0.1 answers a question."""
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03ok1\x07example\x00\x00\x01\x00\x01"
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.3)
        probe.sendto(query, ("127.0.0.1", port))
        try:
            return probe.recv(512)[:2] == query[:2]
        except OSError:
            return False


def listens(port: int) -> bool:
    """Return whether something listens on a TCP port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.3).close()
    except OSError:
        return False
    return True


def cpu(group: int) -> float:
    """Return the CPU seconds that the processes of a group have used so far."""
    return sum(cpu_by_process(group).values())


def cpu_by_process(group: int) -> dict[int, float]:
    """Return the CPU seconds that each process of a group has used so far, by its pid."""
    tick = 1 / os.sysconf("SC_CLK_TCK")
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone between the listing and the reading
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == group:
                found[int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) * tick
    return found


def memory(group: int) -> int:
    """Return the resident memory of a group of processes, all of them, in bytes: proportional where it may be read.

    Another user than root may not read that of a process that is not dumpable, so what is shared counts twice there.
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(folder.name)) == group:
                total += _resident(folder)
    return total


def _resident(folder: Path) -> int:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except PermissionError:
        return int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def compare(pairs: list[tuple[Figures, Figures]], speed: str, cost: str) -> dict[str, Any]:
    """Return the medians of the pairwise ratios, target to peer: answers a second, and work done a CPU second."""
    return {
        "target": pairs[-1][0],
        "peer": pairs[-1][1],
        "ratio": round(statistics.median(ours[speed] / theirs[speed] for ours, theirs in pairs), 3),
        "cpu_ratio": round(statistics.median(theirs[cost] / ours[cost] for ours, theirs in pairs), 3),
    }


def counted(pairs: list[tuple[Figures, Figures]]) -> str:
    """Return which of the ratios counts: `cpu_ratio` where a side did not keep its core `busy`, else `ratio`.

    A server that waits answers no more a second than it is asked, so what it could answer is seen in its CPU alone.
    """
    busy = min(statistics.median(pair[side]["busy"] for pair in pairs) for side in (0, 1))
    return "ratio" if busy >= BUSY else "cpu_ratio"
