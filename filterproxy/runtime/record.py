"""What is told of each list: to the public, to operators, to Prometheus. Pure: derived from the policy in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from filterproxy.core.bundle import Segment, Shares
from filterproxy.core.model import Https, Listing
from filterproxy.core.policy import Policy
from filterproxy.core.totals import rounded
from filterproxy.lists.publish import Manifest
from filterproxy.portal.record import ListRecord, Record
from filterproxy.settings import Settings

_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Enforced:
    """How many entries of a list this deployment enforces as the list means them, by the whole host, or not at all."""

    exact: int
    host: int
    none: int

    def percent(self, count: int) -> int:
        """Return `count` of all as a whole percentage."""
        total = self.exact + self.host + self.none
        return round(100 * count / total) if total else 0


def enforced(listing: Listing, shares: Shares, settings: Settings) -> Enforced:
    """Return what becomes of the entries of `listing` here.

    A domain entry and an expression over hosts are enforced in DNS. A URL written with http:// is seen whole by the
    proxy. Any other URL is counted as what happens to it over https: seen whole where its host is inspected, taken for
    its host where the list says `block-host`, else not enforced. Keywords and expressions over URLs need the whole URL
    of every request. Hashes, lines that nobody can enforce, and what is in quarantine are not enforced.
    """
    proxy = settings.gateway.enabled
    looks_inside = proxy and settings.inspection.enabled and settings.inspection.tls != "none"
    exact = shares.domains + shares.patterns if settings.dns.enabled or proxy else 0
    exact += shares.plain_urls if proxy else 0
    urls = shares.urls - (shares.plain_urls if proxy else 0)
    host = 0
    if looks_inside and (listing.https is Https.INSPECT or settings.inspection.tls == "all"):
        exact += urls
    elif listing.https is Https.BLOCK_HOST:
        host = urls
    exact += shares.terms + shares.url_patterns if looks_inside and settings.inspection.tls == "all" else 0
    total = shares.entries - shares.exceptions + shares.unenforceable + shares.quarantined
    return Enforced(exact, host, total - exact - host)


def stale(listing: Listing, loaded_at: datetime | None, now: datetime) -> bool:
    """Return whether a list never loaded or is older than its `max_age`."""
    return loaded_at is None or (listing.max_age is not None and now >= loaded_at + listing.max_age)


def public(policy: Policy, settings: Settings, now: datetime) -> Record:
    """Return the public record of the lists in force: rounded, and in percents only."""
    held = {segment.name: segment for segment in policy.bundle.segments}
    return Record(tuple(_public(listing, held.get(f"list:{listing.id}"), settings, now) for listing in policy.listings))


def _public(listing: Listing, segment: Segment | None, settings: Settings, now: datetime) -> ListRecord:
    shares = segment.shares if segment is not None else Shares()
    loaded_at = segment.loaded_at if segment is not None else None
    share = enforced(listing, shares, settings)
    return ListRecord(
        id=listing.id, title=listing.title, authority=listing.authority, category=listing.category,
        basis=listing.basis, opt_out=listing.opt_out, confidential=listing.confidential,
        entries_rounded=rounded(shares.entries), exact=share.percent(share.exact), host=share.percent(share.host),
        none=share.percent(share.none), loaded_at=loaded_at, stale=stale(listing, loaded_at, now),
    )  # fmt: skip


def internal(
    policy: Policy, settings: Settings, manifest: Manifest, now: datetime, overdue: Mapping[str, int] = _NONE
) -> list[dict[str, Any]]:
    """Return what operators are told of each list: exact numbers, and how the last reading of its source went.

    `overdue` tells by list how many entries in quarantine wait too long.
    """
    held = {segment.name: segment for segment in policy.bundle.segments}
    statuses = {status.list_id: status for status in manifest.statuses}
    sizes = {part.name: part.size for part in manifest.parts}
    found = []
    for listing in settings.listings:
        segment, status = held.get(f"list:{listing.id}"), statuses.get(listing.id)
        shares = segment.shares if segment is not None else Shares()
        loaded_at = segment.loaded_at if segment is not None else None
        share = enforced(listing, shares, settings)
        found.append({
            "id": listing.id,
            "title": listing.title,
            "state": status.state if status else "never",
            "reason": status.reason if status else "",
            "checked_at": status.checked_at if status else None,
            "refused": status.refused if status else 0,
            "format": (status.format if status else "") or listing.format or "",
            "version": segment.version[:12] if segment is not None else "",
            "bytes": sizes.get(f"list:{listing.id}", 0),
            "entries": shares.entries,
            "added": status.changed[0] if status else 0,
            "removed": status.changed[1] if status else 0,
            "bad_lines": shares.bad_lines,
            "unenforceable": shares.unenforceable,
            "quarantined": shares.quarantined,
            "overdue": overdue.get(listing.id, 0),
            "exact": share.exact,
            "host": share.host,
            "none": share.none,
            "loaded_at": loaded_at.timestamp() if loaded_at else None,
            "stale": stale(listing, loaded_at, now),
        })  # fmt: skip
    return found
