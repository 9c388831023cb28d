"""A list as a response policy zone (draft-vixie-dnsop-dns-rpz-00): the records that make a resolver answer as we do.

`x` stands for a name, `*.x` for all below it. A CNAME to `.` is NXDOMAIN, to `*.` NODATA, to `rpz-passthru.` says that
the name is spared, which ends the resolver's search in zones of less weight too. A zone cannot refuse: lists that do
are answered with NODATA.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from filterproxy.core.model import DnsAnswer, Listing
from filterproxy.core.names import is_address
from filterproxy.dns import wire
from filterproxy.dns.records import host_labels, wire_name

from .coverage import BLOCKED, DENIED, NOTHING, SPARED, Coverage
from .packed import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from filterproxy.core.model import Entry, ListFormat
    from filterproxy.settings import Settings
    from filterproxy.settings.lists import List

REFRESH, RETRY, EXPIRE = 60, 30, 604_800
"""Seconds after which a receiver asks whether there is something new, asks again, and gives the zone up: where it was
not told, a block is late by a minute; where we are away, it holds for a week."""

_FIXED: Final = struct.Struct("!HHIH")
_NUMBERS: Final = struct.Struct("!IIIII")
_POINTER: Final = b"\xc0\x0c"
_ROOT: Final = b"\0"
_NODATA: Final = b"\x01*\0"
_PASSTHRU: Final = b"\x0crpz-passthru\0"
_NULL: Final = ("0.0.0.0", "::")
_LOCALHOST: Final = b"\x09localhost\0"
_LENGTHS: Final = {length: bytes((length,)) for length in range(1, 64)}
_MEMO: Final = 65_536

# A zone has a name server, or it is refused; nobody asks it, for nobody finds the zone.
APEX: Final = Records.of((_POINTER + _FIXED.pack(wire.NS, wire.IN, REFRESH, len(_LOCALHOST)) + _LOCALHOST,))
"""What every zone has beside its SOA."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a list is made a zone: its name and who answers for it, and what our own answers follow too."""

    name: str
    """The zone's name, without the final dot."""
    listing: Listing
    """Its `format` is the one it was read in."""
    ttl: int = 60
    notice: tuple[str, ...] = ()
    """What lists with `dns = "notice"` answer with."""
    territory: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings, table: List, format: ListFormat | None = None) -> Manner:
        """Return the manner of a list of the configuration; `format` is the one it was read in."""
        listing = table.listing if format is None else replace(table.listing, format=format)
        dns, territory = settings.dns, frozenset(settings.operator.territory)
        return cls(f"{table.id}.{dns.transfer.zone}", listing, dns.block_ttl, dns.notice_addresses, territory)


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """What a list says at one moment, as records."""

    name: str
    ttl: int
    records: Records = field(repr=False)
    """All but SOA and NS."""
    unenforceable: Mapping[str, int]
    """How much of the list no zone can say. Entries: `url`, `keyword`, `pattern`, `hash`; `exception`: an expression:
    what it spares below a listed name is blocked. Names: `address`; `name`: too long, or it means something else in a
    zone."""
    next_change: datetime | None
    """When it says something else, for entries begin and end."""

    def __len__(self) -> int:
        """Return how many records there are beside SOA and NS."""
        return len(self.records)

    @property
    def wire_name(self) -> bytes:
        """The zone's name as messages spell it."""
        return wire_name(host_labels(self.name))

    def soa(self, serial: int) -> bytes:
        """Return the packed SOA record under this serial."""
        data = _LOCALHOST + b"\x06nobody\x07invalid\0" + _NUMBERS.pack(serial, REFRESH, RETRY, EXPIRE, self.ttl)
        return _POINTER + _FIXED.pack(wire.SOA, wire.IN, self.ttl, len(data)) + data

    def digest(self, key: bytes) -> str:
        """Return a digest of all that it says, under `key`: whoever has not that cannot try whether a name is in it."""
        found = blake2b(f"{self.name}\n{self.ttl}\n".encode(), digest_size=16, key=key)
        found.update(self.records.packed)
        return found.hexdigest()


def build(entries: Iterable[Entry], manner: Manner, overrides: Iterable[Entry] = (), *, now: datetime) -> Zone:
    """Return the zone of a list's entries, less what `overrides` spare, as it is at `now`. A million takes seconds."""
    coverage = Coverage(manner.listing, manner.territory, now)
    coverage.override(overrides)
    coverage.add(entries)
    unfit: Counter[str] = Counter()
    records = Records.of(_packed(coverage, manner, unfit))
    counted = MappingProxyType(dict(coverage.unenforceable + unfit))
    return Zone(manner.name, manner.ttl, records, counted, coverage.next_change)


def _packed(coverage: Coverage, manner: Manner, unfit: Counter[str]) -> Iterator[bytes]:
    """Yield the records of all that is said of names; count the names that no zone can hold."""
    said = _said(manner)
    room = wire.MAX_NAME - len(wire_name(host_labels(manner.name)))
    owners = _Owners()
    for name, itself, below in coverage.names():
        owner = owners.of(name)
        if owner is None or len(owner) > room or is_address(name):
            unfit["address" if is_address(name) else "name"] += 1
            continue
        for data in said[itself]:
            yield owner + data
        if below != NOTHING:
            if len(owner) + 2 > room:
                unfit["name"] += 1
                continue
            for data in said[below]:
                yield b"\x01*" + owner + data


def _said(manner: Manner) -> tuple[tuple[bytes, ...], ...]:
    """Return by what is said of a name the records that say so, less their owner's labels."""

    def record(rtype: int, data: bytes) -> bytes:
        return _POINTER + _FIXED.pack(rtype, wire.IN, manner.ttl, len(data)) + data

    how = manner.listing.dns
    addresses = _NULL if how is DnsAnswer.NULL else manner.notice if how is DnsAnswer.NOTICE else ()
    packed = [ipaddress.ip_address(item).packed for item in addresses]
    blocked = [record(wire.A if len(item) == 4 else wire.AAAA, item) for item in sorted(packed)]
    found = {
        NOTHING: (),
        BLOCKED: tuple(blocked) or (record(wire.CNAME, _NODATA),),
        DENIED: (record(wire.CNAME, _ROOT),),
        SPARED: (record(wire.CNAME, _PASSTHRU),),
    }
    return tuple(found[what] for what in range(4))


class _Owners:
    """Names as owners in a zone: their labels, without the zone's. Names often share all but their first label."""

    def __init__(self) -> None:
        self._memo: dict[str, bytes | None] = {"": b""}

    def of(self, name: str) -> bytes | None:
        """Return the labels; None where DNS has no such name, or where it would mean something else in a zone."""
        label, _, rest = name.partition(".")
        above = self._memo.get(rest)
        if above is None:
            above = self._above(rest)
        length = _LENGTHS.get(len(label))
        if above is None or length is None or "*" in label or (not rest and label.startswith("rpz-")):
            return None
        return length + label.encode("ascii") + above

    def _above(self, rest: str) -> bytes | None:
        if rest in self._memo:
            return self._memo[rest]
        if len(self._memo) >= _MEMO:
            self._memo = {"": b""}
        found = self._memo[rest] = self.of(rest)
        return found
