"""What the product says of itself: to the control socket, to Prometheus, to a health check."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import filterproxy
from filterproxy import metrics
from filterproxy.dns.crowd import one_client as seen_one_client

from .children import describe
from .httpd import Page

if TYPE_CHECKING:
    from .supervisor import Supervisor

_LONG, _MANY = 600.0, 1000
"""Seconds since the start, and questions: before that, a single client may well be one."""


def full(supervisor: Supervisor) -> dict[str, Any]:
    """Return the answer to `status`."""
    counts = supervisor.books.counts()
    journal = supervisor.books.journal
    return {
        "version": filterproxy.__version__,
        "uptime": round(time.time() - supervisor.started_at, 1),
        "generation": supervisor.segments.generation,
        "processes": [describe(child) for child in supervisor.children],
        "counts": {
            "events": dict(counts.events),
            "verdicts": [[*row, value] for row, value in sorted(counts.verdicts.items())],
        },
        "journal": {"errors": journal.errors, "failing": journal.failing, "pending": journal.pending()},
        "free_bytes": supervisor.books.free_bytes,
        "one_client": one_client(supervisor),
        "zones": zones(supervisor),
        "report": supervisor.reports.last,
    }


def line(supervisor: Supervisor) -> str:
    """Return how it stands in a line for the service manager: numbers, and no name of a list."""
    edges = [child for child in supervisor.children if child.role == "edge"]
    serving = sum(child.serves for child in edges)
    others = [child.name for child in supervisor.children if child.role != "edge" and not child.ready]
    away = f"; not ready: {', '.join(others)}" if others else ""
    reloading = "; a reload is going on" if supervisor.reloads.running else ""
    bundle = f"{len(supervisor.settings.lists)} lists, bundle {supervisor.segments.generation}"
    return f"{serving} of {len(edges)} workers serve; {bundle}{away}{reloading}"


def one_client(supervisor: Supervisor) -> bool:
    """Return whether so many questions came, for so long, from a single address that it must hide others."""
    if time.time() - supervisor.started_at < _LONG or supervisor.books.counts().events["dns_queries"] < _MANY:
        return False
    return seen_one_client([child.clients for child in supervisor.children if child.role == "edge"])


def zones(supervisor: Supervisor) -> dict[str, Any]:
    """Return how each zone stands that is given to receivers, by its list; see filterproxy.runtime.zones."""
    found: dict[str, Any] = {}
    for child in supervisor.children:
        if child.role == "transfer":
            found |= json.loads(child.zones)
    return found


class Once:
    """Says of a state that lasts whether it has just begun."""

    def __init__(self) -> None:
        self._before = False

    def news(self, now: bool) -> bool:  # noqa: FBT001
        """Return whether it holds and did not before."""
        before, self._before = self._before, now
        return now and not before


def snapshot(supervisor: Supervisor) -> metrics.Snapshot:
    """Return what the metrics show now."""
    counts, report = supervisor.books.counts(), supervisor.reports.last
    return metrics.Snapshot(
        version=filterproxy.__version__,
        now=time.time(),
        events=counts.events,
        verdicts=counts.verdicts,
        generation=supervisor.segments.generation,
        processes=[
            metrics.ProcessState(child.name, child.ready, child.restarts, child.started_at, child.generation)
            for child in supervisor.children
        ],
        lists=[_list_state(supervisor, item) for item in report.get("lists", ())],
        zones=[
            metrics.ZoneState(name, zone["serial"], zone["records"], sum(zone["unenforceable"].values()))
            for name, zone in zones(supervisor).items()
        ],
        gauges=_gauges(supervisor),
        alerts=supervisor.reports.raised,
        undelivered=supervisor.reports.undelivered,
    )


def _list_state(supervisor: Supervisor, item: dict[str, Any]) -> metrics.ListState:
    refused = supervisor.reports.refused.get(item["id"], 0)
    return metrics.ListState(
        item["id"], item["entries"], item["loaded_at"], refused, item["stale"], item["quarantined"], item["overdue"],
        item["none"],
    )  # fmt: skip


def _gauges(supervisor: Supervisor) -> dict[str, float]:
    report = supervisor.reports.last
    found: dict[str, float | None] = {
        "one_client": one_client(supervisor),
        "journal_failing": supervisor.books.journal.failing,
        "state_free_bytes": supervisor.books.free_bytes,
        "store_up": report.get("store_up"),
        "appeals_waiting": report.get("appeals_waiting"),
        "appeals_overdue": report.get("appeals_overdue"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def pages(supervisor: Supervisor) -> dict[str, Page]:
    """Return the pages of the metrics' listener."""
    exposed = metrics.exposition(supervisor.snapshot)

    async def metrics_page() -> tuple[int, str, bytes]:
        return 200, *exposed()

    async def health() -> tuple[int, str, bytes]:
        # A reload replaces control while all others serve: no reason to take the node out of a load balancer.
        down = [child.name for child in supervisor.children if not child.ready and not child.expected]
        text = f"not ready: {', '.join(down)}\n" if down else "ok\n"
        return 503 if down else 200, "text/plain; charset=utf-8", text.encode()

    return {"/metrics": metrics_page, "/healthz": health}
