"""A load of DNS and HTTP that takes all the product's core, watching the memory of all its processes.

DNS is asked for what is blocked and cached as fast as it is answered, for names that nobody asked for before, and over
TCP on connections that come and go; requests go to the portal's transparency page and, where a proxy listens, through
it to listed domains. Memory must level off, and next to nothing be lost. Starts `filterproxy run` with the benchmarks'
configuration, its cache made small so that it is full within a minute, unless `--pid` names a running one's leader.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import ExitStack
from pathlib import Path

from benchmarks.dns_side import OURS, UPSTREAM, authority, command, figures, written
from benchmarks.make_data import misses
from benchmarks.side import LOAD, Figures, answers_dns, derived, listens, memory, need, scratch, server

PROXY, PORTAL = 8300, 8301
GROWTH = 1.1
"""How much larger the last quarter may be than the second."""
LOST = 0.001
"""The share of each kind of question that may be lost."""
MISSES, OVER_TCP = 1_000, 500
"""Questions a second."""
_SMALL = ("cache_entries = 200_000", "cache_entries = 50_000")


def kinds(work: Path, seconds: int) -> dict[str, list[str]]:
    """Return dnsperf's command for each kind of question."""
    usual = Path("bench-data/questions.txt")
    new = written(work / "misses", misses((MISSES + 1) * seconds, seed=0))
    tcp = ["-m", "tcp", "-c", "20", "-q", "50", "-Q", str(OVER_TCP), "-O", "num-queries-per-conn=100"]
    return {
        "usual": command(OURS, usual, seconds),
        "misses": command(OURS, new, seconds, "-n", "1", "-Q", str(MISSES)),
        "tcp": command(OURS, usual, seconds, *tcp),
    }


async def dns_load(run: list[str]) -> Figures:
    """Return what dnsperf says at its end."""
    process = await asyncio.create_subprocess_exec(*run, stdout=PIPE, stderr=DEVNULL)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return figures(said.decode())


async def http_load(until: float, port: int, target: str) -> tuple[int, int]:
    """Fetch `target` again and again; return how many requests were made and answered."""
    asked = answered = 0
    while time.monotonic() < until:
        asked += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            host = target.split("/")[2]
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answered += (await reader.read(12)).startswith(b"HTTP/1.1 ")
            await reader.read()
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)
    return asked, answered


async def watch(until: float, group: int) -> list[int]:
    """Return the product's memory in bytes, once in two seconds."""
    sizes = []
    while time.monotonic() < until:
        sizes.append(memory(group))
        await asyncio.sleep(2)
    return sizes


async def soak(group: int, seconds: int, work: Path) -> bool:
    """Load the product; print what happened; return whether memory levelled off and answers came."""
    asked = kinds(work, seconds)
    until = time.monotonic() + seconds
    web = {PORTAL: f"http://127.0.0.1:{PORTAL}/transparency"} | ({PROXY: "http://b1.test/"} if listens(PROXY) else {})
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(until, group))
        dns = {kind: tasks.create_task(dns_load(run)) for kind, run in asked.items()}
        fetching = [tasks.create_task(http_load(until, port, target)) for port, target in web.items()]
    sizes, pages = watching.result(), [task.result() for task in fetching]
    found = {kind: task.result() for kind, task in dns.items()}
    quarter = max(len(sizes) // 4, 1)
    before, after = max(sizes[quarter : 2 * quarter] or sizes), max(sizes[-quarter:])
    level = 0 < after <= before * GROWTH
    kept = all(kind["answered"] >= kind["asked"] * (1 - LOST) > 0 for kind in found.values())
    kept = kept and all(page[1] >= page[0] * (1 - LOST) for page in pages)
    report = {"dns": found, "http": pages, "level": level, "kept": kept}
    print(json.dumps({**report, "mb_before": before >> 20, "mb_after": after >> 20}))
    return level and kept


def main() -> None:
    """Start the product where none is named, load it, exit 1 where it grew or lost answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="a trial takes a minute at least: caches fill first")
    parser.add_argument("--pid", type=int, help="the leader of the process group of a running product")
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    os.sched_setaffinity(0, {int(LOAD)})
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        ours = derived(work / "soak.toml", _SMALL)
        group = args.pid or stack.enter_context(server(ours, lambda: answers_dns(OURS) and listens(PORTAL)))
        fine = asyncio.run(soak(group, args.seconds, work))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
