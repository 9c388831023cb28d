"""The wire form of DNS messages (RFC 1035), read strictly and without a copy of anything.

Every reader either returns what it read or raises Malformed, never any other error. Answers of upstreams are kept as
they came, so that signatures and record types unknown to us pass unharmed; dnslib builds what we say ourselves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

HEADER = struct.Struct("!HHHHHH")
"""Id, flags, and the number of questions, answers, authority and additional records."""

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE, RCODE = 0x7800, 0x000F
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)
A, NS, CNAME, SOA, AAAA, DNAME, OPT, RRSIG, SVCB, HTTPS, ANY, IN = 1, 2, 5, 6, 28, 39, 41, 46, 64, 65, 255, 1

MAX_HOPS = 16
"""Compression pointers that one name may lead through: a ladder of them would cost time with every step."""
MAX_NAME = 255
MAX_EXTRA = 8
"""Records of a query beside its question: it needs one for EDNS, and we read no other."""

_FIXED = struct.Struct("!HHIH")
_TYPE_CLASS = struct.Struct("!HH")

Labels = tuple[bytes, ...]
"""A name, label by label, without the root; as spelled."""
Known = dict[int, Labels]
"""Names of one message by their offset: thousands of pointers to a long one cost no more than a few."""


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


def read_name(packet: bytes, at: int, known: Known | None = None, hops: int = MAX_HOPS) -> tuple[Labels, int]:
    """Return the name at `at` and the offset behind it.

    A compression pointer must point before the name it stands in, so no name can be endless (RFC 1035, 4.1.4), and
    may lead to few others, so none takes long. Names in `known` are not read again.
    """
    labels: list[bytes] = []
    size, start = 1, at
    while at < len(packet):
        length = packet[at]
        if length == 0:
            return tuple(labels), at + 1
        if length >= 0xC0:
            rest = _read_rest(packet, start, at, known, hops)
            if size + sum(map(len, rest)) + len(rest) > MAX_NAME:
                raise Malformed("a name that is too long")
            return (*labels, *rest), at + 2
        size += length + 1
        if length > 63 or size > MAX_NAME:
            raise Malformed("a label of an unknown kind, or a name that is too long")
        labels.append(packet[at + 1 : at + 1 + length])
        at += length + 1
    raise Malformed("a name that ends early")


def _read_rest(packet: bytes, start: int, at: int, known: Known | None, hops: int) -> Labels:
    """Return the rest of the name from `start`, to which the pointer at `at` leads."""
    target = int.from_bytes(packet[at : at + 2]) & 0x3FFF
    if at + 1 >= len(packet) or not HEADER.size <= target < start or not hops:
        raise Malformed("a compression pointer that does not point back, or one too many")
    if known is None:
        return read_name(packet, target, None, hops - 1)[0]
    if target not in known:
        known[target] = read_name(packet, target, known, hops - 1)[0]
    return known[target]


def read_record(packet: bytes, at: int, known: Known | None = None) -> Record:
    """Return the record that begins at `at`."""
    owner, at = read_name(packet, at, known)
    if at + _FIXED.size > len(packet):
        raise Malformed("a record that ends early")
    rtype, rclass, ttl, length = _FIXED.unpack_from(packet, at)
    end = at + _FIXED.size + length
    if end > len(packet):
        raise Malformed("a record that ends early")
    return Record(owner, rtype, rclass, ttl, at + 4, at + _FIXED.size, end)


def read_target(packet: bytes, record: Record, skip: int = 0, known: Known | None = None) -> Labels:
    """Return the name that stands in a record's data behind `skip` bytes."""
    labels, end = read_name(packet, record.data_at + skip, known)
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


def read_stranger(packet: bytes) -> Query:
    """Return the query that `packet` begins with, read no further than it takes to refuse it.

    That is header and question, and the OPT record where it comes next, as it does with nearly every client.
    """
    query, at, authority, additional = _read_start(packet)
    if authority or not additional or packet[at : at + 3] != b"\0\0\x29" or len(packet) < at + 1 + _FIXED.size:
        return query
    _, size, ttl, _ = _FIXED.unpack_from(packet, at + 1)
    return replace(query, edns=_edns(size, ttl))


def read_query(packet: bytes) -> Query:
    """Return the query that `packet` is. It holds one question, at most one OPT record and nothing behind its end."""
    query, at, authority, additional = _read_start(packet)
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
    return query if edns is None else replace(query, edns=edns)


def _read_start(packet: bytes) -> tuple[Query, int, int, int]:
    """Return header and question, the offset behind them, and the number of authority and additional records."""
    if len(packet) < HEADER.size:
        raise Malformed("shorter than a header")
    ident, flags, questions, answers, authority, additional = HEADER.unpack_from(packet)
    if questions != 1 or answers or authority + additional > MAX_EXTRA:
        raise Malformed("not one question, or much beside it")
    labels, qtype, qclass, at = read_question(packet)
    query = Query(ident, flags, packet[HEADER.size : at - 4], labels, qtype, qclass, None)
    return query, at, authority, additional


def _read_edns(packet: bytes, record: Record) -> Edns:
    at = record.data_at
    while at < record.end:  # options are not read yet, but must be whole
        if at + 4 > record.end:
            raise Malformed("an option that ends early")
        at += 4 + int.from_bytes(packet[at + 2 : at + 4])
    if at != record.end:
        raise Malformed("an option that ends early")
    return _edns(record.rclass, record.ttl)


def _edns(size: int, ttl: int) -> Edns:
    """Return what the fixed fields of an OPT record say: it keeps a size where others keep their class."""
    return Edns(version=ttl >> 16 & 0xFF, size=max(size, 512), do=bool(ttl & 0x8000))
