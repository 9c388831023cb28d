"""One damaged row must not hide all others: it is passed over, and told once by its number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from filterproxy.errors import StoreError

_log = logging.getLogger(__name__)


class Damage:
    """Knows which rows have been told of. Safe to share between threads: the worst is that one is told twice."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def sound[Row, Value](
        self, table: str, rows: Iterable[Row], key: Callable[[Row], str], opened: Callable[[Row], Value]
    ) -> list[Value]:
        """Return the rows that can be opened. `opened` raises StoreError for one that cannot."""
        found: list[Value] = []
        for row in rows:
            try:
                found.append(opened(row))
            except StoreError as exc:
                if (table, key(row)) not in self._told:
                    self._told.add((table, key(row)))
                    _log.error("%s %s is passed over: %s", table, key(row), exc)
        return found
