"""Names by which software asks whether it may go past this resolver: denied at once, so that it stays.

Each is denied with all below it, for NXDOMAIN denies that too (RFC 8020). What asks takes that for a no, and would take
silence for a fault: https://support.mozilla.org/kb/canary-domain-use-application-dnsnet for the first name, and
https://developer.apple.com/support/prepare-your-network-for-icloud-private-relay/ for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import wire
from .rebinding import EDE_BLOCKED
from .records import Draft, host_labels, wire_name

if TYPE_CHECKING:
    from filterproxy.settings.service import Bypass

    from .asking import Asks, Then
    from .wire import Labels, Query

CANARY: Final = ("use-application-dns.net",)
PRIVATE_RELAY: Final = ("mask.icloud.com", "mask-h2.icloud.com")


class Denied:
    """Denies the names that `bypass` says, whichever type is asked for; asks `rest` for all others."""

    def __init__(self, rest: Asks, bypass: Bypass) -> None:
        self._rest = rest
        names = (CANARY if bypass.canary else ()) + (PRIVATE_RELAY if bypass.private_relay else ())
        self._names = tuple(map(host_labels, names))
        self._ends = tuple(map(wire_name, self._names))

    def denies(self, query: Query) -> bool:
        """Tell whether a question is about such a name."""
        return query.name.lower().endswith(self._ends) and self._denied(query) is not None

    def ask(self, query: Query, then: Then) -> None:
        denied = self._denied(query) if query.name.lower().endswith(self._ends) else None
        if denied is None:
            self._rest.ask(query, then)
            return
        draft = Draft(query)
        draft.deny(denied)
        then(draft.answer(wire.NXDOMAIN, EDE_BLOCKED))

    def _denied(self, query: Query) -> Labels | None:
        """Return the denied name that the question is about or below: an end of it may also lie within a label."""
        labels = query.labels
        lowered = tuple(label.lower() for label in labels)
        for name in self._names:
            if lowered[-len(name) :] == name:
                return labels[-len(name) :]
        return None
