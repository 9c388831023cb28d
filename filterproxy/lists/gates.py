"""Gates before a list takes force: what is empty, no list at all, or far from the last one is refused."""

from __future__ import annotations

from filterproxy.core.bundle import Shares
from filterproxy.core.model import BadLine, Entry
from filterproxy.errors import SourceError

SMALL = 50
"""Lists of fewer entries, before and now, may change as they like: a person edits them."""
GROWTH = 10
"""A list may not become this many times larger at once."""
MANY_BAD_LINES = 10_000
"""So many bad lines, more than there are entries, end the reading."""
REMAINS = 0.75
"""The share of a list that must remain at once; less looks cut short."""


class Flood:
    """Refuses a source while it is read, before what is no list or far too long a one fills memory."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` entries, and as many bad lines as entries once there are many."""
        self._limit = limit
        self.entries = self.bad_lines = 0

    def add(self, item: Entry | BadLine) -> None:
        """Count what a line said. Raises SourceError where it is too much."""
        if isinstance(item, BadLine):
            self.bad_lines += 1
            if self.bad_lines > MANY_BAD_LINES and self.bad_lines > self.entries:
                raise SourceError(f"not a list of this format: {self.bad_lines} bad lines")
        else:
            self.entries += 1
            if self.entries > self._limit:
                raise SourceError(f"more than max_entries ({self._limit})")


def check(new: Shares, previous: Shares | None) -> None:
    """Raise SourceError with the reason where a list must not take force."""
    if new.entries == 0:
        raise SourceError("no entry in it")
    if new.bad_lines > 10 and new.bad_lines > new.entries:
        raise SourceError(f"not a list of this format: {new.bad_lines} bad lines beside {new.entries} entries")
    if previous is not None and new.unended > previous.unended and new.entries < previous.entries:
        raise SourceError(f"its last line has no end, and {previous.entries - new.entries} entries are gone: cut short")
    if previous is None or max(new.entries, previous.entries) < SMALL:
        return
    if new.entries >= GROWTH * previous.entries:
        raise SourceError(f"{new.entries} entries where there were {previous.entries}: {GROWTH} times larger or more")
    if new.entries < REMAINS * previous.entries:
        raise SourceError(f"{new.entries} entries where there were {previous.entries}: it looks cut short")
