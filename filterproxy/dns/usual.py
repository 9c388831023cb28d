"""The usual question, told at a glance: what its reply depends on, and nothing more.

Nearly every query is a header with RD, one question, and perhaps one OPT record. Of such a one `key` says what a reply
to it depends on besides the client's profile and what is in force; for any other it says nothing, and `wire` reads it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .wire import COOKIE, EXTENDED_ERROR, MAX_NAME, PADDING

SMALLEST: Final = 512
"""Bytes of a message that every client takes over UDP."""
LARGEST: Final = 1232
"""Bytes of the largest message we send over UDP, whatever a client would take."""

_FIXED: Final = 11
"""Bytes of an OPT record without options."""
_LONGEST: Final = 512
"""Bytes of the longest one that is looked at; a client needs a few dozen."""
_ANSWERED: Final = frozenset((COOKIE, EXTENDED_ERROR))
"""Options that make a reply one client's own, so that a query with one is not usual."""
_PADDED: Final = 4
"""How the key says so; header bits, EDNS and DO are beside it."""
_USUAL: Final = {
    bytes((0x01, bits, 0, 1, 0, 0, 0, 0, 0, extra)): (bits, extra) for bits in (0, 0x10, 0x20, 0x30) for extra in (0, 1)
}
"""A query with RD, perhaps AD and CD, one question, and no record or one beside it; as (AD and CD, that number)."""


def key(packet: bytes, id_length: int = 0) -> tuple[bytes, int] | None:
    """Return what the reply to `packet` depends on, and the length of its question in bytes; None if it is not usual.

    `packet` begins with `id_length` of the two bytes of its id, 0 or 2. The key holds the name without case, type and
    class, AD and CD, whether there is EDNS, DO, padding, and how long a reply may be. Raises nothing.
    """
    start = 10 + id_length
    told = _USUAL.get(packet[id_length:start])
    if told is None:
        return None
    try:
        at, length = start, packet[start]
        while length:
            if length > 63:
                return None
            at += length + 1
            length = packet[at]
    except IndexError:
        return None
    end = at + 5
    if end > len(packet) or at - start >= MAX_NAME:
        return None
    facts = _facts(told, packet[end:])
    if facts is None:
        return None
    # The type is not lowered: that of HTTPS, 65, would become another's.
    return packet[start:at].lower() + packet[at:end] + facts, end - start


@lru_cache(maxsize=4096)
def _facts(told: tuple[int, int], tail: bytes) -> bytes | None:
    """Return header bits, EDNS, padding, DO and the limit of a reply.

    None where `tail`, which is what follows the question, is not usual.
    """
    bits, extra = told
    if not extra:
        return None if tail else bytes((bits,)) + SMALLEST.to_bytes(2)
    if tail[:3] != b"\0\0\x29" or not _FIXED <= len(tail) <= _LONGEST or tail[6]:
        return None
    at, padded = _FIXED, 0
    if int.from_bytes(tail[9:11]) != len(tail) - at:
        return None
    while at < len(tail):  # the others say nothing to us, but must be whole
        code = int.from_bytes(tail[at : at + 2])
        if code in _ANSWERED:
            return None
        if code == PADDING:
            padded = _PADDED
        at += 4 + int.from_bytes(tail[at + 2 : at + 4])
        if at > len(tail):
            return None
    limit = min(max(int.from_bytes(tail[3:5]), SMALLEST), LARGEST)
    return bytes((bits | 1 | padded | (tail[7] & 0x80) >> 6,)) + limit.to_bytes(2)
