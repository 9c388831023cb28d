"""Records as they travel, packed: of a zone of a million there is one copy, and none of them is an object.

Each begins with the labels of its owner and a pointer to the name of its zone, which stands at the head of every
message: in its question (RFC 1035, section 4.1.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_BATCH: Final = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Packed records, each once, in an order that is the same for the same records of a zone."""

    packed: bytes | bytearray = field(repr=False)
    ends: Array = field(repr=False)
    """Where each ends (int64)."""
    marks: Array = field(repr=False)
    """What tells them apart: the interpreter's own hash of their bytes, 64 bits keyed anew in each process, so that no
    source of a list can choose two that are alike."""

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Records:
        """Pack records, which need not be in memory together."""
        packed, sizes, marks = bytearray(), [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for batch in batched(records, _BATCH, strict=False):
            packed += b"".join(batch)
            sizes.append(np.fromiter(map(len, batch), np.int64, len(batch)))
            marks.append(np.fromiter(map(hash, batch), np.int64, len(batch)))
        return cls(packed, np.cumsum(np.concatenate(sizes)), np.concatenate(marks))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.ends)

    def __getitem__(self, at: int) -> bytes:
        """Return one of them."""
        return bytes(self.packed[self._start(at) : int(self.ends[at])])

    def fitting(self, at: int, room: int) -> int:
        """Return behind which record one comes who takes as many from the one at `at` as fit into `room` bytes."""
        return int(np.searchsorted(self.ends, np.int64(self._start(at) + room), side="right"))

    def run(self, at: int, end: int) -> memoryview:
        """Return the bytes of records that stand together."""
        return memoryview(self.packed)[self._start(at) : self._start(end)]

    def _start(self, at: int) -> int:
        return int(self.ends[at - 1]) if at else 0

    def without(self, other: Records, most: int) -> Records | None:
        """Return those that `other` does not have; None where they are more than `most`."""
        ours, theirs = np.sort(self.marks), np.sort(other.marks)  # of millions: four times as fast as asking of each
        at = np.searchsorted(theirs, ours)
        missing = ours[theirs[np.minimum(at, len(theirs) - 1)] != ours] if len(theirs) else ours
        if len(missing) > most:
            return None
        return Records.of(self[at] for at in np.flatnonzero(np.isin(self.marks, missing)).tolist())
