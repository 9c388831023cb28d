"""Every reply we give: built with dnslib where the words are ours, from an upstream's bytes where they are not.

A reply repeats the client's question as it was spelled (a client may check every letter's case), says AA to nothing,
AD only to what an upstream that we believe said it to (RFC 6840, section 5.8), and carries OPT exactly where the client
sent one (RFC 6891). Extended errors (RFC 8914) are codes, never text.
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from dnslib import AAAA, EDNS0, RD, SOA, A, DNSBuffer, EDNSOption

from filterproxy.core.model import DnsAnswer

from . import wire
from .usual import LARGEST, SMALLEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterproxy.core.model import Verdict

    from .cache import Answer
    from .wire import Query

UDP_SIZE = LARGEST
"""Bytes of the largest message we ask for over UDP, as of those we send: it passes unfragmented (DNS flag day 2020)."""
TCP_SIZE = 65_535
BLOCK = 468
"""A padded reply is as many bytes long, or a multiple (RFC 8467, section 4.1)."""

EDE_NOT_READY, EDE_PROHIBITED, EDE_NOT_AUTHORITATIVE, EDE_NO_AUTHORITY, EDE_NETWORK_ERROR = 14, 18, 20, 22, 23

_NULL = (ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::"))
_BADVERS, _BADCOOKIE = 16, 23
_HINFO_TTL = 3600
_OPT_START = b"\0\0\x29" + LARGEST.to_bytes(2)
"""How each of our OPT records begins: the root, the type, and what we take."""

Error = int | tuple[int, bytes] | None
"""An extended error (RFC 8914): a code, or that and a text."""

_OPTION = struct.Struct("!HH")
_HINFO = RD(b"\7RFC8482\0")
"""A processor of that name, and no system (RFC 8482, section 4.2)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def bare(packet: bytes, rcode: int) -> bytes:
    """Return a header without a question, for a `packet` of which no more than the header can be trusted."""
    ident, flags, *_ = wire.HEADER.unpack_from(packet)
    return wire.HEADER.pack(ident, wire.QR | flags & (wire.OPCODE | wire.RD) | wire.RA | rcode, 0, 0, 0, 0)


def error(query: Query, rcode: int, ede: int | None = None) -> bytes:
    """Return a reply without records; `ede` is told to a client that understands it."""
    return _ours(query, rcode, ede=ede)


def bad_version(query: Query) -> bytes:
    """Return BADVERS: the client speaks a version of EDNS that nobody has defined yet."""
    return _ours(query, _BADVERS)


def bad_cookie(query: Query) -> bytes:
    """Return BADCOOKIE: the client is to ask again with the cookie that it is given here (RFC 7873, section 5.2.3)."""
    return _ours(query, _BADCOOKIE)


def cut(query: Query) -> bytes:
    """Return nothing but TC: the client is to come over TCP."""
    return _ours(query, wire.NOERROR, flags=wire.TC)


def hinfo(query: Query, most: int) -> bytes:
    """Return what is said to whoever asks for every type there is (RFC 8482), to be kept `most` seconds at most."""
    return _ours(query, wire.NOERROR, answer=[_asked_name(wire.HINFO, min(most, _HINFO_TTL), _HINFO)])


def blocked(
    query: Query, verdict: Verdict, ttl: int, notice: Sequence[Address], *, asked: bool, text: bytes = b""
) -> bytes:
    """Return the answer that the responsible list gives to what `verdict` blocks.

    `asked` tells that the blocked name is the one asked for, not one that it leads to. Only then may NXDOMAIN be said,
    and only where everything below is blocked too, since NXDOMAIN denies all of that (RFC 8020). `text` goes with the
    extended error.
    """
    found = verdict.match
    if verdict.unavailable is not None or found is None:
        return _ours(query, wire.SERVFAIL, ede=EDE_NOT_READY)
    how = found.listing.dns
    ede: Error = (found.listing.ede, text) if text else found.listing.ede
    if how is DnsAnswer.REFUSED:
        return _ours(query, wire.REFUSED, ede=ede)
    if how in (DnsAnswer.NULL, DnsAnswer.NOTICE):
        addresses = _records(query, _NULL if how is DnsAnswer.NULL else notice, ttl)
        if addresses:
            return _ours(query, wire.NOERROR, answer=addresses, ede=ede)
    denied = how is DnsAnswer.NXDOMAIN and asked and found.covers_below
    return _ours(query, wire.NXDOMAIN if denied else wire.NOERROR, authority=[_soa(ttl)], ede=ede)


def relayed(query: Query, answer: Answer, age: int, most: int) -> bytes:
    """Return what an upstream said `age` seconds ago, as the answer to `query`, to be kept `most` seconds at most."""
    opt = _opt(query, answer.ede)
    flags = _flags(query, answer.rcode) | (wire.AD if answer.ad and (query.do or query.flags & wire.AD) else 0)
    return b"".join((
        wire.HEADER.pack(query.id, flags, 1, answer.answers, answer.authorities, bool(opt)),
        query.question,
        answer.aged(age, most),
        opt,
    ))  # fmt: skip


def fitted(query: Query, reply: bytes, *, tcp: bool) -> bytes:
    """Return `reply`, or where it is too long for this client an empty one with TC set: come back over TCP."""
    if tcp:
        return reply if len(reply) <= TCP_SIZE else error(query, wire.SERVFAIL)
    if len(reply) <= (SMALLEST if query.edns is None else min(query.edns.size, LARGEST)):
        return reply
    return _ours(query, reply[3] & wire.RCODE, flags=wire.TC)


def padded(query: Query, reply: bytes) -> bytes:
    """Return `reply`, one of ours, so long that its length tells nothing (RFC 7830), where the client pads as well.

    Only for replies that are encrypted: others it would make a better weapon.
    """
    if query.edns is None or not query.edns.padded:
        return reply
    at = _opt_at(reply)
    length = -(len(reply) + _OPTION.size) % BLOCK
    if at < 0 or len(reply) + _OPTION.size + length > TCP_SIZE:
        return reply
    return with_option(reply, at, _OPTION.pack(wire.PADDING, length) + bytes(length))


def _opt_at(reply: bytes) -> int:
    """Return where the OPT record begins in one of our replies, which ends with it; -1 where there is none.

    What the client chose of its cookie may look like the beginning of another.
    """
    at = reply.rfind(_OPT_START)
    while at >= 0 and at + 11 + int.from_bytes(reply[at + 9 : at + 11]) != len(reply):
        at = reply.rfind(_OPT_START, 0, at + len(_OPT_START) - 1)
    return at


def with_option(reply: bytes, at: int, option: bytes) -> bytes:
    """Return `reply` with one more packed `option` in its OPT record, which begins at `at` and is the end of it."""
    length = int.from_bytes(reply[at + 9 : at + 11]) + len(option)
    return b"".join((reply[: at + 9], length.to_bytes(2), reply[at + 11 :], option))


def _opt(query: Query, ede: Error = None, extended: int = 0) -> bytes:
    """Return the OPT record of our reply, where there is to be one."""
    if query.edns is None:
        return b""
    opt = opt_record(do=query.do, ede=ede, extended=extended)
    return with_option(opt, 0, query.answered) if query.answered else opt


@lru_cache(maxsize=256)
def opt_record(*, do: bool, ede: Error = None, extended: int = 0) -> bytes:
    """Return our OPT record, packed. `extended` are the upper bits of the response code."""
    code, text = ede if isinstance(ede, tuple) else (ede, b"")
    options = [] if code is None else [EDNSOption(wire.EXTENDED_ERROR, struct.pack("!H", code) + text)]
    buffer = DNSBuffer()
    EDNS0(flags="do" if do else "", ext_rcode=extended, udp_len=UDP_SIZE, opts=options).pack(buffer)
    return bytes(buffer.data)


def _flags(query: Query, rcode: int) -> int:
    return wire.QR | wire.RA | query.flags & (wire.RD | wire.CD) | rcode & wire.RCODE


def _ours(
    query: Query,
    rcode: int,
    *,
    answer: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    ede: Error = None,
    flags: int = 0,
) -> bytes:
    """Return a reply of our own making. A response code above 15 needs a query with EDNS."""
    opt = _opt(query, ede, rcode >> 4)
    header = wire.HEADER.pack(
        query.id, _flags(query, rcode) | flags, 1, len(answer), len(authority), bool(opt)
    )  # fmt: skip
    return b"".join((header, query.question, *answer, *authority, opt))


def _records(query: Query, addresses: Sequence[Address], ttl: int) -> list[bytes]:
    """Return those of `addresses` that answer the question's type, as records of the name asked for."""
    version = {wire.A: 4, wire.AAAA: 6}.get(query.qtype)
    return [_address(item, ttl) for item in addresses if item.version == version]


@lru_cache(maxsize=256)
def _address(address: Address, ttl: int) -> bytes:
    if address.version == 4:
        return _asked_name(wire.A, ttl, A(str(address)))
    return _asked_name(wire.AAAA, ttl, AAAA(str(address)))


@lru_cache(maxsize=64)
def _soa(ttl: int) -> bytes:
    """Return the SOA that says how long a denial may be kept (RFC 2308); its names are those of RFC 6303."""
    return _asked_name(wire.SOA, ttl, SOA("localhost.", "nobody.invalid.", (1, 3600, 1200, 604_800, ttl)))


def _asked_name(rtype: int, ttl: int, data: RD) -> bytes:
    """Return a packed record of the name asked for: its owner points to the question, wherever that is the first."""
    buffer = DNSBuffer()
    data.pack(buffer)
    return b"\xc0\x0c" + struct.pack("!HHIH", rtype, wire.IN, ttl, len(buffer.data)) + bytes(buffer.data)
