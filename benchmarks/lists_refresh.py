"""The running product over lists of millions: what the index takes, and what a refresh does to those who ask meanwhile.

Supervisor, control, two edge workers and the inspector share one core; questions come from the other, evenly paced.

- `index_mb`: the segments, by the proportional set size of their maps over all processes, which adds up to one copy.
- `in_force_s`: from the moment the manifest is on disk until the last process has logged `bundle_adopted`.
- `lost`, `p99_ratio`: questions without an answer from the refresh's beginning to its end, and p99 in that time over
  p99 at rest before it.
- `refresh_adds_mb`: memory of all that serves (proportional, every process but control, and all sealed memory) at its
  peak during a refresh of the longer list, less what it was before. `compiling_adds_mb` is what control took meanwhile,
  `all_adds_mb` what both took at once, `list_mb` the list's own size on disk, `stays_mb` what was left afterwards.
- `override_s`: from the decision until every way of asking is seen to spare the name, for good.

Prints one JSON object; exits 1 where it falls short.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from itertools import islice
from typing import Any

from benchmarks.dns_side import authority
from benchmarks.installation import (
    DNS,
    MB,
    UPSTREAM,
    Installation,
    Watch,
    footprint,
    questions,
    shared_memory,
    variant,
)
from benchmarks.make_data import many
from benchmarks.overrides import in_force
from benchmarks.paced import Load
from benchmarks.side import LOAD, answers_dns, need, scratch, server

PACE, REST = 1_000, 6.0
"""Questions a second, and seconds of them before each refresh."""
ASKED = {
    "index_mb": 25.0, "in_force_s": 0.3, "lost": 0, "p99_ratio": 2.0, "override_s": 1.0, "override_in_refresh_s": 1.0,
}  # fmt: skip
"""At most; `refresh_adds_mb` is compared with the list's own size."""


def renewed(product: Installation, count: int, number: int, names: list[str]) -> dict[str, Any]:
    """Return how questions fared while the list's variant of this number took force, and how soon it did."""
    variant(count, number, product.source)
    with Load(DNS, names, PACE) as load:
        time.sleep(1)
        resting = time.time()
        time.sleep(REST)
        begun = time.time()
        product.refresh()
        ended = time.time()
    written, adopted = product.written_at(), product.adopted_since(begun)
    rest, during = load.between(resting, begun), load.between(begun, ended)
    return {
        "refresh_s": round(ended - begun, 2),
        "in_force_s": round(max(adopted.values()) - written, 3),
        "lost": during["lost"],
        "p99_ratio": round(during["p99_ms"] / rest["p99_ms"], 2),
        "rest": rest,
        "during": during,
    }


def shorter(count: int, rounds: int) -> dict[str, Any]:
    """Return what the index of a list takes, and how `rounds` refreshes of it went: each figure's median."""
    names = questions(count)
    with ExitStack() as stack:
        product = _started(stack, count)
        with Load(DNS, names, PACE * 2):  # until every page of the index is mapped where it is used
            time.sleep(10)
        index = shared_memory(product.processes())
        found = [renewed(product, count, number, names) for number in range(1, rounds + 1)]
    medians = {
        name: statistics.median(item[name] for item in found) for name in ("refresh_s", "in_force_s", "p99_ratio")
    }
    return {
        "index_mb": round(sum(index.values()) / MB, 1),
        "index_mb_by_process": {name: round(size / MB, 1) for name, size in index.items()},
        **medians,
        "lost": sum(item["lost"] for item in found),
        "rounds": found,
    }


def longer(count: int) -> dict[str, Any]:
    """Return what a refresh of a list adds to the memory of all processes, and how soon an override is in force."""
    with ExitStack() as stack:
        product = _started(stack, count)
        pids = product.processes()
        variant(count, 1, product.source)
        before = footprint(pids)
        with Watch(pids) as watch:
            product.refresh()
            time.sleep(1)
        after, own = footprint(pids), product.file_size()
        first, second = islice(many(count), 2)  # no variant leaves these out
        alone, beside = in_force(product, first), _during_refresh(product, count, second)
    serving = [{name: size for name, size in found.items() if name != "control"} for found in watch.seen]
    most = max(serving, key=lambda found: sum(found.values()))
    found = {
        "list_mb": own,
        "segments_mb": before["segments"],
        "refresh_adds_mb": sum(most.values()) - sum(before[name] for name in most),
        "compiling_adds_mb": max(found["control"] for found in watch.seen) - before["control"],
        "all_adds_mb": max(sum(found.values()) for found in watch.seen) - sum(before.values()),
        "stays_mb": sum(after.values()) - sum(before.values()),
    }
    return {
        **{name: round(size / MB, 1) for name, size in found.items()},
        "before_mb_by_process": _in_mb(before),
        "most_mb_by_process": {name: max(_in_mb(found)[name] for found in watch.seen) for name in before},
        "after_mb_by_process": _in_mb(after),
        "override_s": max(alone.values()),
        "override_s_by_way": alone,
        "override_in_refresh_s": max(beside.values()),
        "override_in_refresh_s_by_way": beside,
    }


def _during_refresh(product: Installation, count: int, name: str) -> dict[str, float]:
    """Return how soon an override was in force while the list was read again."""
    variant(count, 2, product.source)
    thread = threading.Thread(target=product.refresh)

    def begin() -> None:
        thread.start()
        time.sleep(count / 2_500_000)

    generation = product.ask(do="status")["generation"]
    found = in_force(product, name, begin)
    if not thread.is_alive() or product.ask(do="status")["generation"] != generation + 1:
        raise SystemExit("the refresh was over before the override was in force")
    thread.join()
    return found


def _started(stack: ExitStack, count: int) -> Installation:
    work = stack.enter_context(scratch())
    stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
    product = Installation(work)
    variant(count, 0, product.source)
    stack.enter_context(product.running(30 + count / 40_000))
    return product


def _in_mb(found: dict[str, int]) -> dict[str, float]:
    return {name: round(size / MB, 1) for name, size in found.items()}


def main() -> None:
    """Measure both lists, print the figures, exit 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200,000 domains, one round; compared with nothing")
    quick = parser.parse_args().quick
    need("unbound", "taskset")
    report = {
        "shorter": shorter(200_000, 1) if quick else shorter(1_000_000, 3),
        "longer": longer(200_000) if quick else longer(5_000_000),
    }
    print(json.dumps({**report, "asked_at_most": ASKED}))
    found = report["shorter"] | report["longer"]
    short = [name for name, most in ASKED.items() if found[name] > most]
    if found["refresh_adds_mb"] > found["list_mb"]:
        short.append("refresh_adds_mb")
    if short and not quick:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
