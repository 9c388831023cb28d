"""Conditional forwarding: questions of some zones go to upstreams of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .records import host_labels, wire_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .asking import Asks, Then
    from .wire import Query


class Zones:
    """Asks whoever answers for the longest zone that holds a name, and `rest` where none does.

    A zone is a canonical host and stands for itself and all below it. Raises ValueError for one that no name can have.
    """

    def __init__(self, zones: Sequence[tuple[str, Asks]], rest: Asks) -> None:
        named = [(host_labels(zone), asks) for zone, asks in zones]
        self._zones = {wire_name(labels): asks for labels, asks in named}
        self._ends = tuple({wire_name(labels[-1:]) for labels, _ in named if labels})  # most names end in none
        if b"\0" in self._zones:
            rest = self._zones.pop(b"\0")
        self._rest = rest

    def ask(self, query: Query, then: Then) -> None:
        name, at = query.name.lower(), 0
        if name.endswith(self._ends):
            while name[at]:
                found = self._zones.get(name[at:])
                if found is not None:
                    found.ask(query, then)
                    return
                at += name[at] + 1
        self._rest.ask(query, then)
