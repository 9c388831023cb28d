"""Two workers beside one: what an answer costs where they share a core, and what they answer on two.

The questions are those of `dns_vs_peers`, from 64 sockets, for the kernel shares them out between workers by socket,
and 4,000 at once: a worker that waits for the load wakes for a few packets at a time, two of them for half as few, and
then it is the load that is measured. Only rounds count in which both kept one core busy, if there are any.
Two cores are tried where there are four: both installations have the first two, the load has the rest. Exits 1 where
a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.dns_side import OURS, UPSTREAM, authority, dnsperf, warm
from benchmarks.side import (
    BUSY,
    LOAD,
    SERVER,
    TARGET,
    Figures,
    answers_dns,
    cpu_by_process,
    derived,
    need,
    scratch,
    server,
)

OTHER = OURS + 10
COST, SPEED = 1.05, 1.7
"""Of two workers to one: CPU for an answer on one core, at most; answers on two cores, at least."""
_SATURATED = 0.9
"""Of their core, in a round that counts."""
_LEAST_SHARE = 0.2
"""Of the busier worker's CPU: with less, the kernel did not share out and nothing was measured."""


def on_cores(work: Path, load: list[str], one_on: str, two_on: str, rounds: int, seconds: int) -> dict[str, Any]:
    """Return how one worker and two fare in turn, each on cores of its own choice, `load` asking."""
    two = derived(
        work / "two.toml",
        ("workers = 1", "workers = 2"),
        ("state/bench", f"{work}/state"),
        (f":{OURS}", f":{OTHER}"),
        (":830", ":831"),
    )
    options = ("-c", "64", "-q", "4000", "-T", str(len(load)))
    with ExitStack() as stack:
        one_group = stack.enter_context(server(TARGET, lambda: answers_dns(OURS), one_on))
        two_group = stack.enter_context(server(two, lambda: answers_dns(OTHER), two_on))
        sides = ((OURS, one_group), (OTHER, two_group))
        for port, group in sides:
            warm(port, group, *options, core=",".join(load))
        before = cpu_by_process(two_group)
        pairs = [
            [dnsperf(port, seconds, group, *options, core=",".join(load)) for port, group in sides]
            for _ in range(rounds)
        ]
        used = sorted(spent - before.get(pid, 0) for pid, spent in cpu_by_process(two_group).items())
    if used[-2] < used[-1] * _LEAST_SHARE:
        raise SystemExit("one of the two workers has next to nothing to do: nothing was measured")
    busy = [pair for pair in pairs if min(figures["busy"] for figures in pair) >= _SATURATED]
    return {"one": pairs[-1][0], "two": pairs[-1][1], "busy_rounds": len(busy), **_ratios(busy or pairs)}


def _ratios(pairs: list[list[Figures]]) -> Figures:
    """Return medians of two to one. `speed` is answers; `could` what two cores would give, going by CPU alone."""
    cost = statistics.median(two["cpu_s_per_million"] / one["cpu_s_per_million"] for one, two in pairs)
    speed = statistics.median(two["answers_a_second"] / one["answers_a_second"] for one, two in pairs)
    return {"cost": round(cost, 3), "speed": round(speed, 3), "could": round(2 / cost, 3)}


def main() -> None:
    """Measure in turn, one and two, and print one JSON object; exit 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    short = []
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        shared = on_cores(work, [LOAD], SERVER, SERVER, args.rounds, args.seconds)
        apart = None
        if len(cores) >= 4:
            apart = on_cores(work, cores[2:], cores[0], ",".join(cores[:2]), args.rounds, args.seconds)
    report = {"one_core": shared, "two_cores": apart or f"not tried: {len(cores)} cores"}
    print(json.dumps({**report, "cost_asked_at_most": COST, "speed_asked_at_least": SPEED}))
    if shared["cost"] > COST:
        short.append("one core")
    if apart and apart["speed" if apart["two"]["busy"] >= 2 * BUSY else "could"] < SPEED:
        short.append("two cores")
    if short:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
