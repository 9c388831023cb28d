"""The wire form of DNS messages (RFC 1035), read strictly and without a copy of anything.

Every reader either returns what it read or raises Malformed, never any other error. Answers of upstreams are kept as
they came, so that signatures and record types unknown to us pass unharmed; dnslib builds what we say ourselves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

HEADER = struct.Struct("!HHHHHH")
"""Id, flags, and the number of questions, answers, authority and additional records."""

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE, RCODE = 0x7800, 0x000F
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)
A, CNAME, SOA, AAAA, DNAME, OPT, RRSIG, SVCB, HTTPS, ANY, IN = 1, 5, 6, 28, 39, 41, 46, 64, 65, 255, 1

_FIXED = struct.Struct("!HHIH")
_TYPE_CLASS = struct.Struct("!HH")

Labels = tuple[bytes, ...]
"""A name, label by label, without the root; as spelled."""


class Malformed(Exception):  # noqa: N818 - it says what the message is
    """A message that cannot be read. A client gets FORMERR; an upstream's answer counts as none."""


@dataclass(frozen=True, slots=True)
class Edns:
    """What the OPT record of a query says (RFC 6891). `size` is in bytes, at least 512."""

    version: int
    size: int
    do: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A well-formed message with one question. `name` is the question's name in wire form, as spelled."""

    id: int
    flags: int
    name: bytes = field(repr=False)
    labels: Labels = field(repr=False)
    qtype: int
    qclass: int
    edns: Edns | None

    @property
    def question(self) -> bytes:
        """The question section, as spelled."""
        return self.name + _TYPE_CLASS.pack(self.qtype, self.qclass)

    @property
    def key(self) -> bytes:
        """What questions with one answer have in common: name without case, type, DO and CD.

        `lower` leaves the length octets alone, for they end at 63 and letters begin at 65.
        """
        return self.name.lower() + struct.pack("!HBB", self.qtype, self.do, self.cd)

    @property
    def do(self) -> bool:
        """Whether the client asks for DNSSEC records (RFC 3225)."""
        return self.edns is not None and self.edns.do

    @property
    def cd(self) -> bool:
        """Whether the client asks that nothing be validated (RFC 4035)."""
        return bool(self.flags & CD)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a resource record lies in its message; offsets in bytes from the message's start."""

    owner: Labels = field(repr=False)
    rtype: int
    rclass: int
    ttl: int
    ttl_at: int
    data_at: int
    end: int


def read_name(packet: bytes, at: int) -> tuple[Labels, int]:
    """Return the name at `at` and the offset behind it.

    A compression pointer must point before the name it stands in, so no name can be endless (RFC 1035, 4.1.4).
    """
    labels: list[bytes] = []
    size, end, floor = 1, 0, at
    while at < len(packet):
        length = packet[at]
        if length == 0:
            return tuple(labels), end or at + 1
        if length >= 0xC0:
            if at + 1 >= len(packet):
                break
            target = (length & 0x3F) << 8 | packet[at + 1]
            if not HEADER.size <= target < floor:
                raise Malformed("a compression pointer that does not point back")
            end = end or at + 2
            at = floor = target
            continue
        size += length + 1
        if length > 63 or size > 255:
            raise Malformed("a label of an unknown kind, or a name that is too long")
        labels.append(packet[at + 1 : at + 1 + length])
        at += length + 1
    raise Malformed("a name that ends early")


def read_record(packet: bytes, at: int) -> Record:
    """Return the record that begins at `at`."""
    owner, at = read_name(packet, at)
    if at + _FIXED.size > len(packet):
        raise Malformed("a record that ends early")
    rtype, rclass, ttl, length = _FIXED.unpack_from(packet, at)
    end = at + _FIXED.size + length
    if end > len(packet):
        raise Malformed("a record that ends early")
    return Record(owner, rtype, rclass, ttl, at + 4, at + _FIXED.size, end)


def read_target(packet: bytes, record: Record, skip: int = 0) -> Labels:
    """Return the name that stands in a record's data behind `skip` bytes."""
    labels, end = read_name(packet, record.data_at + skip)
    if end > record.end:
        raise Malformed("a name that leaves its record")
    return labels


def read_question(packet: bytes) -> tuple[Labels, int, int, int]:
    """Return the name, type and class of the first question, and the offset behind it."""
    labels, at = read_name(packet, HEADER.size)
    if at + 4 > len(packet):
        raise Malformed("a question that ends early")
    qtype, qclass = _TYPE_CLASS.unpack_from(packet, at)
    return labels, qtype, qclass, at + 4


def read_query(packet: bytes) -> Query:
    """Return the query that `packet` is. It holds one question, at most one OPT record and nothing behind its end."""
    if len(packet) < HEADER.size:
        raise Malformed("shorter than a header")
    ident, flags, questions, answers, authority, additional = HEADER.unpack_from(packet)
    if questions != 1 or answers:
        raise Malformed("not one question")
    labels, qtype, qclass, at = read_question(packet)
    name = packet[HEADER.size : at - 4]
    edns: Edns | None = None
    for number in range(authority + additional):
        record = read_record(packet, at)
        if record.rtype == OPT:
            if edns is not None or record.owner or number < authority:
                raise Malformed("an OPT record out of place")
            edns = _read_edns(packet, record)
        at = record.end
    if at != len(packet):
        raise Malformed("bytes behind the end")
    return Query(ident, flags, name, labels, qtype, qclass, edns)


def _read_edns(packet: bytes, record: Record) -> Edns:
    at = record.data_at
    while at < record.end:  # options are not read yet, but must be whole
        if at + 4 > record.end:
            raise Malformed("an option that ends early")
        at += 4 + int.from_bytes(packet[at + 2 : at + 4])
    if at != record.end:
        raise Malformed("an option that ends early")
    return Edns(version=record.ttl >> 16 & 0xFF, size=max(record.rclass, 512), do=bool(record.ttl & 0x8000))
