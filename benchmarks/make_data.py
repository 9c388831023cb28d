"""Write the lists and questions that the benchmarks load, none of them real.

100,000 domains, 20,000 URLs, 50,000 questions; lists of millions are written when a benchmark asks for them.
Usage: make_data.py FOLDER
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

DOMAINS, URLS, HOSTS, ALLOWED = 100_000, 20_000, 5_000, 10_000
FOLDER = Path("bench-data")
LISTED_ZONE, OTHER_ZONE = "b77.test", "miss.example"
"""A zone that is blocked with all below it, and one whose names the authority makes up as they are asked for."""
_WORDS = (
    "a", "go", "img", "cdn", "shop", "news", "media", "track", "static", "banner", "quiet", "harbour", "lantern",
    "meadow", "orchard", "pavilion", "riverside", "settlement", "watchtower", "northernlights",
)  # fmt: skip
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


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


def misses(count: int, seed: int, zones: Sequence[str] = (LISTED_ZONE, OTHER_ZONE)) -> list[str]:
    """Return names that nobody asked for before: random, below one or the other of `zones`."""
    draw = random.Random(seed)
    return [f"x{draw.getrandbits(48):x}.{zones[draw.getrandbits(16) % len(zones)]}" for _ in range(count)]


def many(count: int, seed: int = 5) -> Iterator[str]:
    """Yield `count` different names of three or four labels and 16 to 48 characters, the same for the same seed."""
    draw = random.Random(seed)
    for number in range(count):
        first, second, third = draw.choices(_WORDS, k=3)
        name = f"{first}.{second}-{_base36(number * 7 + seed)}"
        yield f"{name}.example" if draw.random() < 0.7 else f"{name}.{third}.example"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def listed(count: int) -> Path:
    """Return the file of a list of `count` domains, written if it is not there; the smaller begins the larger."""
    path = FOLDER / f"listed-{count}.domains"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            file.writelines(f"{name}\n" for name in many(count))
        unfinished.replace(path)
    return path


def main() -> None:
    """Write the small files into the folder named on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("blocked.domains", domains()), ("questions.txt", questions()), ("blocked.urls", urls())):
        (folder / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
