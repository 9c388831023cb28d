"""Whether somebody finds out what is listed: many distinct listed entries, met by one network of clients in an hour.

People meet the same few again and again; who goes through the names of a leaked or guessed list meets many. What counts
are the blocks that the resolver decides, not those given again from memory. Of a network its digest is told, never its
address, and of entries their number. In memory are digests alone, bounded by count: where there are too many, of
the networks that were quiet for longest the one that met least is forgotten, so that inventing networks hides nobody.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from filterproxy.core.model import Kind

from .limits import network_of, read_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from filterproxy.core.model import Match
    from filterproxy.settings.service import Limits

    from .limits import Address

HOUR: Final = 3600.0
MARKS: Final = 65_536
"""Entries met that are remembered, of all networks together; more only where `enumeration` is."""
NETWORKS: Final = 16_384
ALARMS: Final = 20
"""Networks whose alarms are told within an hour; all are counted."""
_OLDEST: Final = 16


class Alarm(NamedTuple):
    """What is told."""

    network: str
    """A keyed digest: the same of the same network, as long as the key is."""
    entries: Mapping[str, int]
    """How many of each list of which enough was met to say so."""


class Enumeration:
    """What networks met lately. Times are seconds of one monotonic clock."""

    def __init__(
        self,
        limits: Limits,
        key: bytes,
        tell: Callable[[Alarm], None],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Have `tell` told of alarms; `key` is shared by the workers."""
        self._most, self._key = limits.enumeration, key
        self._network = network_of(limits.ipv4_prefix, limits.ipv6_prefix)
        self._clock, self._count, self._tell = clock, count, tell
        self._room = max(MARKS, self._most)
        self._marks = 0
        self._met: OrderedDict[Address, OrderedDict[int, tuple[str, float]]] = OrderedDict()
        self._told: dict[Address, tuple[float, set[str]]] = {}

    def meet(self, client: str, match: Match) -> None:
        """Take note that `client` (an IP address) asked for what `match` covers."""
        listing = match.listing.id
        if not self._most or ":" in listing:  # a profile's own entries, and canaries of our own
            return
        network, now = self._network(read_address(client)), self._clock()
        met = self._met.get(network)
        if met is None:
            met = self._met[network] = OrderedDict()
        self._met.move_to_end(network)
        mark = hash((listing, match.kind, match.scope, _entry(match)))
        if met.pop(mark, None) is None:
            self._marks += 1
        met[mark] = listing, now
        while met[next(iter(met))][1] < now - HOUR:
            met.popitem(last=False)
            self._marks -= 1
        if len(met) >= self._most:
            self._alarm(network, now)
        while self._marks > self._room or len(self._met) > NETWORKS:
            self._forget(now)

    def _alarm(self, network: Address, now: float) -> None:
        """Raise an alarm; it takes as many entries again for the next.

        Of one network each list is told of once within an hour, so that whoever is busy takes no alarm from another.
        """
        met = self._met.pop(network)
        self._marks -= len(met)
        self._count("dns_enumeration")
        self._told = {name: told for name, told in self._told.items() if told[0] > now - HOUR}
        if network not in self._told and len(self._told) >= ALARMS:
            return
        lists = self._told.setdefault(network, (now, set()))[1]
        entries = _telling(Counter(listing for listing, _ in met.values()))
        if not lists.issuperset(entries):
            lists.update(entries)
            digest = blake2b(repr(network).encode(), digest_size=8, key=self._key, person=b"enumeration").hexdigest()
            self._tell(Alarm(digest, entries))

    def _forget(self, now: float) -> None:
        """Forget one of the networks that were quiet for longest: the first whose hour is over, or who met least."""
        few = list(islice(self._met.items(), _OLDEST))
        over = (name for name, met in few if met[next(reversed(met))][1] < now - HOUR)
        name = next(over, None) or min(few, key=lambda item: len(item[1]))[0]
        self._marks -= len(self._met.pop(name))


def _telling(entries: Counter[str]) -> Counter[str]:
    """Return the lists of which enough was met to say so: a tenth of all, or no other was met more often.

    Of the rest a few were met on the way: to tell of that would say nothing, and be silent when more is met.
    """
    enough = min(entries.total() / 10, max(entries.values()))
    return Counter({listing: number for listing, number in entries.items() if number >= enough})


def _entry(match: Match) -> str:
    """Return what stands for the entry of `match`.

    Which of a list's patterns it was is not said, only the host that it found; one finds hosts without end below one
    name, and all these count once.
    """
    if match.kind is Kind.PATTERN:
        return ".".join(match.expression.rsplit(".", 2)[-2:])
    return match.expression
