"""The wire form of DNS messages (RFC 1035), read strictly and without a copy of anything.

Every reader either returns what it read or raises Malformed, never any other error. Answers of upstreams are kept as
they came, so that signatures and record types unknown to us pass unharmed; dnslib builds what we say ourselves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

HEADER = struct.Struct("!HHHHHH")
"""Id, flags, and the number of questions, answers, authority and additional records."""

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
OPCODE, RCODE = 0x7800, 0x000F
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)
A, NS, CNAME, SOA, AAAA, DNAME, OPT, RRSIG, SVCB, HTTPS, ANY, IN = 1, 2, 5, 6, 28, 39, 41, 46, 64, 65, 255, 1
HINFO = 13
COOKIE, PADDING, EXTENDED_ERROR = 10, 12, 15
"""Options of EDNS to which a reply differs: RFC 7873, 7830, and 8914 as clients that read structured errors send it."""
COOKIE_SIZES = (8, *range(16, 41))
"""Bytes of a cookie: the client's part, alone or with the server's (RFC 7873, section 4)."""

MAX_HOPS = 16
"""Compression pointers that one name may lead through: a ladder of them would cost time with every step."""
MAX_NAME = 255
MAX_EXTRA = 8
"""Records of a query beside its question: it needs one for EDNS, and we read no other."""

_FIXED = struct.Struct("!HHIH")
_TYPE_CLASS = struct.Struct("!HH")
_OPT_SIZE = 11
_USUAL_COUNTS = (bytes((0, 1, 0, 0, 0, 0, 0, 0)), bytes((0, 1, 0, 0, 0, 0, 0, 1)))
_KEY = struct.Struct("!HBB")

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
    cookie: bytes = field(default=b"", repr=False)
    """As it came; empty where none did."""
    padded: bool = False
    """Whether the client pads, and so takes padding (RFC 8467)."""
    asks_why: bool = False
    """Whether it sent an extended error: then it understands structured ones."""


class Query:
    """A well-formed message with one question. `name` is the question's name in wire form, as spelled.

    Nobody changes one, but for `answered`. It is no frozen dataclass, for those cost a microsecond for each question;
    and what not every question needs is read when it is asked for.
    """

    __slots__ = ("_key", "_labels", "answered", "edns", "flags", "id", "name", "qclass", "qtype")

    def __init__(
        self, id: int, flags: int, name: bytes, labels: Labels | None, qtype: int, qclass: int, edns: Edns | None
    ) -> None:
        """Take what was read; `labels`, those of the name, where they are known."""
        self.id, self.flags, self.name, self.qtype, self.qclass, self.edns = id, flags, name, qtype, qclass, edns
        self._labels, self._key = labels, b""
        self.answered = b""  # the options, packed, with which ours answer those of the query: a cookie

    def __eq__(self, other: object) -> bool:
        """Tell whether the other asks the same in the same words."""
        return isinstance(other, Query) and self._words() == other._words()

    def __hash__(self) -> int:
        """Return a hash of all that was asked."""
        return hash(self._words())

    def _words(self) -> tuple[object, ...]:
        return self.id, self.flags, self.name, self.qtype, self.qclass, self.edns

    def __repr__(self) -> str:
        """Hide the name."""
        return f"Query(qtype={self.qtype}, flags={self.flags:#06x}, edns={self.edns})"

    def about(self, *, name: bytes | None = None, qtype: int | None = None) -> Query:
        """Return the same question about another name in wire form, or of another type."""
        same = name is None or name == self.name
        labels = self._labels if same else None
        kind = self.qtype if qtype is None else qtype
        return Query(self.id, self.flags, self.name if name is None else name, labels, kind, self.qclass, self.edns)

    @property
    def labels(self) -> Labels:
        """The labels of the name, as spelled."""
        labels = self._labels
        if labels is None:
            labels = self._labels = read_name(self.name, 0)[0]
        return labels

    @property
    def question(self) -> bytes:
        """The question section, as spelled."""
        return self.name + _TYPE_CLASS.pack(self.qtype, self.qclass)

    @property
    def key(self) -> bytes:
        """What questions with one answer have in common: name without case, type, DO and CD.

        `lower` leaves the length octets alone, for they end at 63 and letters begin at 65.
        """
        key = self._key
        if not key:  # asked for at every station of a question's way
            key = self._key = self.name.lower() + _KEY.pack(self.qtype, self.do, self.cd)
        return key

    @property
    def do(self) -> bool:
        """Whether the client asks for DNSSEC records (RFC 3225)."""
        return self.edns is not None and self.edns.do

    @property
    def asks_why(self) -> bool:
        """Whether the client understands structured errors."""
        return self.edns is not None and self.edns.asks_why

    @property
    def cd(self) -> bool:
        """Whether the client asks that nothing be validated (RFC 4035)."""
        return bool(self.flags & CD)


class Record(NamedTuple):
    """Where a resource record lies in its message; offsets in bytes from the message's start."""

    owner: Labels
    rtype: int
    rclass: int
    ttl: int
    ttl_at: int
    data_at: int
    end: int

    def __repr__(self) -> str:
        """Hide the owner."""
        return f"Record(rtype={self.rtype}, ttl={self.ttl})"


def read_name(packet: bytes, at: int, known: Known | None = None, hops: int = MAX_HOPS) -> tuple[Labels, int]:
    """Return the name at `at` and the offset behind it.

    A compression pointer must point before the name it stands in, so no name can be endless (RFC 1035, 4.1.4), and
    may lead to few others, so none takes long. Names in `known` are not read again.
    """
    if known is not None and (first := packet[at : at + 2]) and first[0] >= 0xC0:  # as nearly every owner is written
        found = known.get(int.from_bytes(first) & 0x3FFF)
        if found is not None and int.from_bytes(first) & 0x3FFF < at and len(first) == 2:
            return found, at + 2
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


def end_of_records(packet: bytes, at: int, count: int) -> int:
    """Return the offset behind the `count` records that begin at `at`. No name is read, only passed over."""
    try:
        for _number in range(count):
            while 0 < (length := packet[at]) <= 63:
                at += length + 1
            at += 2 if length else 1
            at += _FIXED.size + int.from_bytes(packet[at + 8 : at + 10])
    except IndexError:
        raise Malformed("a record that ends early") from None
    return at


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
    start, authority, additional = _read_start(packet)
    at = HEADER.size + len(start[2]) + 4
    if authority or not additional or packet[at : at + 3] != b"\0\0\x29" or len(packet) < at + 1 + _FIXED.size:
        return Query(*start, None)
    _, size, ttl, _ = _FIXED.unpack_from(packet, at + 1)
    return Query(*start, _edns(size, ttl))


def read_query(packet: bytes) -> Query:
    """Return the query that `packet` is. It holds one question, at most one OPT record and nothing behind its end."""
    return _read_usual(packet) or _read_any(packet)


def _read_usual(packet: bytes) -> Query | None:
    """Return the query in its usual form, with nothing behind the question but an OPT record without options; or None.

    It reads what `_read_any` would, at half the cost.
    """
    if (counts := packet[4:12]) not in _USUAL_COUNTS:
        return None
    try:
        at, length = HEADER.size, packet[HEADER.size]
        while length:
            if length > 63:
                return None
            at += length + 1
            length = packet[at]
    except IndexError:
        return None
    end = at + 1
    if end - HEADER.size > MAX_NAME or len(packet) != end + 4 + (_OPT_SIZE if counts[7] else 0):
        return None
    edns = _usual_edns(packet[end + 4 :])
    if edns is None and counts[7]:
        return None
    ident, flags = _TYPE_CLASS.unpack_from(packet)
    qtype, qclass = _TYPE_CLASS.unpack_from(packet, end)
    return Query(ident, flags, packet[HEADER.size : end], None, qtype, qclass, edns)


@lru_cache(maxsize=256)
def _usual_edns(record: bytes) -> Edns | None:
    """Return what an OPT record without options says; None where it is none."""
    if record[:3] != b"\0\0\x29" or record[9:] != b"\0\0":
        return None
    _, size, ttl, _ = _FIXED.unpack_from(record, 1)
    return _edns(size, ttl)


def _read_any(packet: bytes) -> Query:
    start, authority, additional = _read_start(packet)
    edns, at = None, HEADER.size + len(start[2]) + 4
    for number in range(authority + additional):
        record = read_record(packet, at)
        if record.rtype == OPT:
            if edns is not None or record.owner or number < authority:
                raise Malformed("an OPT record out of place")
            edns = _read_edns(packet, record)
        at = record.end
    if at != len(packet):
        raise Malformed("bytes behind the end")
    return Query(*start, edns)


def _read_start(packet: bytes) -> tuple[tuple[int, int, bytes, Labels, int, int], int, int]:
    """Return the first fields of a query, and the number of authority and of additional records."""
    if len(packet) < HEADER.size:
        raise Malformed("shorter than a header")
    ident, flags, questions, answers, authority, additional = HEADER.unpack_from(packet)
    if questions != 1 or answers or authority + additional > MAX_EXTRA:
        raise Malformed("not one question, or much beside it")
    labels, qtype, qclass, at = read_question(packet)
    return (ident, flags, packet[HEADER.size : at - 4], labels, qtype, qclass), authority, additional


def _read_edns(packet: bytes, record: Record) -> Edns:
    at, options = record.data_at, dict[int, bytes]()
    while at < record.end:
        if at + 4 > record.end:
            raise Malformed("an option that ends early")
        code, length = _TYPE_CLASS.unpack_from(packet, at)
        at += 4 + length
        options.setdefault(code, packet[at - length : at])  # of several cookies the first counts (RFC 7873, 5.2)
    if at != record.end:
        raise Malformed("an option that ends early")
    cookie = options.get(COOKIE)
    if cookie is not None and len(cookie) not in COOKIE_SIZES:
        raise Malformed("a cookie of a length that there is not")
    padded, asks_why = PADDING in options, EXTENDED_ERROR in options
    return _edns(record.rclass, record.ttl, cookie or b"", padded=padded, asks_why=asks_why)


def _edns(size: int, ttl: int, cookie: bytes = b"", *, padded: bool = False, asks_why: bool = False) -> Edns:
    """Return what an OPT record says. It keeps a size where others keep their class."""
    return Edns(ttl >> 16 & 0xFF, max(size, 512), bool(ttl & 0x8000), cookie, padded, asks_why)
