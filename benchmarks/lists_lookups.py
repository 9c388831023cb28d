"""What a look-up costs on one core: a host that no list names over thirty lists, and ten thousand keywords in URLs.

A host is asked about once only, so that nothing remembers it. Prints one JSON object; exits 1 where it falls short.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from benchmarks.make_data import many
from benchmarks.side import SERVER, scratch
from filterproxy.app import policy_in_force
from filterproxy.core.decide import decide
from filterproxy.core.model import Question, Request
from filterproxy.core.patterns import fold
from filterproxy.core.policy import EVERYONE, Policy
from filterproxy.core.urls import Url, canonical
from filterproxy.settings import Settings

LISTS, ENTRIES, KEYWORDS = 30, 10_000, 10_000
MISS_US, URLS_A_SECOND = 60.0, 150_000
"""Asked: at most, and at least."""
_NOW = datetime(2026, 6, 1, tzinfo=UTC)


def policy(folder: Path, lists: dict[str, list[str]], form: str) -> Policy:
    """Return the policy over lists of these lines, as `check` has it where no product runs."""
    tables = []
    for name, lines in lists.items():
        path = folder / f"{name}.{form}"
        path.write_text("\n".join(lines) + "\n")
        tables.append({"id": name, "source": str(path), "format": form})
    return policy_in_force(Settings.model_validate({"runtime": {"state": folder / "state"}, "lists": tables}))


def misses(folder: Path, rounds: int) -> list[float]:
    """Return by round how many microseconds the decision on a host of three labels takes that was never seen."""
    lists = {f"list-{number}": list(many(ENTRIES, seed=number)) for number in range(LISTS)}
    here = policy(folder, lists, "domains")
    assert decide(Question(EVERYONE.id, lists["list-0"][0], "A"), here, _NOW).blocked
    hosts = iter(f"www.never-{number}.example" for number in range(rounds * 20_000))
    return [1e6 / rate(lambda host: decide(Question(EVERYONE.id, host, "A"), here, _NOW), hosts) for _ in range(rounds)]


def keywords(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return by round how many canonical URLs a second are searched for keywords, and how many are decided."""
    draw = random.Random(4)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(5, 12))) for _ in range(KEYWORDS)]
    here = policy(folder, {"words": words}, "keywords")
    [patterns] = [item.patterns for item in here.bundle.segments if item.name == "list:words"]
    urls = [_url(draw, number) for number in range(20_000)]
    return {
        "searched": [rate(lambda url: patterns.find(fold(url)), iter(urls)) for _ in range(rounds)],
        "decided": [
            rate(lambda url: decide(Request(EVERYONE.id, "GET", url), here, _NOW), iter(urls)) for _ in range(rounds)
        ],
    }


def _url(draw: random.Random, number: int) -> Url:
    """Return a URL as it passes a proxy."""
    parts = ("news", "img", "static", "article", "api", "v2", "user", "search", "watch", "gallery")
    path = "/".join(draw.choices(parts, k=draw.randint(1, 4)))
    found = canonical(f"https://www{draw.randrange(3_000)}.shop.example/{path}/{number}?page={number % 90}&ref=home")
    assert found is not None
    return found


def rate[T](act: Callable[[T], object], items: Iterator[T]) -> float:
    """Return how many of the next 20,000 items `act` takes a second."""
    taken = list(islice(items, 20_000))
    begun = time.perf_counter()
    for item in taken:
        act(item)
    return len(taken) / (time.perf_counter() - begun)


def main() -> None:
    """Measure both, print the figures, exit 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    rounds = 1 if parser.parse_args().quick else 5
    os.sched_setaffinity(0, {int(SERVER)})
    with scratch() as folder:
        miss = misses(folder, rounds)
        urls = keywords(folder, rounds)
    cost, speed = statistics.median(miss), statistics.median(urls["searched"])
    report = {
        "miss_us": round(cost, 1),
        "miss_us_of_each": [round(item, 1) for item in sorted(miss)],
        "keyword_urls_a_second": round(speed),
        "keyword_urls_decided_a_second": round(statistics.median(urls["decided"])),
    }
    print(json.dumps({**report, "asked": {"miss_us": MISS_US, "keyword_urls_a_second": URLS_A_SECOND}}))
    sys.exit(cost > MISS_US or speed < URLS_A_SECOND)


if __name__ == "__main__":
    main()
