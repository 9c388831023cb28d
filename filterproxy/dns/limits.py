"""How much one network of clients may ask over UDP, where anyone can write any address.

Nearly all ask little, and shall pay little for being counted. So what arrives is counted in the bulk, and looked at
once for each `SPAN`: who asked no more in it than its rate is forgotten at once, who asked more has a debt, and only
whose debt is more than its burst is watched, question by question, until the debt is paid. All that is kept is bounded
by count, so a flood with invented addresses costs no more memory than any other.
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from filterproxy.settings.service import Limits as Table

SPAN: Final = 0.1
"""Seconds after which it is looked at what was counted."""
MOST_MET: Final = 8192
"""Addresses at which it is looked at before."""
MOST: Final = 16_384
"""Networks whose debt is kept, and as many that are watched; beyond, the half that owes least is forgiven."""
BUSY: Final = 32
"""Datagrams read at once of which one in `EVERY` is counted, for so many: a sample will do, unless the burst is small.
"""
EVERY: Final = 8
LEAST_SAMPLED: Final = 1000
"""The smallest burst for which it does."""

Address = int | bytes
"""A client's: for IPv4 as the number that a machine of this kind reads in a socket address, for IPv6 its 16 bytes."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
_LINK_LOCAL: Final = b"\xfe\x80"


class Limits:
    """The debts of networks. Times are seconds of one monotonic clock."""

    def __init__(self, table: Table) -> None:
        """Take rate, burst and what makes a network from the settings."""
        self._rate, self._burst = table.rate, table.burst
        self.counting = bool(table.rate)
        """Whether there is a limit at all."""
        self.due = 0.0 if self.counting else inf
        """When `look` is to be called."""
        self.network = network_of(table.ipv4_prefix, table.ipv6_prefix)
        self._alone = table.ipv4_prefix == 32
        self._busy = BUSY if table.burst >= LEAST_SAMPLED else sys.maxsize
        self._since = 0.0
        self._met, self._sampled = Counter[Address](), Counter[Address]()
        self._debts: dict[Address, float] = {}
        self.watched: dict[Address, Bucket] = {}
        """The networks that are over their burst."""
        self.wide = False
        """Whether one of them may be more than one address: then what `look` returned is not all of it."""

    def count(self, addresses: Sequence[Address]) -> None:
        """Count questions that were read together, by whom they came from."""
        if len(addresses) < self._busy:
            self._met.update(addresses)
        else:
            self._sampled.update(addresses[::EVERY])
        if len(self._met) + len(self._sampled) >= MOST_MET:
            self.due = 0.0

    def spare(self, address: Address) -> None:
        """Take back the count of one question."""
        self._met[address] -= 1

    def allows(self, address: Address, now: float) -> bool:
        """Tell whether a question may be answered as any other; of a network that is watched it is counted here."""
        bucket = self.watched.get(self.network(address))
        return bucket is None or bucket.takes(now, self._rate, self._burst)

    def watches(self, addresses: Iterable[Address]) -> list[Address]:
        """Return those of `addresses` whose network is watched."""
        return [address for address in addresses if self.network(address) in self.watched]

    def look(self, now: float) -> list[Address]:
        """Judge what was counted since the last time. Return the addresses that asked and whose network is watched."""
        met, self._met = self._met, Counter()
        for address, number in self._sampled.items():
            met[address] += EVERY * number
        self._sampled.clear()
        paid, self._since, self.due = self._rate * max(0.0, now - self._since), now, now + SPAN
        self._charge(self._by_network(met), paid, now)  # first: of who is watched nothing is counted twice
        self._unwatch(now)
        self.wide = any(not self._alone or type(name) is bytes for name in self.watched)
        if not self.watched:
            return []
        return self.watches(met)

    def _charge(self, counts: dict[Address, int], paid: float, now: float) -> None:
        debts = self._debts
        for network, debt in [*debts.items()]:
            if counts.get(network, 0) <= paid:
                debts[network] = debt + counts.get(network, 0) - paid
                if debts[network] <= 0:
                    del debts[network]
        for network, number in [item for item in counts.items() if item[1] > paid]:
            if network in self.watched:
                continue  # it is counted question by question
            debts[network] = debt = debts.get(network, 0.0) + number - paid
            if debt > self._burst:
                del debts[network]
                self.watched[network] = Bucket(self._burst, now)
        if len(debts) > MOST:
            self._debts = dict(_most(debts.items(), lambda item: item[1]))
        if len(self.watched) > MOST:
            self.watched = dict(_most(self.watched.items(), lambda item: item[1].owed(now, self._rate)))

    def _unwatch(self, now: float) -> None:
        for network in [name for name, bucket in self.watched.items() if bucket.owed(now, self._rate) <= 0]:
            del self.watched[network]

    def _by_network(self, met: Counter[Address]) -> dict[Address, int]:
        if self._alone and not any(type(address) is bytes for address in met):
            return met
        counts: dict[Address, int] = {}
        for address, number in met.items():
            network = self.network(address)
            counts[network] = counts.get(network, 0) + number
        return counts


class Bucket:
    """What a network owes: it grows by one with each question, and sinks by the rate with each second."""

    __slots__ = ("_at", "_debt")

    def __init__(self, debt: float, at: float) -> None:
        self._debt, self._at = debt, at

    def owed(self, now: float, rate: int) -> float:
        """Return what is owed `now`; less than nothing where it was paid a while ago."""
        return self._debt - (now - self._at) * rate

    def takes(self, now: float, rate: int, burst: int) -> bool:
        """Charge for one question, where that stays within `burst`."""
        owed = max(0.0, self.owed(now, rate)) + 1
        if owed > burst:
            return False
        self._debt, self._at = owed, now
        return True


def network_of(four: int, six: int) -> Callable[[Address], Address]:
    """Return what gives the network of an address, by the bits of the prefix of both kinds; IPv4 as such is IPv4.

    A link-local address stands for itself, as in `clients`: what comes first in it tells nobody apart.
    """
    mask = (1 << 128) - (1 << 128 - six)
    shift = 32 - four

    def network(address: Address) -> Address:
        if type(address) is bytes:
            if not address.startswith(_MAPPED):
                if address.startswith(_LINK_LOCAL):
                    return address
                return (int.from_bytes(address) & mask).to_bytes(16)
            address = int.from_bytes(address[12:], sys.byteorder)
        assert isinstance(address, int)  # noqa: S101 - for mypy
        if not shift:
            return address
        return int.from_bytes(address.to_bytes(4, sys.byteorder)) >> shift

    return network


def read_address(text: str) -> Address:
    """Return the address that `text` is, without a zone."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return int.from_bytes(socket.inet_aton(text), sys.byteorder)


def _most[T](items: Iterable[T], owed: Callable[[T], float]) -> list[T]:
    """Return those of `items` that owe most, half as many as may be kept."""
    return sorted(items, key=owed, reverse=True)[: MOST // 2]
