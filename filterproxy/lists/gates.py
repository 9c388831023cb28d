"""Gates before a list takes force: what is empty, no list at all, or far from the last one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from filterproxy.core.bundle import Shares
from filterproxy.core.model import BadLine, Entry, Item
from filterproxy.errors import SourceError
from filterproxy.settings.lists import List

SMALL = 50
"""Lists of fewer entries, before and now, may change as they like: a person edits them."""
MANY_BAD_LINES = 10_000
"""So many bad lines, more than there are entries, end the reading."""


class Flood:
    """Refuses a source while it is read, before what is no list or far too long a one fills memory."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` entries, and as many bad lines as entries once there are many."""
        self._limit = limit
        self.entries = self.bad_lines = 0

    def passed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass on the items, counting each. Raises SourceError as `add` does."""
        limit = self._limit
        for item in items:
            if isinstance(item, Entry):  # as `add` does, without the call: this is done for each line of a list
                self.entries += 1
                if self.entries > limit:
                    raise _too_many(limit)
            else:
                self.add(item)
            yield item

    def add(self, item: Item) -> None:
        """Count what a line said. Raises SourceError where it is too much."""
        if isinstance(item, BadLine):
            self.bad_lines += 1
            if self.bad_lines > MANY_BAD_LINES and self.bad_lines > self.entries:
                raise SourceError(f"not a list of this format: {self.bad_lines} bad lines")
        elif isinstance(item, Entry):
            self.entries += 1
            if self.entries > self._limit:
                raise _too_many(self._limit)


def _too_many(limit: int) -> SourceError:
    return SourceError(f"more than max_entries ({limit})")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one list may do at once."""

    least: int = 1
    """Entries at least."""
    growth: float = 10
    """A list may not become this many times larger at once."""
    removed: float = 0.25
    """The share of its entries that may be gone at once; more looks cut short, or like another list."""

    @classmethod
    def of(cls, table: List) -> Self:
        """Return the limits of a list's table."""
        return cls(table.min_entries, table.max_growth, table.max_removed)


def check(new: Shares, previous: Shares | None, removed: int = 0, limits: Limits | None = None) -> None:
    """Raise SourceError with the reason where a list must not take force. `removed` entries of `previous` are gone."""
    limits = limits or Limits()
    found = new.entries + new.quarantined
    if found == 0:
        raise SourceError(f"no entry in it, but {new.bad_lines} bad lines" if new.bad_lines else "no entry in it")
    if new.bad_lines > 10 and new.bad_lines > found + new.unenforceable:
        raise SourceError(f"not a list of this format: {new.bad_lines} bad lines beside {found} entries")
    if found < limits.least:
        raise SourceError(f"{found} entries, fewer than min_entries ({limits.least})")
    if previous is None:
        return
    before = previous.entries + previous.quarantined
    removed = max(0, removed - max(0, new.quarantined - previous.quarantined))  # what is held back now is not gone
    gone = max(removed, before - found)  # a name cut in two leaves as many entries as there were, one of them nobody's
    if new.unended > previous.unended and gone > 0:
        raise SourceError(f"its last line has no end, and {gone} entries are gone: cut short")
    if max(found, before) < SMALL:
        return
    if found >= limits.growth * before:
        raise SourceError(f"{found} entries where there were {before}: {limits.growth:g} times larger or more")
    if found < (1 - limits.removed) * before:
        raise SourceError(f"{found} entries where there were {before}: it looks cut short")
    if removed > limits.removed * before:
        raise SourceError(f"{removed} of {before} entries are gone at once: it looks like another list")
