"""Top sites: up to a million names from a file, such as Tranco publishes, in about 40 bytes each.

A set of a million strings takes 130 MB. Here the names lie in one text in the file's order, and are found by their
hash in a sorted array; what is found is compared whole.
"""

from __future__ import annotations

import stat
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import numpy as np

from filterproxy.core.names import host, is_address
from filterproxy.errors import ConfigError

MAX_SITES: Final = 1_000_000
"""Names of a file at most."""
_MAX_BYTES: Final = 128 * 1024 * 1024
_KEY: Final = "operator.top_sites"


class TopSites:
    """An immutable set of names in order of rank, and of the names above them."""

    __slots__ = ("_above", "_names", "_text", "digest")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Take canonical names, the most visited first."""
        text = bytearray()
        hashes, places = array("q"), array("I")
        above: dict[int, int] = {}
        for name in names:
            place = len(text)
            hashes.append(hash(name))
            places.append(place)
            text += name.encode("ascii") + b"\n"
            at = -1 if is_address(name) else name.find(".")
            while at >= 0 and (parent := hash(name[at + 1 :])) not in above:  # or all above it are known too
                above[parent] = place
                at = name.find(".", at + 1)
        self._text = bytes(text)
        self._names = _Index(hashes, places)
        self._above = _Index(array("q", above), array("I", above.values()))
        self.digest = sha256(self._text).hexdigest()
        """SHA-256 of the names in their order, in hex."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the sites of a file: `name` or `rank,name` a line; `#` begins a comment. Raises ConfigError."""
        return cls(_read(path))

    def __len__(self) -> int:
        """Return the number of different names."""
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        """Yield the names, the most visited first."""
        at, text = 0, self._text
        while at < len(text):
            end = text.index(b"\n", at)
            yield text[at:end].decode("ascii")
            at = end + 1

    def __contains__(self, name: object) -> bool:
        """Tell whether a canonical host is one of the names."""
        return isinstance(name, str) and (place := self._names.place(name)) is not None and self._at(place) == name

    def below(self, name: str) -> str | None:
        """Return the most visited site below a canonical host, or None where there is none."""
        place = self._above.place(name)
        found = None if place is None else self._at(place)
        return found if found is not None and found.endswith(f".{name}") else None

    def marks(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the hashes of each name, of it with `www.` put on, and of each name above."""
        www = np.fromiter((hash(f"www.{name}") for name in self), np.int64)
        return np.concatenate((self._names.hashes, www, self._above.hashes))

    def _at(self, place: int) -> str:
        return self._text[place : self._text.index(b"\n", place)].decode("ascii")


class _Index:
    """From the hash of a name to its place; the first where it stands twice."""

    __slots__ = ("_places", "_sorted", "hashes")

    def __init__(self, hashes: array[int], places: array[int]) -> None:
        self.hashes, first = np.unique(np.frombuffer(hashes, np.int64), return_index=True)
        self._sorted = memoryview(self.hashes)
        self._places = memoryview(np.frombuffer(places, np.uint32)[first])

    def __len__(self) -> int:
        return len(self._sorted)

    def place(self, name: str) -> int | None:
        number = hash(name)
        at = bisect_left(self._sorted, number)
        return int(self._places[at]) if at < len(self._sorted) and self._sorted[at] == number else None


def check(path: Path) -> None:
    """Raise ConfigError where the sites of a file could not be read. Keeps nothing of a million names."""
    for _ in _read(path):
        pass


def _read(path: Path) -> Iterator[str]:
    """Yield the names of a file. Raises ConfigError where it cannot be read, a line says none, or too many do."""
    said = 0
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_BYTES:
            raise ConfigError(f"{_KEY}: {path}: not a file of {_MAX_BYTES // 1024 // 1024} MiB at most")
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if (name := _name(line, path, number)) is not None:
                    said += 1
                    yield name
                if said > MAX_SITES:
                    raise ConfigError(f"{_KEY}: {path}: more than {MAX_SITES:,} names")
    except OSError as exc:
        raise ConfigError(f"{_KEY}: {path}: {exc.strerror or type(exc).__name__}") from exc
    if not said:
        raise ConfigError(f"{_KEY}: {path}: holds no name")


def _name(line: bytes, path: Path, number: int) -> str | None:
    """Return the canonical name that a line says, or None for an empty line or a comment. Raises ConfigError."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{_KEY}: {path}:{number}: not UTF-8") from None
    if not text or text.startswith("#"):
        return None
    rank, comma, last = text.rpartition(",")
    found = host(last.strip())
    if found is None or (comma and not rank.strip().isdecimal()):
        raise ConfigError(f"{_KEY}: {path}:{number}: neither `name` nor `rank,name`")
    return found
