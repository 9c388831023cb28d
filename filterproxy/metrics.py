"""What Prometheus is told: counts, processes, lists. No address, URL or client is ever a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process of the product."""

    name: str
    up: bool
    restarts: int
    started_at: float
    """Unix time; 0 while it is down."""
    generation: int
    """The bundle it judges by."""


@dataclass(frozen=True, slots=True)
class ListState:
    """A list in force."""

    id: str
    entries: int
    loaded_at: float | None
    """Unix time; None for a list that never loaded."""
    refused: int
    """How often its source could not be read or was refused. It never falls."""
    stale: bool
    """Whether it never loaded or is older than its `max_age`."""
    quarantined: int = 0
    """Entries that wait for people to decide."""
    overdue: int = 0
    """Those that have waited longer than `alerts.quarantine`."""
    unenforced: int = 0
    """Entries and lines that this deployment does not enforce at all."""


@dataclass(frozen=True, slots=True)
class ZoneState:
    """A list as a zone for other resolvers."""

    list_id: str
    serial: int
    records: int
    unenforceable: int
    """Entries that a zone cannot carry."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exposed, at a moment."""

    version: str
    now: float
    events: Mapping[str, int]
    verdicts: Mapping[tuple[str, str, str], int]
    """By list, frontend and action."""
    generation: int
    processes: Sequence[ProcessState] = ()
    lists: Sequence[ListState] = ()
    zones: Sequence[ZoneState] = ()
    gauges: Mapping[str, float] = field(default_factory=dict)
    """GAUGES by name; what is not known is left out."""
    alerts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many were raised, by kind and list."""
    undelivered: Mapping[str, int] = field(default_factory=dict)
    """How many alerts did not arrive, by the way they should have gone."""


GAUGES = {
    "store_up": "Whether the database of appeals answers.",
    "one_client": "Whether all DNS clients come from one address: a NAT in between hides who asks.",
    "journal_failing": "Whether the last writing of the day's counts failed.",
    "state_free_bytes": "What is left on the disk of the state folder.",
    "appeals_waiting": "Appeals that nobody has decided.",
    "appeals_overdue": "Appeals that have waited longer than alerts.overdue.",
}


class Exposition(Collector):
    """A collector over a function that takes a snapshot."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        """Expose what `snapshot` returns whenever somebody asks."""
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        now = self._snapshot()
        build = GaugeMetricFamily("filterproxy_build_info", "The version that runs.", labels=["version"])
        build.add_metric([now.version], 1)
        yield build
        yield GaugeMetricFamily("filterproxy_bundle_generation", "The bundle in force.", value=now.generation)
        yield from _counts(now)
        yield from _processes(now)
        yield from _lists(now)
        yield from _zones(now)
        yield from _alerts(now)
        for name, value in now.gauges.items():
            yield GaugeMetricFamily(f"filterproxy_{name}", GAUGES[name], value=value)


def exposition(snapshot: Callable[[], Snapshot]) -> Callable[[], tuple[str, bytes]]:
    """Return a function that returns the content type and the text of /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(snapshot))
    return lambda: (CONTENT_TYPE_LATEST, generate_latest(registry))


def _counts(now: Snapshot) -> Iterator[Metric]:
    events = CounterMetricFamily("filterproxy_events", "What happened, by name.", labels=["event"])
    for name, value in now.events.items():
        events.add_metric([name], value)
    yield events
    verdicts = CounterMetricFamily(
        "filterproxy_verdicts",
        "Decisions by the list that answers for them (- for none).",
        labels=["list", "frontend", "action"],
    )
    for row, value in now.verdicts.items():
        verdicts.add_metric(list(row), value)
    yield verdicts


def _processes(now: Snapshot) -> Iterator[Metric]:
    up = GaugeMetricFamily("filterproxy_process_up", "Whether the process serves.", labels=["process"])
    restarts = CounterMetricFamily("filterproxy_process_restarts", "Replacements of the process.", labels=["process"])
    uptime = GaugeMetricFamily("filterproxy_process_uptime_seconds", "Its age; 0 while down.", labels=["process"])
    generation = GaugeMetricFamily("filterproxy_process_generation", "The bundle it judges by.", labels=["process"])
    for process in now.processes:
        up.add_metric([process.name], process.up)
        restarts.add_metric([process.name], process.restarts)
        uptime.add_metric([process.name], now.now - process.started_at if process.started_at else 0)
        generation.add_metric([process.name], process.generation)
    yield from (up, restarts, uptime, generation)


def _lists(now: Snapshot) -> Iterator[Metric]:
    entries = GaugeMetricFamily("filterproxy_list_entries", "Entries in force.", labels=["list"])
    age = GaugeMetricFamily("filterproxy_list_age_seconds", "Since it was last read with success.", labels=["list"])
    refused = CounterMetricFamily("filterproxy_list_refused", "Refreshes that were refused.", labels=["list"])
    quarantined = GaugeMetricFamily("filterproxy_list_quarantined", "Entries that people must decide.", labels=["list"])
    overdue = GaugeMetricFamily("filterproxy_list_quarantine_overdue", "Those that wait too long.", labels=["list"])
    unenforced = GaugeMetricFamily("filterproxy_list_unenforced", "Entries not enforced at all here.", labels=["list"])
    stale = GaugeMetricFamily("filterproxy_list_stale", "Never loaded, or beyond its max_age.", labels=["list"])
    for item in now.lists:
        entries.add_metric([item.id], item.entries)
        if item.loaded_at is not None:
            age.add_metric([item.id], max(0.0, now.now - item.loaded_at))
        refused.add_metric([item.id], item.refused)
        stale.add_metric([item.id], item.stale)
        quarantined.add_metric([item.id], item.quarantined)
        overdue.add_metric([item.id], item.overdue)
        unenforced.add_metric([item.id], item.unenforced)
    yield from (entries, age, refused, stale, quarantined, overdue, unenforced)


def _zones(now: Snapshot) -> Iterator[Metric]:
    serial = GaugeMetricFamily("filterproxy_zone_serial", "The serial of the list's zone.", labels=["list"])
    records = GaugeMetricFamily("filterproxy_zone_records", "Records of the zone.", labels=["list"])
    lost = GaugeMetricFamily("filterproxy_zone_unenforceable", "Entries that it cannot carry.", labels=["list"])
    for item in now.zones:
        serial.add_metric([item.list_id], item.serial)
        records.add_metric([item.list_id], item.records)
        lost.add_metric([item.list_id], item.unenforceable)
    yield from (serial, records, lost)


def _alerts(now: Snapshot) -> Iterator[Metric]:
    raised = CounterMetricFamily("filterproxy_alerts", "Alerts raised.", labels=["kind", "list"])
    for row, value in now.alerts.items():
        raised.add_metric(list(row), value)
    lost = CounterMetricFamily("filterproxy_alerts_undelivered", "Alerts that did not arrive.", labels=["way"])
    for way, value in now.undelivered.items():
        lost.add_metric([way], value)
    yield from (raised, lost)
