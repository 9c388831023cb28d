"""Write the lists and questions that the benchmarks load: 100,000 domains and 20,000 URLs, none of them real.

Usage: make_data.py FOLDER
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

DOMAINS, URLS, HOSTS, ALLOWED = 100_000, 20_000, 5_000, 10_000


def domains() -> list[str]:
    """Return the listed domains."""
    return [f"b{number}.test" for number in range(DOMAINS)]


def urls() -> list[str]:
    """Return the listed URLs: four on each of 5,000 hosts."""
    return [f"http://u{number % HOSTS}.test/gallery/{number}/index.html?id={number}" for number in range(URLS)]


def questions(count: int = 50_000) -> list[str]:
    """Return DNS questions as dnsperf reads them; a fifth names a listed domain."""
    draw = random.Random(1)
    names = (
        f"b{draw.randrange(DOMAINS)}.test" if draw.random() < 0.2 else f"ok{draw.randrange(ALLOWED)}.example"
        for _ in range(count)
    )
    return [f"{name} A" for name in names]


def main() -> None:
    """Write all three files into the folder named on the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "bench-data")
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("blocked.domains", domains()), ("questions.txt", questions()), ("blocked.urls", urls())):
        (folder / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
