"""Gates before a list takes force: what is empty, no list at all, or far from the last one is refused."""

from __future__ import annotations

from filterproxy.core.bundle import Shares
from filterproxy.errors import SourceError

SMALL = 50
"""Lists of fewer entries, before and now, may change as they like: a person edits them."""
GROWTH = 10
"""A list may not become this many times larger at once."""
REMAINS = 0.6
"""The share of a list that must remain at once; less looks cut short."""


def check(new: Shares, previous: Shares | None, limit: int) -> None:
    """Raise SourceError with the reason where a list must not take force."""
    if new.entries == 0:
        raise SourceError("no entry in it")
    if new.entries > limit:
        raise SourceError(f"more than max_entries ({limit})")
    if new.bad_lines > 10 and new.bad_lines > new.entries:
        raise SourceError(f"not a list of this format: {new.bad_lines} bad lines beside {new.entries} entries")
    if previous is None or max(new.entries, previous.entries) < SMALL:
        return
    if new.entries >= GROWTH * previous.entries:
        raise SourceError(f"{new.entries} entries where there were {previous.entries}: {GROWTH} times larger or more")
    if new.entries < REMAINS * previous.entries:
        raise SourceError(f"{new.entries} entries where there were {previous.entries}: it looks cut short")
