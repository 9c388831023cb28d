"""Zones for tests, and what a resolver makes of one: read from the messages that it would be given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dns.message
import dns.rdatatype

from filterproxy.core.model import Entry, Kind, Listing, Scope
from filterproxy.dns.transfer.messages import axfr
from filterproxy.dns.transfer.versions import Version
from filterproxy.dns.transfer.zone import Manner, Zone, build
from tests.policies import NOW

NAME = "list.rpz.example"
QUESTION = b"\x04list\x03rpz\x07example\0\0\xfc\0\x01"
ROOM = 120

Said = Mapping[str, frozenset[tuple[str, str]]]
"""By trigger, such as `*.a.example`: types and data of its records."""


def names(*texts: str, scope: Scope = Scope.EXACT) -> list[Entry]:
    """Return entries for names: `*.host` below, `host.` with all below, else in that scope."""
    scopes = [Scope.BELOW if text[0] == "*" else Scope.TREE if text[-1] == "." else scope for text in texts]
    return [
        Entry(Kind.DOMAIN, text.removeprefix("*.").rstrip("."), how) for text, how in zip(texts, scopes, strict=True)
    ]


def zone(entries: Iterable[Entry], listing: Listing | None = None, ttl: int = 60) -> Zone:
    """Return the zone of some entries."""
    return build(entries, Manner(NAME, listing or Listing("list"), ttl), now=NOW)


def read(messages: Iterable[bytes]) -> list[tuple[str, str, str]]:
    """Return owner, type and data of every record of these messages, in their order."""
    found = []
    for packet in messages:
        message = dns.message.from_wire(packet, one_rr_per_rrset=True)
        for rrset in message.answer:
            found += [(str(rrset.name), dns.rdatatype.to_text(rrset.rdtype), str(item)) for item in rrset]
    return found


def said(of: Zone) -> Said:
    """Return what a zone says, as a resolver reads it."""
    found: dict[str, set[tuple[str, str]]] = {}
    for owner, rtype, data in read(axfr(Version(of, 1), 1, QUESTION, room=ROOM)):
        if owner != f"{NAME}.":
            found.setdefault(owner.removesuffix(f".{NAME}."), set()).add((rtype, data))
    return {name: frozenset(records) for name, records in found.items()}


def by_longest(zone: Said, name: str) -> frozenset[tuple[str, str]]:
    """Return what counts for a name where the name itself comes first, then the longest wildcard."""
    labels = name.split(".")
    wild = [f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels))]
    return next((zone[trigger] for trigger in (name, *wild) if trigger in zone), frozenset())


def by_closest(zone: Said, name: str) -> frozenset[tuple[str, str]]:
    """Return what counts where a zone is read as any zone is: a name that is there hides what is above (RFC 4592)."""
    there = {".".join(trigger.split(".")[at:]) for trigger in zone for at in range(trigger.count(".") + 1)}
    if name in there:
        return zone.get(name, frozenset())
    labels = name.split(".")
    closest = next((above for at in range(1, len(labels)) if (above := ".".join(labels[at:])) in there), "")
    return zone.get(f"*.{closest}", frozenset())
