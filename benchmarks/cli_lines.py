"""Lines a second of `check --json -` and `canonicalize --json -` after start-up, with the lists of config/bench.toml.

Start-up (interpreter, imports, lists) is what a run over a few lines takes; it is subtracted. A tenth of the lines is
on hosts with listed URLs, and a third of that tenth is listed. Prints one JSON object; exits 1 where it falls short.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("filterproxy"))
COMMANDS = {
    "check": [PROGRAM, "check", "-c", "config/bench.toml", "--json", "-"],
    "canonicalize": [PROGRAM, "canonicalize", "--json", "-"],
}
ASKED = {"check": 40_000, "canonicalize": 60_000}
"""Lines a second."""
FEW = 1_000
"""Lines of the run that shows what start-up takes."""


def mix(listed: list[str], count: int) -> list[str]:
    """Return `count` URLs as they pass a proxy."""
    draw = random.Random(7)
    hosts = sorted({url.split("/")[2] for url in listed})
    words = ("news", "img", "static", "article", "api", "v2", "user", "search", "watch", "p")
    lines = []
    for number in range(count):
        path = "/".join(draw.choice(words) for _ in range(draw.randint(1, 4)))
        if number % 10:
            lines.append(
                f"https://www{draw.randrange(3_000)}.shop.example/{path}/{number}?page={draw.randrange(90)}&ref=home"
            )
        elif number % 30:
            lines.append(f"http://{draw.choice(hosts)}/{path}/{number}.html")
        else:
            lines.append(draw.choice(listed))
    return lines


def seconds(command: list[str], lines: list[str]) -> float:
    """Return how long `command` takes over `lines`, start-up included."""
    start = time.perf_counter()
    done = subprocess.run(
        command, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - start
    if done.stdout.count("\n") != len(lines):
        raise SystemExit(
            f"{command[1]}: {done.stdout.count(chr(10))} answers to {len(lines)} lines: {done.stderr[-300:]}"
        )
    return took


def rate(command: list[str], lines: list[str]) -> float:
    """Return the lines a second after start-up: what a long run takes beyond a short one."""
    return (len(lines) - FEW) / (seconds(command, lines) - seconds(command, lines[:FEW]))


def main() -> None:
    """Measure both commands and print the figures; exit 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    lines = mix(Path("bench-data/blocked.urls").read_text().split(), args.lines)
    report = {
        name: round(statistics.median(rate(command, lines) for _ in range(args.rounds)))
        for name, command in COMMANDS.items()
    }
    print(json.dumps({"lines_a_second": report, "asked": ASKED}))
    sys.exit(any(report[name] < least for name, least in ASKED.items()))


if __name__ == "__main__":
    main()
