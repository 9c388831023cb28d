"""Answers of our own making, and what upstreams said read record by record.

Every answer that is made here ends as a message that `read_answer` reads, so that there is one reader. Names in a
record's data are spelled out, for what is copied stands elsewhere than it stood; no other byte of its data changes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from . import wire
from .answers import EDE_NO_AUTHORITY, TCP_SIZE
from .cache import Answer, failure, read_answer
from .wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .wire import Known, Labels, Query, Record

PTR, MX, TXT, SRV = 12, 15, 16, 33
DENIAL_TTL: Final = 60
"""Seconds that a client may keep a denial of ours."""
UNREADABLE: Final = failure(wire.SERVFAIL, EDE_NO_AUTHORITY)
"""What becomes of an answer that turned out to be Malformed in a room."""

_FIXED = struct.Struct("!HHIH")
_NAPTR = 35
_NAMES: Final = {
    **dict.fromkeys((wire.NS, 3, 4, wire.CNAME, 7, 8, 9, PTR, wire.DNAME, 47), (0, 1)),
    **dict.fromkeys((wire.SOA, 14, 17), (0, 2)),
    **dict.fromkeys((MX, 18, 21, 36, wire.SVCB, wire.HTTPS), (2, 1)),
    26: (2, 2),
    SRV: (6, 1),
    24: (18, 1),
    wire.RRSIG: (18, 1),
}
"""Where names stand in a record's data, by type: behind how many bytes, and how many (RFC 3597, section 4)."""
_POINTERS = 0x4000
_SOA_NAMES = b"\x09localhost\0\x06nobody\x07invalid\0"
_SOA_NUMBERS = struct.Struct("!IIIII")


def wire_name(labels: Iterable[bytes]) -> bytes:
    """Return the wire form of a name, spelled out."""
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def host_labels(host: str) -> Labels:
    """Return the labels of a canonical host; none for the root, `.`. Raises ValueError where DNS has no such name."""
    labels = tuple(label.encode() for label in host.removesuffix(".").split(".")) if host != "." else ()
    if not all(0 < len(label) < 64 for label in labels) or sum(map(len, labels)) + len(labels) >= wire.MAX_NAME:
        raise ValueError("a label has 1 to 63 bytes, and a name 253 at most")
    return labels


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as the message it came in, and its records."""

    packet: bytes = field(repr=False)
    answers: tuple[Record, ...] = field(repr=False)
    authorities: tuple[Record, ...] = field(repr=False)
    known: Known = field(repr=False)

    def data(self, record: Record) -> bytes:
        """Return a record's data, its names spelled out. Raises Malformed."""
        skip, names = _names_in(self.packet, record)
        if not names:
            return self.packet[record.data_at : record.end]
        parts, at = [self.packet[record.data_at : record.data_at + skip]], record.data_at + skip
        for _number in range(names):
            labels, at = wire.read_name(self.packet, at, self.known)
            parts.append(wire_name(labels))
        if at > record.end:
            raise Malformed("a name that leaves its record")
        return b"".join((*parts, self.packet[at : record.end]))

    def covered(self, record: Record) -> int | None:
        """Return the type that an RRSIG signs; None for any other record, or an RRSIG too short to say."""
        if record.rtype != wire.RRSIG or record.end - record.data_at < 2:
            return None
        return int.from_bytes(self.packet[record.data_at : record.data_at + 2])


def read(query: Query, answer: Answer) -> Said:
    """Return the records of an answer to `query`, or to any other question whose name is as long. Raises Malformed."""
    header = wire.HEADER.pack(0, wire.QR | answer.rcode & wire.RCODE, 1, answer.answers, answer.authorities, 0)
    packet = header + query.question + answer.body
    at, records, known = len(packet) - len(answer.body), [], wire.Known()
    for _number in range(answer.answers + answer.authorities):
        records.append(wire.read_record(packet, at, known))
        at = records[-1].end
    return Said(packet, tuple(records[: answer.answers]), tuple(records[answer.answers :]), known)


class Draft:
    """An answer to `query` in the making: records are added in their order, those of the answer section first.

    A record's owner points to where its name stood last: in the question, as an owner, or as the target of a CNAME.
    """

    def __init__(self, query: Query) -> None:
        self._parts, self._size = [query.question], wire.HEADER.size + len(query.name) + 4
        self._answers, self._authorities = 0, 0
        self._stands: dict[Labels, int] = {query.labels: wire.HEADER.size}

    @property
    def answers(self) -> int:
        """How many records the answer section has so far."""
        return self._answers

    @property
    def authorities(self) -> int:
        """How many records the authority section has so far."""
        return self._authorities

    def add(
        self, owner: Labels, rtype: int, ttl: int, data: bytes, *, rclass: int = wire.IN, authority: bool = False
    ) -> None:
        """Add a record. Raises Malformed where the message grows too long for any client."""
        if len(data) > TCP_SIZE:
            raise Malformed("data that are too long")
        stands = self._stands.get(owner) if owner else None
        name = wire_name(owner) if stands is None else (0xC000 | stands).to_bytes(2)
        self._stand(owner, self._size)
        self._parts.append(name + _FIXED.pack(rtype, rclass, ttl, len(data)) + data)
        self._size += len(self._parts[-1])
        if self._size > TCP_SIZE:
            raise Malformed("an answer that is too long")
        if rtype == wire.CNAME:
            self._stand(wire.read_name(data, 0)[0], self._size - len(data))
        if authority:
            self._authorities += 1
        else:
            self._answers += 1

    def copy(self, said: Said, record: Record, *, data: bytes | None = None, authority: bool = False) -> None:
        """Add a record of another answer, with other `data` where they are given. Raises Malformed."""
        data = said.data(record) if data is None else data
        self.add(record.owner, record.rtype, record.ttl, data, rclass=record.rclass, authority=authority)

    def deny(self, owner: Labels, ttl: int = DENIAL_TTL) -> None:
        """Add the SOA that says how long a denial may be kept (RFC 2308); its names are those of RFC 6303."""
        minimum = min(ttl, DENIAL_TTL)
        data = _SOA_NAMES + _SOA_NUMBERS.pack(1, 3600, 1200, 604_800, minimum)
        self.add(owner, wire.SOA, ttl, data, authority=True)

    def answer(self, rcode: int = wire.NOERROR, ede: int | None = None) -> Answer:
        """Return what was drafted; nobody authenticated it. Raises Malformed where it leads to too many names."""
        header = wire.HEADER.pack(0, wire.QR | rcode, 1, self._answers, self._authorities, 0)
        made = read_answer(b"".join((header, *self._parts)))
        return made if ede is None else replace(made, ede=ede)

    def _stand(self, labels: Labels, at: int) -> None:
        if at < _POINTERS:
            self._stands.setdefault(labels, at)


def denial(query: Query, ede: int | None = None) -> Answer:
    """Return the answer that `query` has none: NOERROR without records, for a minute."""
    draft = Draft(query)
    draft.deny(query.labels)
    return draft.answer(ede=ede)


def aliased(query: Query, chain: Sequence[tuple[Labels, int, bytes]], asked: Query, answer: Answer) -> Answer:
    """Return the answer to `query` that leads by `chain`, CNAMEs as owner, TTL and data, to the `answer` to `asked`.

    Never raises: what cannot be read, or failed, leaves a failure.
    """
    if answer.rcode not in (wire.NOERROR, wire.NXDOMAIN):
        return failure(answer.rcode, answer.ede, answer.lifetime)
    try:
        said, draft = read(asked, answer), Draft(query)
        for owner, ttl, data in chain:
            draft.add(owner, wire.CNAME, ttl, data)
        for record in said.answers:
            draft.copy(said, record)
        for record in said.authorities:
            draft.copy(said, record, authority=True)
        return draft.answer(answer.rcode, answer.ede)
    except Malformed:
        return UNREADABLE


def _names_in(packet: bytes, record: Record) -> tuple[int, int]:
    """Return behind how many bytes of a record's data names stand, and how many."""
    if record.rtype != _NAPTR:
        return _NAMES.get(record.rtype, (0, 0))
    at = record.data_at + 4
    for _string in range(3):
        if at >= record.end:
            raise Malformed("a string that ends early")
        at += 1 + packet[at]
    return at - record.data_at, 1
