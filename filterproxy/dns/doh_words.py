"""What a request for DNS over HTTPS asks, and what an answer to it says of itself (RFC 8484): no socket, no stream."""

from __future__ import annotations

import binascii
import re
import struct
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from . import wire
from .http2.inflow import LONGEST_BODY
from .http2.outflow import Opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .http2.heads import Fields

OK, UNREADABLE, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, TOO_LONG, OTHER_TYPE = 200, 400, 404, 405, 413, 414, 415
LONGEST_PATH: Final = 4096
"""Bytes of a path with its query; a question that is longer is put by POST."""
SOA: Final = 6
SHORT: Final = 512
"""Bytes of the longest reply whose head is remembered."""

_MEDIA_TYPE: Final = b"application/dns-message"
_RECORD: Final = struct.Struct("!HHIH")
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+={0,2}")


class Request(NamedTuple):
    """What a head asks for."""

    status: int
    """OK where it is a question, else what is answered."""
    packet: bytes = b""
    """The question where it stands in the path; else it comes as the body."""
    profile: str | None = None
    """The profile that was chosen."""
    length: int = -1
    """The length of the body as it says; -1 where it does not."""

    def __repr__(self) -> str:
        """Hide the question."""
        return f"Request(status={self.status})"


class Site:
    """What is served: the path, and behind it the profiles that any client may choose."""

    def __init__(self, path: str, profiles: frozenset[str] = frozenset()) -> None:
        self._profiles: dict[bytes, str | None] = {path.encode(): None}
        self._profiles |= {f"{path}/{name}".encode(): name for name in profiles}

    def understand(self, fields: Fields) -> Request:
        """Return what a request asks for."""
        if len(fields.path) > LONGEST_PATH:
            return Request(TOO_LONG)
        where, _, query = fields.path.partition(b"?")
        if where not in self._profiles:
            return Request(NOT_FOUND)
        profile = self._profiles[where]
        if fields.method == b"GET":
            packet = _asked(query)
            return Request(UNREADABLE if packet is None else OK, packet or b"", profile, fields.length)
        if fields.method != b"POST":
            return Request(NOT_ALLOWED)
        if fields.media_type.partition(b";")[0].rstrip().lower() != _MEDIA_TYPE:
            return Request(OTHER_TYPE)
        return Request(TOO_LARGE if fields.length > LONGEST_BODY else OK, b"", profile, fields.length)


def _asked(query: bytes) -> bytes | None:
    """Return the question that stands in a query as `dns`, or None."""
    found = [item[4:] for item in query.split(b"&") if item[:4] == b"dns="]
    if len(found) != 1 or not _BASE64URL.fullmatch(found[0]):
        return None
    text = found[0].rstrip(b"=")
    try:
        packet = binascii.a2b_base64(text.translate(_TO_BASE64) + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return packet if len(packet) >= wire.HEADER.size else None


_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")


def lifetime(reply: bytes) -> int:
    """Return for how many seconds a reply may be kept (RFC 8484, section 5.1): 0 where it says nothing of that."""
    least = None
    try:
        _, _, _, answers, authority, _ = wire.HEADER.unpack_from(reply)
        at = _behind_name(reply, wire.HEADER.size) + 4
        for number in range(answers + authority):
            at = _behind_name(reply, at)
            rtype, _, ttl, size = _RECORD.unpack_from(reply, at)
            at += _RECORD.size + size
            if number >= answers:
                if rtype != SOA or answers:
                    continue
                ttl = min(ttl, int.from_bytes(reply[at - 4 : at]))  # RFC 2308, section 5
            if least is None or ttl < least:
                least = ttl
    except (IndexError, struct.error):
        return 0
    return least or 0


def _behind_name(reply: bytes, at: int) -> int:
    """Return the offset behind a name, which is not looked at."""
    while 0 < (length := reply[at]) <= 63:
        at += length + 1
    return at + 2 if length else at + 1


def _literal(index: int, value: bytes) -> bytes:
    """Return a field of HPACK's static table with a value that no table is to hold (RFC 7541, section 6.2.2)."""
    head = bytes((index,)) if index < 15 else bytes((15, index - 15))
    return head + bytes((len(value),)) + value


_STATUS, _ALLOW, _CACHE_CONTROL, _CONTENT_LENGTH, _CONTENT_TYPE = 8, 22, 24, 28, 31
_FOUND: Final = b"\x88" + _literal(_CONTENT_TYPE, _MEDIA_TYPE)


@lru_cache(maxsize=4096)
def _opening(size: int, kept: int) -> Opening:
    # Private: what another client is told may be something else, by its profile.
    said = b"private, max-age=%d" % kept
    return Opening(_FOUND + _literal(_CONTENT_LENGTH, b"%d" % size) + _literal(_CACHE_CONTROL, said), size)


def _made(reply: bytes) -> Opening:
    return _opening(len(reply) + 2, lifetime(b"\0\0" + reply))


_remembered = lru_cache(maxsize=16_384)(_made)


def opening_of(reply: bytes) -> Opening:
    """Return the head of an answer with `reply`, which is less its id."""
    return _remembered(reply) if len(reply) <= SHORT else _made(reply)


@cache
def refusals() -> Mapping[int, Opening]:
    """Return the answers to what is no question, by status."""
    made = {}
    for status in (UNREADABLE, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, TOO_LONG, OTHER_TYPE):
        allow = _literal(_ALLOW, b"GET, POST") if status == NOT_ALLOWED else b""
        made[status] = Opening(_literal(_STATUS, b"%d" % status) + allow, 0)
    return made
