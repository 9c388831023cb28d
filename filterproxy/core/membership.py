"""Membership: is this very expression listed? A sorted array of keyed digests, never an address in clear.

A row is a 128-bit keyed BLAKE2b digest (compared whole), a code that says what the entry covers, and, for the few
that need them, facts (validity, territory, reference). Rows of one digest lie together; a look-up returns them all.
The arrays are views into one read-only buffer, so that every worker maps the same copy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from struct import Struct
from typing import Final

from filterproxy.errors import SegmentError

EXACT: Final = 0
BELOW: Final = 1
TREE: Final = 2
PAGE: Final = 3
EXACT_URL: Final = 4
PREFIX: Final = 5
HOST: Final = 6
"""URL entries live on this host."""
ABOVE: Final = 7
"""An exception lies below this name: answering NXDOMAIN for it would deny what is not blocked (RFC 8020)."""
HASH: Final = 8
"""A hash of a body, as `algorithm:hex`."""
WHAT: Final = 15
ALLOWS: Final = 16
HAS_FACTS: Final = 32
IMPORTANT: Final = 64
"""Of an AdBlock rule: exceptions that are not important do not spare what it blocks."""
PORTS: Final = 128
"""Of a HOST row: the entries name a port."""
OTHER: Final = 128
"""Of an EXACT row: the entry names this host with `www.` put on, or taken off."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What few rows carry: when and where the entry counts, its reference, how many entries a HOST row is for."""

    not_before: datetime | None = None
    not_after: datetime | None = None
    territories: frozenset[str] = frozenset()
    reference: str = ""
    count: int = 1
    entries: tuple[tuple[int, int, int], ...] = ()
    """Of an override's HOST row: digest and scope of each entry that it spares there."""
    excludes: tuple[tuple[int, int], ...] = ()
    """Digests of the hosts that an AdBlock rule does not cover, nor what is below them."""


NO_FACTS: Final = Facts()

Digest = tuple[int, int]
"""The high and low halves of 128 bits."""
SPLIT: Final[Callable[[bytes], Digest]] = Struct("=QQ").unpack
"""Return the halves of a digest's bytes."""
Row = tuple[int, Facts]
"""A row's code and facts."""


def digest(expression: str, key: bytes) -> Digest:
    """Return the keyed digest of a host or URL expression, as two 64-bit halves."""
    return SPLIT(blake2b(expression.encode("ascii"), digest_size=16, key=key).digest())


class Membership:
    """A read-only table of rows in one buffer. Look-ups take no lock and may run in any thread."""

    __slots__ = ("_codes", "_fact_ids", "_fact_rows", "_facts", "_highs", "_lows", "_offsets", "_shift")

    def __init__(
        self,
        highs: memoryview, lows: memoryview, codes: memoryview, offsets: memoryview,
        fact_rows: memoryview, fact_ids: memoryview, facts: tuple[Facts, ...],
    ) -> None:  # fmt: skip
        """Take the arrays as they lie in the buffer: u64, u64, u8, u32 (2**bits + 1 bucket offsets), u32, u32.

        Raises SegmentError where their lengths cannot belong together.
        """
        buckets = len(offsets) - 1
        bits = buckets.bit_length() - 1
        if buckets < 1 or buckets != 1 << bits or not len(highs) == len(lows) == len(codes) == offsets[buckets]:
            raise SegmentError("the arrays do not belong together")
        if len(fact_rows) != len(fact_ids) or max(fact_ids, default=-1) >= len(facts):
            raise SegmentError("the facts do not belong to the rows")
        self._highs, self._lows, self._codes, self._offsets = highs, lows, codes, offsets
        self._fact_rows, self._fact_ids, self._facts = fact_rows, fact_ids, facts
        self._shift = 64 - bits

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._highs)

    @property
    def buckets(self) -> tuple[memoryview, memoryview, int]:
        """The first halves of all digests, where each bucket begins among them, and the shift from half to bucket."""
        return self._highs, self._offsets, self._shift

    def find(self, wanted: Digest) -> tuple[Row, ...]:
        """Return the rows whose whole digest is `wanted`; most often none."""
        high, low = wanted
        highs = self._highs
        bucket = high >> self._shift
        end = self._offsets[bucket + 1]
        at = bisect_left(highs, high, self._offsets[bucket], end)
        if at == end or highs[at] != high:
            return ()
        found = []
        while at < end and highs[at] == high:
            if self._lows[at] == low:
                code = self._codes[at]
                found.append((code, self._facts_of(at) if code & HAS_FACTS else NO_FACTS))
            at += 1
        return tuple(found)

    def _facts_of(self, row: int) -> Facts:
        at = bisect_left(self._fact_rows, row)
        return self._facts[self._fact_ids[at]]
