"""What the segments in force say, as far as the next reading of their lists compares with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filterproxy.core.bundle import Shares
from filterproxy.errors import SegmentError

from .changes import Ids, ids
from .files import IDS, arrays
from .manifest import Part


@dataclass(frozen=True, slots=True)
class Known:
    """What one segment says."""

    shares: Shares
    ids: Callable[[], Ids | None] = field(repr=False)
    """Reads the ids of its entries from the disk: of a list of millions they are as large as its index. None where
    the segment is damaged, or was replaced meanwhile."""


class Shelf:
    """The segments of a folder. Their shares are remembered, nothing else. Safe in threads."""

    def __init__(self, folder: Path) -> None:
        """Remember nothing yet."""
        self._folder = folder
        self._shares: dict[str, Shares] = {}

    def of(self, part: Part, key: bytes) -> Known:
        """Return what a segment says that was made under the digest key. Raises SegmentError."""
        shares = self._shares.get(part.digest)
        if shares is None:
            header, _ = arrays(self._folder, part, ())
            shares = self._shares[part.digest] = Shares(**header["shares"])
        return Known(shares, partial(self._ids, part, key))

    def note(self, part: Part, shares: Shares, others: Collection[Part]) -> None:
        """Remember the shares of a segment, and forget those of segments that are not among `others`."""
        there = {other.digest for other in others}
        self._shares = {digest: known for digest, known in self._shares.items() if digest in there}
        self._shares[part.digest] = shares

    def _ids(self, part: Part, key: bytes) -> Ids | None:
        try:
            _, found = arrays(self._folder, part, ("highs", "codes", IDS))
        except SegmentError:
            return None
        return ids(found, key)
