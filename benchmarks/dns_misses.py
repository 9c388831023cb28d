"""Names that nobody asked for before, beside Unbound forwarding to the same authority: answers a second, and p99.

`mixed` are random names below a listed and an unlisted zone, half and half; `forwarded` those of the unlisted alone.
Both are measured in a closed loop, 400 questions at once and so at the most that a server can carry; and `mixed` at an
even pace, half of what the slower carried, whether or not earlier ones were answered. Exits 1 where one falls short.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.dns_side import OURS, UNBOUND, UPSTREAM, authority, dnsperf, unbound, written
from benchmarks.make_data import LISTED_ZONE, OTHER_ZONE, misses
from benchmarks.paced import Load
from benchmarks.side import LOAD, TARGET, Figures, answers_dns, compare, counted, need, scratch, server

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Port and group of processes, of ours and of theirs."""
MIXES = {"mixed": (LISTED_ZONE, OTHER_ZONE), "forwarded": (OTHER_ZONE,)}
LEAST, MOST = 0.5, 2.0
"""The ratio of answers, at least; that of p99, at most."""
_FASTEST = 120_000
"""Questions a second that nobody exceeds, so that none is asked twice."""
_PACE = 20_000
"""What the paced client can send at most."""
_seeds = count(1)


def saturated(sides: Sides, zones: tuple[str, ...], work: Path, rounds: int, seconds: int) -> dict[str, Any]:
    """Return how both fare with as many questions as they can carry, in turn, each round with names of its own."""
    pairs = []
    for _ in range(rounds):
        names = written(work / "misses", misses(_FASTEST * seconds, next(_seeds), zones))
        ours, theirs = (dnsperf(port, seconds, group, "-v", "-n", "1", questions=names) for port, group in sides)
        pairs.append((ours, theirs))
    found = compare(pairs, "answers_a_second", "cpu_s_per_million")
    return found | {"counts": counted(pairs), "p99_ratio": _p99(pairs)}


def paced(sides: Sides, zones: tuple[str, ...], rounds: int, seconds: int, pace: int) -> dict[str, Any]:
    """Return how both fare with `pace` questions a second."""
    pairs = []
    for _ in range(rounds):
        names = misses(pace * (seconds + 2), next(_seeds), zones)
        ours, theirs = (_paced(port, names, seconds, pace) for port, _ in sides)
        pairs.append((ours, theirs))
    return {"pace": pace, "target": pairs[-1][0], "peer": pairs[-1][1], "p99_ratio": _p99(pairs)}


def _paced(port: int, names: list[str], seconds: int, pace: int) -> Figures:
    with Load(port, names, pace) as load:
        time.sleep(1)
        begun = time.time()
        time.sleep(seconds)
        ended = time.time()
    return load.between(begun, ended)


def _p99(pairs: list[tuple[Figures, Figures]]) -> float:
    return round(statistics.median(ours["p99_ms"] / theirs["p99_ms"] for ours, theirs in pairs), 3)


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object; exit 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        ours = stack.enter_context(server(TARGET, lambda: answers_dns(OURS)))
        theirs = stack.enter_context(server(unbound(work, [LISTED_ZONE]), lambda: answers_dns(UNBOUND)))
        sides = ((OURS, ours), (UNBOUND, theirs))
        saturated(sides, MIXES["mixed"], work, 1, 2)
        report = {name: saturated(sides, zones, work, args.rounds, args.seconds) for name, zones in MIXES.items()}
        slower = min(report["mixed"][side]["answers_a_second"] for side in ("target", "peer"))
        pace = min(slower // 2, _PACE)
        report["paced"] = paced(sides, MIXES["mixed"], args.rounds, args.seconds, pace)
    print(json.dumps({**report, "ratio_asked_at_least": LEAST, "p99_ratio_asked_at_most": MOST}))
    short = [name for name in MIXES if report[name][report[name]["counts"]] < LEAST]
    short += [f"p99 {name}" for name, found in report.items() if found["p99_ratio"] > MOST]
    if report["paced"]["target"]["lost"]:
        short.append("lost")
    if short:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
