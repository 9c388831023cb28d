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
from contextlib import contextmanager
from pathlib import Path

SERVER, LOAD = "0", "1"
"""The cores. The target's children stay in its process group, or their CPU is not seen."""
TARGET = [str(Path(sys.executable).with_name("filterproxy")), "run", "-c", "config/bench.toml"]

Figures = dict[str, float]


@contextmanager
def server(command: list[str], ready: Callable[[], bool], core: str = SERVER, patience: float = 60) -> Iterator[int]:
    """Start `command` on one core, wait until `ready`, yield its pid; stop its whole group at the end."""
    pinned = ["taskset", "-c", core, *command]
    process = subprocess.Popen(pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
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
    missing = [tool for tool in tools if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        raise SystemExit(f"not installed: {' '.join(missing)} (see benchmarks/README.md)")


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
    return sum(_ticks(stat, group) for stat in Path("/proc").glob("[0-9]*/stat")) / os.sysconf("SC_CLK_TCK")


def _ticks(stat: Path, group: int) -> int:
    try:
        fields = stat.read_text().rsplit(")", 1)[1].split()
    except OSError:  # gone between the listing and the reading
        return 0
    return int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0


def memory(group: int) -> int:
    """Return the proportional resident memory of a group of processes, in bytes."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except (OSError, ProcessLookupError):
            continue
    return total


def compare(pairs: list[tuple[Figures, Figures]], speed: str, cost: str) -> dict[str, object]:
    """Return the medians of the pairwise ratios, target to peer: answers a second, and work done a CPU second."""
    return {
        "target": pairs[-1][0],
        "peer": pairs[-1][1],
        "ratio": round(statistics.median(ours[speed] / theirs[speed] for ours, theirs in pairs), 3),
        "cpu_ratio": round(statistics.median(theirs[cost] / ours[cost] for ours, theirs in pairs), 3),
    }
