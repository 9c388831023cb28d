"""What has stood too long with the lists, and what workers noticed, as alerts. Pure: derived from what is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from filterproxy.alerts import Alert
from filterproxy.alerts.alert import enumeration, licence_ending, list_stale, quarantine_overdue
from filterproxy.core.model import OnFailure
from filterproxy.core.policy import Policy
from filterproxy.core.quarantine import Decision
from filterproxy.lists.publish import Status
from filterproxy.settings import Settings

from .channel import Body
from .quarantine import waiting
from .record import stale


def standing(
    settings: Settings, policy: Policy, statuses: Mapping[str, Status], now: datetime,
    decisions: Sequence[Decision] = (),
) -> Iterator[Alert]:  # fmt: skip
    """Yield an alert for each list that is stale, whose licence ends soon, or whose quarantine waits too long.

    `decisions` are those that people made of what is in quarantine.
    """
    late: dict[str, list[str]] = {}
    for item in waiting(settings, statuses, decisions):
        if item.overdue(settings, now):
            late.setdefault(item.table.id, []).append(item.held.since)
    loaded = {segment.name: segment.loaded_at for segment in policy.bundle.segments}
    for table in settings.lists:
        status, listing = statuses.get(table.id), table.listing
        if status is not None and status.state == "ended":
            continue
        at = loaded.get(f"list:{table.id}")
        if stale(listing, at, now):
            yield list_stale(table.id, at.isoformat() if at else "", closed=listing.on_failure is OnFailure.CLOSED)
        if table.licence_until is not None and table.licence_until <= (now + settings.alerts.licence).date():
            yield licence_ending(table.id, table.licence_until)
        if table.id in late:
            yield quarantine_overdue(table.id, len(late[table.id]), min(late[table.id]))


def noticed(settings: Settings, body: Body) -> Iterator[Alert]:
    """Yield an alert for each list of which, as a worker says, one network of clients met many entries.

    A worker reads what comes from networks, so it is believed nothing but numbers of lists that there are.
    """
    network, entries = str(body.get("network", ""))[:32], body.get("entries")
    for table in settings.lists:
        number = entries.get(table.id) if isinstance(entries, dict) else None
        if isinstance(number, int) and number > 0:
            yield enumeration(table.id, number, network)
