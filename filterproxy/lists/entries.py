"""The entries of a list as they were read, packed in chunks: kept sealed, so that a difference can be told in names.

No worker is given them. A line is `kind scope action value`, parted by tabs; values hold no line's end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from filterproxy.core.model import Action, Entry, Kind, Scope

CHUNK = 65_536
"""Characters of a chunk before it is compressed, but for its last line."""


class Packing:
    """Packs entries while they stream by."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._lines: list[str] = []
        self._size = 0

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        line = f"{entry.kind}\t{entry.scope}\t{entry.action}\t{entry.value}"
        self._lines.append(line)
        self._size += len(line)
        if self._size >= CHUNK:
            self.end()

    def end(self) -> None:
        """Close the chunk that is open."""
        if self._lines:
            self.chunks.append(zlib.compress("\n".join(self._lines).encode(), 1))
            self._lines, self._size = [], 0


def unpacked(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Yield the entries of chunks; what is kept of each is what it covers."""
    for chunk in chunks:
        for line in zlib.decompress(chunk).decode().split("\n"):
            kind, scope, action, value = line.split("\t", 3)
            yield Entry(Kind(kind), value, Scope(scope), Action(action))
