"""The entries of a list as they were read, packed in chunks: kept sealed, for a difference told in names and a new key.

No worker is given them. A line is `kind scope action more value`, parted by tabs; values hold no line's end. `more` is
empty, the scheme, or JSON with all that is rarer. The number of its line in the source is not kept.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from filterproxy.core.model import Action, Entry, Kind, Scope

CHUNK = 65_536
"""Characters of a chunk before it is compressed, but for its last line."""
# What an entry most often is beyond its value: comparing slices is what a list of millions can afford.
_PLAIN = Entry(Kind.DOMAIN, "", Scope.EXACT)[5:]
_HEAD = {(kind, scope, action): f"{kind}\t{scope}\t{action}\t" for kind in Kind for scope in Scope for action in Action}


class Packing:
    """Packs entries while they stream by."""

    __slots__ = ("_lines", "_size", "chunks")

    def __init__(self) -> None:
        """Begin with no chunk."""
        self.chunks: list[bytes] = []
        self._lines: list[str] = []
        self._size = 0

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        kind, value, scope, action = entry[:4]
        more = "" if entry[5:] == _PLAIN else entry.scheme if entry[6:] == _PLAIN[1:] else _rest(entry)
        line = f"{_HEAD[kind, scope, action]}{more}\t{value}"
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
    """Yield the entries of chunks, each whole but for its line."""
    for chunk in chunks:
        for line in zlib.decompress(chunk).decode().split("\n"):
            kind, scope, action, more, value = line.split("\t", 4)
            entry = Entry(Kind(kind), value, Scope(scope), Action(action))
            if more:
                entry = entry._replace(scheme=more) if more[0] != "{" else _with(entry, json.loads(more))
            yield entry


def _rest(entry: Entry) -> str:
    """Return the fields beyond kind, value, scope and action that are not as usual, as JSON."""
    said: dict[str, Any] = {"scheme": entry.scheme, "score": entry.score, "reference": entry.reference}
    said |= {"important": entry.important, "excludes": entry.excludes, "territories": sorted(entry.territories)}
    for name in ("not_before", "not_after"):
        moment: datetime | None = getattr(entry, name)
        said[name] = None if moment is None else moment.isoformat()
    return json.dumps(said, separators=(",", ":"))


def _with(entry: Entry, said: dict[str, Any]) -> Entry:
    return entry._replace(
        scheme=said["scheme"], score=said["score"], reference=said["reference"], important=said["important"],
        excludes=tuple(said["excludes"]), territories=frozenset(said["territories"]),
        not_before=_moment(said["not_before"]), not_after=_moment(said["not_after"]),
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
