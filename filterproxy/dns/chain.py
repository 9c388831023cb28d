"""The rooms between a question that is not blocked and those who answer it, in the order in which they are asked.

What would lead past this resolver is denied before all, and what it says of itself nobody else may say; then own
records, for they are the operator's word. Addresses for NAT64 are made of what all others say. A zone with upstreams of
its own may have private addresses; what comes from everybody else's may not.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from filterproxy.settings.dns import UpstreamAddress, split_upstream

from .about import About
from .bypass import Denied
from .discovery import Discovery
from .dns64 import Dns64, Prefix
from .local import Local
from .rebinding import Private
from .resolvconf import nameservers
from .upstreams import Upstreams
from .zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from filterproxy.settings.dns import Dns

    from .asking import Asks, Then
    from .wire import Query

log = logging.getLogger(__name__)


class Chain:
    """All rooms, and the upstreams at their ends. Made on no loop, used on one, and closed there."""

    def __init__(self, settings: Dns, count: Callable[[str], None], about: About | None = None) -> None:
        """Build what `settings` ask for; `count` counts events by name, `about` is what clients may know of us.

        Raises ValueError for records that mean nothing; what else could be wrong was refused with the settings.
        """
        self._count, self._settings = count, settings
        self._upstreams: list[Upstreams] = []
        rest: Asks = self._asking(_general(settings))
        if settings.rebinding:
            prefix = Prefix.of(settings.dns64) if settings.dns64 else None
            rest = Private(rest, settings.rebinding_allow, count, prefix)
        if settings.forward:
            zones = [
                (item.zone, self._asking([split_upstream(text) for text in item.upstreams]))
                for item in settings.forward
            ]
            rest = Zones(zones, rest)
        if settings.dns64:
            rest = Dns64(rest, settings.dns64)
        rest = Local(rest, settings.records)
        rest = Discovery(rest, settings, about or About())
        self._first = Denied(rest, settings.bypass)

    def ask(self, query: Query, then: Then) -> None:
        """Have `then` called with the answer to `query`."""
        self._first.ask(query, then)

    def denies(self, query: Query) -> bool:
        """Tell whether the first of all denies what `query` asks, whatever its type."""
        return self._first.denies(query)

    def close(self) -> None:
        """Answer all that wait with a failure, and leave nothing open."""
        for upstreams in self._upstreams:
            upstreams.close()

    def _asking(self, addresses: Sequence[UpstreamAddress]) -> Upstreams:
        timeout, ca = self._settings.timeout.total_seconds(), self._settings.upstream_ca
        self._upstreams.append(Upstreams(addresses, timeout, ca=ca, count=self._count))
        return self._upstreams[-1]


def _general(settings: Dns) -> list[UpstreamAddress]:
    """Return who is asked for all that no zone has others for: those configured, or this system's."""
    found = [split_upstream(item) for item in settings.upstreams]
    if not found:
        try:
            text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        found = [UpstreamAddress("udp", address, port) for address, port in nameservers(text, settings.listen)]
    if not found:
        log.error("no DNS upstream is configured or known to this system: only what is blocked will be answered")
    return found
