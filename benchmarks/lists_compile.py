"""A list of millions from its source to a segment on disk, through the refresher as the product does it.

Time on one core, the compiling process's peak of resident memory, and what the index and the file take. Prints one JSON
object; exits 1 where it falls short.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.make_data import listed
from benchmarks.side import SERVER, scratch
from filterproxy.core.layout import split
from filterproxy.keys import Keys
from filterproxy.lists import publish
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Seals
from filterproxy.settings import Settings

MB = 1e6
ASKED = {1_000_000: {"seconds": 6.0, "index_mb": 25.0}, 5_000_000: {"seconds": 45.0, "peak_mb": 700.0}}
"""At most, for a list of so many domains."""
INDEX = ("highs", "lows", "codes", "offsets", "fact_rows", "fact_ids")
"""The parts that workers look up in."""


def measured(count: int, state: Path) -> dict[str, float]:
    """Return what one compilation in this process takes."""
    table = {"id": "long", "source": str(listed(count)), "format": "domains"}
    settings = Settings.model_validate({"runtime": {"state": state}, "lists": [table]})
    seals = Seals.of(Keys.open_or_create(settings.keys_folder))
    refresher = Refresher(settings, seals)
    before, started, used = _memory("VmRSS"), time.perf_counter(), time.process_time()
    manifest = refresher.refresh(settings.lists, datetime.now(UTC))
    took, used = time.perf_counter() - started, time.process_time() - used
    [part] = manifest.parts
    _, parts = split(memoryview((publish.bundle_folder(state) / part.file).read_bytes()))
    return {
        "seconds": round(took, 2),
        "cpu_seconds": round(used, 2),
        "cpu_us_an_entry": round(used / count * 1e6, 2),
        "peak_mb": round(_memory("VmHWM") / MB),
        "before_mb": round(before / MB),
        "index_mb": round(sum(len(parts[name]) for name in INDEX) / MB, 1),
        "file_mb": round(part.size / MB, 1),
    }


def _memory(what: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    return 0


def apart(count: int) -> dict[str, float]:
    """Return `measured` of a process of its own, whose memory nothing else has touched."""
    listed(count)
    with scratch() as folder:
        command = [sys.executable, "-m", "benchmarks.lists_compile", "--one", str(count), str(folder / "state")]
        done = subprocess.run(["taskset", "-c", SERVER, *command], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def median(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Return each figure's median, and the least and most of the seconds."""
    found: dict[str, Any] = {name: statistics.median(item[name] for item in rounds) for name in rounds[0]}
    return found | {"seconds_of_each": sorted(item["seconds"] for item in rounds)}


def main() -> None:
    """Compile, print the figures, exit 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round over 200,000 domains, compared with nothing")
    parser.add_argument("--one", nargs=2, metavar=("COUNT", "STATE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        os.umask(0o077)
        print(json.dumps(measured(int(args.one[0]), Path(args.one[1]))))
        return
    rounds = {200_000: 1} if args.quick else {1_000_000: 3, 5_000_000: 1}
    report = {count: median([apart(count) for _ in range(times)]) for count, times in rounds.items()}
    print(json.dumps({"compiled": report, "asked_at_most": ASKED}))
    asked = ((report[count][name], most) for count in rounds for name, most in ASKED.get(count, {}).items())
    sys.exit(any(found > most for found, most in asked))


if __name__ == "__main__":
    main()
