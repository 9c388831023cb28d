"""What a reading of a list found on domains of ours: gathered while it is read, raised once the list took force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from filterproxy.core.model import Action, Entry, Item, Kind, Listing

from .alert import Alert, Fact
from .domains import Owned

MOST: Final = 1000
"""Hits of a reading that are kept one by one; the rest is counted."""


class Hits:
    """One reading's. Holds no entry of a confidential list, only keyed digests."""

    def __init__(self, owned: Owned, listing: Listing, key: bytes) -> None:
        """Gather what `listing` has on `owned`; `key` (the installation's, for digests) hides what tells hits apart."""
        self._owned, self._listing, self._key = owned, listing, key
        self._alerts: list[Alert] = []
        self.count = 0
        """All hits of this reading."""

    def watch[T: Item](self, items: Iterable[T]) -> Iterator[T]:
        """Pass on `items`, and keep the hits among them. An entry or a list that allows hits nobody."""
        if not self._owned or self._listing.action is Action.ALLOW:
            yield from items
            return
        hit = self._owned.hit
        for item in items:
            if isinstance(item, Entry) and (domain := hit(item)) is not None and item.action is not Action.ALLOW:
                self._add(item, domain)
            yield item

    def alerts(self) -> tuple[Alert, ...]:
        """Return an alert for each hit that was kept, and one for all others. The same reading gives the same ones."""
        if self.count <= MOST:
            return tuple(self._alerts)
        more = self.count - MOST
        text = f"{more} more entries of list {self._listing.id} fall on domains of yours."
        # Told again only when there are twice as many.
        return *self._alerts, Alert("domain", self._listing.id, text, {"more": more}, f"more {more.bit_length()}")

    def _add(self, entry: Entry, domain: str) -> None:
        self.count += 1
        if self.count > MOST:
            return
        what = "an expression" if entry.kind is Kind.PATTERN else f"a {entry.kind} ({entry.scope})"
        text = f"List {self._listing.id} has {what} that falls on {domain}"
        text += f", reference {entry.reference}" if entry.reference else ""
        facts: dict[str, Fact] = {"domain": domain, "match": entry.kind, "scope": entry.scope, "line": entry.line}
        if entry.reference:
            facts["reference"] = entry.reference
        if not self._listing.confidential:
            facts["value"] = entry.value
        self._alerts.append(Alert("domain", self._listing.id, f"{text}.", facts, self._identity(entry)))

    def _identity(self, entry: Entry) -> str:
        """Return what this entry has again at the next reading, wherever it stands then."""
        text = f"{entry.kind}\n{entry.scope}\n{entry.value}\n{entry.reference}"
        return blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=16).hexdigest()
