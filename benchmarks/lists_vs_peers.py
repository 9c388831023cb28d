"""A list of a million domains in Unbound, dnsmasq and BIND 9 beside ours: until it blocks, and while it is renewed.

One core each, the load from the other. Each starts with the list and is read for its memory; then one per cent of the
list changes, twice: once under an even load of questions, once while memory is watched. The peers are given names
without what is below these, to their advantage. Ours is the whole product, portal and inspector included.
Prints one JSON object; each ratio is ours to theirs, below 1 where ours is better.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.dns_side import authority
from benchmarks.installation import DNS, MB, UPSTREAM, Installation, Watch, added, footprint, questions, variant
from benchmarks.list_peers import PEERS, Side
from benchmarks.make_data import listed
from benchmarks.paced import Load, rcode
from benchmarks.side import LOAD, Figures, answers_dns, installed, need, scratch, server

PACE, REST, AFTER, PATIENCE = 1_000, 5.0, 0.5, 120.0
"""Questions a second; seconds of load before and after the list is renewed; seconds that anything may take."""
_BLOCKED = 3


def measured(side: Side, pids: dict[str, int], count: int) -> Figures:
    """Return how a server that has just started fares with the list."""
    names = questions(count)
    found = {"memory_mb": sum(footprint(pids).values()) / MB}
    main = next(iter(pids.values()))
    side.write(1)
    with Load(side.port, names, PACE) as load:
        time.sleep(1)
        resting = time.time()
        time.sleep(REST)
        begun, ended = _renewed(side, main, iter(added(count, 1)))
        time.sleep(AFTER)
    rest, during = load.between(resting, begun), load.between(begun, ended + AFTER)
    found |= {"renewal_s": ended - begun, "lost": during["lost"], "p99_ratio": during["p99_ms"] / rest["p99_ms"]}
    found |= {"p99_ms": during["p99_ms"], "longest_ms": during["max_ms"]}
    side.write(2)
    with Watch(pids) as watch:
        _renewed(side, main, iter(added(count, 2)))
        time.sleep(AFTER)
    found["peak_mb"] = max(sum(item.values()) for item in watch.seen) / MB
    return found


def _renewed(side: Side, pid: int, new: Iterator[str]) -> tuple[float, float]:
    """Have a server take what was written; return when that began and when it blocked what was not listed before."""
    begun = time.time()
    side.renew(pid)
    while rcode(side.port, next(new)) != _BLOCKED:  # each name is asked for once: an answer may be remembered
        if time.time() - begun > PATIENCE:
            raise SystemExit(f"the server on port {side.port} did not take the new list")
        time.sleep(0.02)
    return begun, time.time()


def ours(work: Path, lists: Sequence[Path], count: int) -> Figures:
    """Return the product's figures: `start_s` with the bundle on disk, `first_start_s` with nothing but the list."""
    product = Installation(work)

    def write(number: int) -> None:
        unfinished = product.source.with_suffix(".unfinished")
        shutil.copy(lists[number], unfinished)
        unfinished.replace(product.source)

    side = Side(DNS, [], write, lambda _: product.refresh())
    write(0)
    with product.running(PATIENCE):
        found = {"first_start_s": product.serves_after()} | measured(side, product.processes(), count)
    with product.running(PATIENCE):
        return {"start_s": product.serves_after()} | found


def theirs(side: Side, count: int) -> Figures:
    """Return a peer's figures."""
    last = listed(count).read_text().split()[-1]
    side.write(0)
    begun = time.time()
    with server(side.start, lambda: rcode(side.port, last) == _BLOCKED, patience=PATIENCE) as pid:
        return {"start_s": time.time() - begun} | measured(side, {"peer": pid}, count)


def rounded(found: Figures) -> Figures:
    """Return figures as they are printed."""
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 domains")
    count = 100_000 if parser.parse_args().quick else 1_000_000
    need("unbound", "taskset")
    report: dict[str, object] = {}
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        lists = [work / f"list-{number}" for number in range(3)]
        for number, path in enumerate(lists):
            variant(count, number, path)
        report["ours"] = rounded(our := ours(work, lists, count))
        for name, peer in PEERS.items():
            side = peer(work, lists)
            if not installed(side.start[0]):
                report[name] = "not installed"
                continue
            their = theirs(side, count)
            ratio = {figure: our[figure] / value for figure, value in their.items() if value}
            report[name] = {**rounded(their), "ratio": rounded(ratio)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
