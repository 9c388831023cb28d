"""The messages that upstreams are asked with, and whether a reply repeats their question. Pure but for randomness.

The letters of a name are spelled in random case over UDP (draft-vixie-dnsext-dns0x20), which a reply repeats: for a
name of twelve letters that is twelve bits more for a forger to guess.
"""

from __future__ import annotations

import os
import struct
from enum import Enum, auto
from typing import TYPE_CHECKING

from filterproxy.dns import wire
from filterproxy.dns.answers import UDP_SIZE
from filterproxy.dns.cache import FINAL

if TYPE_CHECKING:
    from filterproxy.dns.wire import Query

PADDED_TO = 128
"""Bytes that the length of an encrypted question is a multiple of (RFC 8467, section 4.1)."""

_BLOCK = 4096
_CASE = bytes(0x20 if 0x61 <= byte <= 0x7A else 0 for byte in range(256))
_OPT = struct.Struct("!BHHIH")
_PADDING = struct.Struct("!HH")
_PADDING_CODE = 12  # RFC 7830
_DO = 0x8000
_REST = struct.Struct("!HHHHH")
_HEADS = [
    _REST.pack(wire.RD | (wire.CD if bits & 1 else 0) | (wire.AD if bits & 2 else 0), 1, 0, 0, bits >> 2)
    for bits in range(8)
]
"""Headers without their id, by whether CD (1), AD (2) and an OPT record (4) belong in."""
_PLAIN = [_OPT.pack(0, wire.OPT, UDP_SIZE, do, 0) for do in (0, _DO)]


class Randomness:
    """Bytes that nobody can foresee; asked of the system in blocks, for each time costs more than the bytes do."""

    def __init__(self) -> None:
        self._block, self._at = b"", _BLOCK

    def take(self, size: int) -> bytes:
        """Return `size` bytes, at most 4096."""
        at = self._at
        end = at + size
        if end > _BLOCK:
            self._block, at, end = os.urandom(_BLOCK), 0, size
        self._at = end
        return self._block[at:end]


class Question:
    """What is asked for a client, in the parts that messages to upstreams are made of.

    `name` is in lower case. No part of the client's own message is handed on but the question, DO and CD.
    """

    __slots__ = ("cd", "do", "name", "tail")

    def __init__(self, query: Query) -> None:
        self.name = query.name.lower()
        self.tail = query.question[len(query.name) :]
        self.do, self.cd = query.do, query.cd

    def spelled(self, random: bytes) -> bytes:
        """Return the question section with each letter of the name in the case that `random`, as long, says."""
        name = self.name
        letters = int.from_bytes(name.translate(_CASE)) & int.from_bytes(random)
        return (int.from_bytes(name) ^ letters).to_bytes(len(name)) + self.tail

    def message(self, ident: bytes, question: bytes, *, ad: bool, edns: bool) -> bytes:
        """Return the message that asks `question`; `ad` wants to know whether the answer is authenticated."""
        head = _HEADS[self.cd + 2 * ad + 4 * edns]
        return b"".join((ident, head, question, _PLAIN[self.do] if edns else b""))

    def padded(self, ident: bytes, question: bytes, *, ad: bool, edns: bool) -> bytes:
        """Return the same of a length that tells little about the name, if it may have an OPT record."""
        if not edns:
            return self.message(ident, question, ad=ad, edns=False)
        bare = wire.HEADER.size + len(question) + _OPT.size + _PADDING.size
        zeros = -bare % PADDED_TO
        opt = _OPT.pack(0, wire.OPT, UDP_SIZE, _DO if self.do else 0, _PADDING.size + zeros)
        head = _HEADS[self.cd + 2 * ad + 4]
        return b"".join((ident, head, question, opt, _PADDING.pack(_PADDING_CODE, zeros), bytes(zeros)))


class Fit(Enum):
    """Whether a reply repeats the question."""

    NONE = auto()
    FOLDED = auto()
    """But for the case of its letters."""
    EXACT = auto()


def fit(reply: bytes, question: bytes) -> Fit:
    """Return whether `reply`, whose id was found right, is one to `question`. A refusal may leave the question out."""
    if len(reply) < wire.HEADER.size:
        return Fit.NONE
    _, flags, questions, *_ = wire.HEADER.unpack_from(reply)
    if not flags & wire.QR or flags & wire.OPCODE:
        return Fit.NONE
    if questions == 0:
        return Fit.NONE if flags & wire.RCODE in FINAL or flags & wire.TC else Fit.EXACT
    said = reply[wire.HEADER.size : wire.HEADER.size + len(question)]
    if questions == 1 and said == question:
        return Fit.EXACT
    if questions == 1 and said[:-4].lower() == question[:-4].lower() and said[-4:] == question[-4:]:
        return Fit.FOLDED
    return Fit.NONE
