"""What becomes of cached names while somebody floods the resolver with names that nobody asked for before.

dnsperf asks for random names below a listed and an unlisted zone, `--outstanding` at once and as fast as it is
answered. Meanwhile 200 cached names a second are asked, evenly, from another address and as many from the flood's own.
Unbound goes through the same, for comparison. Exits 1 where one of ours is left without an answer or p99 is too long.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.dns_side import OURS, UNBOUND, UPSTREAM, authority, command, figures, unbound, written
from benchmarks.make_data import LISTED_ZONE, misses
from benchmarks.paced import Load
from benchmarks.side import LOAD, TARGET, Figures, answers_dns, need, scratch, server

SOURCES = {"another_client": "127.0.0.2", "same_client": "127.0.0.1"}
PACE, REST = 200, 3.0
"""Questions a second, and seconds of them before the flood."""
P99_MS = 20.0
"""At most."""
_FASTEST = 120_000
_CACHED = [f"ok{number}.example" for number in range(100)]


def flooded(port: int, flood: Path, seconds: int, outstanding: int) -> dict[str, Figures]:
    """Return how the cached names fared during the flood, from each source, and the flood itself."""
    with ExitStack() as stack:
        loads = {name: stack.enter_context(Load(port, _CACHED, PACE, source)) for name, source in SOURCES.items()}
        time.sleep(1 + len(_CACHED) / PACE)  # until each was asked for once
        resting = time.time()
        time.sleep(REST)
        rested = time.time()
        run = command(port, flood, seconds, "-n", "1", "-q", str(outstanding))
        said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        ended = time.time()
    begun = ended - figures(said)["seconds"]  # before, it read its questions
    found = {name: load.between(begun, ended) for name, load in loads.items()}
    rest = {f"{name}_at_rest": load.between(resting, rested) for name, load in loads.items()}
    return {**found, **rest, "flood": figures(said)}


def main() -> None:
    """Flood ours, then Unbound, and print one JSON object; exit 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--outstanding", type=int, default=1000)
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        flood = written(work / "misses", misses(_FASTEST * args.seconds, seed=0))
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        with server(TARGET, lambda: answers_dns(OURS)):
            ours = flooded(OURS, flood, args.seconds, args.outstanding)
        with server(unbound(work, [LISTED_ZONE]), lambda: answers_dns(UNBOUND)):
            theirs = flooded(UNBOUND, flood, args.seconds, args.outstanding)
    print(json.dumps({"target": ours, "unbound": theirs, "p99_ms_asked_at_most": P99_MS}))
    short = [f"{name}: p99" for name in SOURCES if ours[name]["p99_ms"] > P99_MS]
    short += [f"{name}: unanswered" for name in SOURCES if ours[name]["lost"]]
    if short:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
