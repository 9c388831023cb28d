"""Counts that outlive the process that made them: cells of 64 bits in memory shared with the supervisor.

Each child's slot has a memory file of its own, kept by the supervisor and handed to every replacement, so a killed
process loses no count and no total ever falls. One writer a slot; the supervisor only reads. Where the cells are
follows from the settings alone, so both sides compute the same layout.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

from filterproxy.core.bundle import CANARY
from filterproxy.core.model import Verdict
from filterproxy.settings import Settings

EVENTS = (
    "dns_queries", "dns_malformed", "dns_refused_client", "dns_cache_hit", "dns_upstream_error", "dns_overload",
    "dns_tcp_connections", "dns_internal_error", "dns_memo", "dns_unsent", "dns_stale", "dns_prefetch",
    "dns_rebinding", "dns_upstream_tcp", "dns_upstream_hedged", "dns_upstream_spoofed", "http_requests",
    "http_connects", "http_malformed", "http_refused_client", "http_hook_error", "http_upstream_error", "notices",
    "tokens_failed", "dns_limited", "dns_enumeration",
    "dns_transfer", "dns_transfer_refused", "dns_doh_refused", "dns_doh_broken",
    "dns_dot_connections", "dns_doh_connections", "dns_tls_failed", "dns_certificate_refused",
    "http_tunnels", "http_upgrades", "http_inspected", "http_uninspected", "http_hello_refused", "http_unknown_refused",
    "http_over_limit",
)  # fmt: skip
FRONTENDS = ("dns", "http")
OUTCOMES = ("block", "flag", "warn", "inspect", "rewrite", "allow", "spared")
NO_LIST = "-"

Row = tuple[str, str, str]
"""A list's id (or "-"), a frontend, an outcome."""


@dataclass(frozen=True)
class Layout:
    """Which cell counts what: first the events, then a cell per list, frontend and outcome."""

    lists: tuple[str, ...]
    """The ids counted: every list, `profile:<id>` for a profile's own entries, `canary:<id>` for what a self-test
    asked beside a list, and "-" for none."""
    rows: tuple[Row, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(product(self.lists, FRONTENDS, OUTCOMES)))

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """Return the layout that `settings` ask for."""
        lists = [item.id for item in settings.lists]
        profiles = (f"profile:{item.id}" for item in settings.profiles)
        return cls((NO_LIST, *lists, *profiles, *(f"{CANARY}{name}" for name in lists)))

    @property
    def size(self) -> int:
        """Bytes."""
        return 8 * (len(EVENTS) + len(self.rows))


class Counters:
    """The writer's side of a slot, and the one reader's."""

    def __init__(self, layout: Layout, fd: int) -> None:
        """Map the memory `fd`, which may be closed afterwards."""
        self._layout = layout
        self._cells = memoryview(mmap.mmap(fd, layout.size, trackfd=False)).cast("Q")
        self._events = {name: index for index, name in enumerate(EVENTS)}
        self._rows = {row: index for index, row in enumerate(layout.rows, len(EVENTS))}
        self._allowed = {frontend: self._rows[NO_LIST, frontend, "allow"] for frontend in FRONTENDS}

    def event(self, name: str, number: int = 1) -> None:
        """Count one of EVENTS, once or `number` times. Unknown names raise KeyError: they are fixed."""
        self._cells[self._events[name]] += number

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        """Count `verdict` under the list that answers for it."""
        self._cells[self.cell(frontend, verdict)] += 1

    def event_cell(self, name: str) -> int:
        """Return the cell that counts an event."""
        return self._events[name]

    def add(self, cell: int, number: int) -> None:
        """Count `number` more of what `cell` counts."""
        self._cells[cell] += number

    def cell(self, frontend: str, verdict: Verdict) -> int:
        """Return the cell that counts such verdicts."""
        if verdict.match is None and verdict.unavailable is None and not verdict.inspect:  # nearly all
            return self._allowed[frontend]
        listing = verdict.listing
        outcome = "spared" if verdict.spared_by is not None and not verdict.blocked else verdict.action.value
        index = self._rows.get((listing.id if listing is not None else NO_LIST, frontend, outcome))
        # A list that came with a newer configuration than this layout is still counted, under no name.
        return self._rows[NO_LIST, frontend, outcome] if index is None else index

    def read(self) -> Counts:
        """Return what was counted so far."""
        values = self._cells.tolist()
        events = dict(zip(EVENTS, values, strict=False))
        verdicts = {row: value for row, value in zip(self._layout.rows, values[len(EVENTS) :], strict=True) if value}
        return Counts(events, verdicts)


@dataclass(frozen=True)
class Counts:
    """Counts at a moment; rows that never counted are absent."""

    events: Mapping[str, int]
    verdicts: Mapping[Row, int]

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """Return the sum of `parts`."""
        events = dict.fromkeys(EVENTS, 0)
        verdicts: dict[Row, int] = {}
        for part in parts:
            for name, value in part.events.items():
                events[name] += value
            for row, value in part.verdicts.items():
                verdicts[row] = verdicts.get(row, 0) + value
        return cls(events, verdicts)
