"""Addresses for hosts without IPv6, made of their IPv4 addresses, for networks that reach those by NAT64 (RFC 6147)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from . import wire
from .answers import EDE_NETWORK_ERROR
from .cache import failure
from .rebinding import is_private4
from .records import PTR, UNREADABLE, Draft, aliased, read, wire_name
from .wire import Malformed

if TYPE_CHECKING:
    from .asking import Asks, Then
    from .cache import Answer
    from .wire import Labels, Query

LONGEST: Final = 600
"""Seconds that what is made may be kept, where no SOA says how long there is no IPv6 address (section 5.1.7)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_WELL_KNOWN: Final = b"\0\x64\xff\x9b" + bytes(8)
_FINAL: Final = (wire.NOERROR, wire.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix under which IPv4 addresses stand (RFC 6052, section 2.2): 4, 5, 6, 7, 8 or 12 bytes."""

    head: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the prefix that a network such as 64:ff9b::/96 is. Raises ValueError."""
        network = ipaddress.IPv6Network(text)
        if network.prefixlen not in (32, 40, 48, 56, 64, 96):
            raise ValueError("the prefix has 32, 40, 48, 56, 64 or 96 bits")
        return cls(network.network_address.packed[: network.prefixlen // 8])

    def embed(self, address: bytes) -> bytes:
        """Return the 16 bytes in which the 4 of `address` stand. Bits 64 to 71 are left out."""
        joined = self.head + address
        return joined if len(joined) == 16 else (joined[:8] + b"\0" + joined[8:]).ljust(16, b"\0")

    def extract(self, address: bytes) -> bytes | None:
        """Return the 4 bytes that stand in the 16 of `address`; None where it is not under this prefix."""
        if not address.startswith(self.head):
            return None
        if len(self.head) == 12:
            return address[12:]
        if address[8]:
            return None
        return (address[:8] + address[9:])[len(self.head) : len(self.head) + 4]


class Dns64:
    """Answers of `rest`; where one about AAAA holds no address, one made of the A records under `prefix`.

    Also names below the prefix's part of ip6.arpa lead to those of the IPv4 address (section 5.3.1).
    """

    def __init__(self, rest: Asks, prefix: str) -> None:
        self._rest, self._prefix = rest, Prefix.of(prefix)

    def ask(self, query: Query, then: Then) -> None:
        qtype = query.qtype
        if qtype == wire.AAAA and query.qclass == wire.IN:
            if not (query.cd and query.do):  # who validates by itself would refuse what we make (section 5.5)
                self._rest.ask(query, partial(self._first, query, then))
                return
        elif qtype == PTR and query.qclass == wire.IN:
            address = self._named(query.labels)
            if address is not None:
                self._reverse(query, then, address)
                return
        self._rest.ask(query, then)

    def _first(self, query: Query, then: Then, answer: Answer) -> None:
        """Take what is known about AAAA. All codes but NXDOMAIN may stand for none (section 5.1.2)."""
        plain, mapped = _counted(answer)
        if (plain and not mapped) or answer.rcode == wire.NXDOMAIN or answer.ede == EDE_NETWORK_ERROR:
            then(answer)
            return
        if mapped:
            try:
                answer = _unmapped(query, answer)
            except Malformed:
                answer = UNREADABLE
        if plain or answer is UNREADABLE:
            then(answer)
            return
        self._rest.ask(query.about(qtype=wire.A), partial(self._second, query, then, answer))

    def _second(self, query: Query, then: Then, none: Answer, answer: Answer) -> None:
        """Take what is known about A, where `none` says that there is no AAAA."""
        try:
            answer = self._made(query, none, answer)
        except Malformed:
            answer = UNREADABLE
        then(answer)

    def _made(self, query: Query, none: Answer, answer: Answer) -> Answer:
        if answer.rcode not in _FINAL:
            return none if none.rcode not in _FINAL else failure(answer.rcode, answer.ede, answer.lifetime)
        said, draft, made = read(query, answer), Draft(query), 0
        longest = _longest(query, none)
        for record in said.answers:
            if record.rclass != wire.IN:
                continue
            if record.rtype in (wire.CNAME, wire.DNAME):
                draft.copy(said, record)
            elif record.rtype == wire.A and record.end - record.data_at == 4:
                address = said.packet[record.data_at : record.end]
                if self._prefix.head == _WELL_KNOWN and is_private4(address):
                    continue  # no translator may pass it on (RFC 6052, section 3.1)
                ttl = record.ttl if record.ttl < 0x80000000 else 0
                draft.add(record.owner, wire.AAAA, min(ttl, longest), self._prefix.embed(address))
                made += 1
        if made:
            return draft.answer()
        return none if answer.ede is None else replace(none, ede=answer.ede)

    def _named(self, labels: Labels) -> bytes | None:
        """Return the IPv4 address whose translation a name below ip6.arpa spells, or None."""
        if len(labels) != 34 or labels[-1].lower() != b"arpa" or labels[-2].lower() != b"ip6":
            return None
        try:
            address = bytes.fromhex(b"".join(reversed(labels[:32])).decode("ascii"))
        except ValueError:
            return None
        return self._prefix.extract(address) if len(address) == 16 else None

    def _reverse(self, query: Query, then: Then, address: bytes) -> None:
        target = (*(str(byte).encode() for byte in reversed(address)), b"in-addr", b"arpa")
        name = wire_name(target)
        asked, chain = query.about(name=name), [(query.labels, LONGEST, name)]
        self._rest.ask(asked, lambda answer: then(aliased(query, chain, asked, answer)))


def _counted(answer: Answer) -> tuple[int, int]:
    """Return how many AAAA records an answer holds, and how many more whose address is IPv4, mapped.

    Those count as none (section 5.1.4). No name is read: around a record's TTL stand its type and its data.
    """
    if answer.rcode != wire.NOERROR:
        return 0, 0
    body, plain, mapped = answer.body, 0, 0
    for at in answer.ttl_at[: answer.answers]:
        if body[at - 3] == wire.AAAA and not body[at - 4]:
            if body.startswith(_MAPPED, at + 6):
                mapped += 1
            else:
                plain += 1
    return plain, mapped


def _unmapped(query: Query, answer: Answer) -> Answer:
    """Return `answer` without mapped addresses and without signatures over addresses. Raises Malformed."""
    said, draft = read(query, answer), Draft(query)
    for record in said.answers:
        mapped = record.rtype == wire.AAAA and said.packet.startswith(_MAPPED, record.data_at)
        if not mapped and said.covered(record) != wire.AAAA:
            draft.copy(said, record)
    for record in said.authorities:
        draft.copy(said, record, authority=True)
    return draft.answer()


def _longest(query: Query, none: Answer) -> int:
    """Return for how many seconds there is no AAAA record, as the SOA of that answer says. Raises Malformed."""
    if none.rcode == wire.NOERROR and none.authorities:
        said = read(query, none)
        for record in said.authorities:
            if record.rtype == wire.SOA and record.end - record.data_at >= 20:
                minimum = int.from_bytes(said.packet[record.end - 4 : record.end])
                return min(item if item < 0x80000000 else 0 for item in (record.ttl, minimum))
    return LONGEST
