"""Transaction signatures of what we answer (RFC 8945). What others signed is verified by dnspython.

A transfer is one answer of many messages: each is signed, the first with all that a signature covers, the others with
the signature before and the time alone (section 5.3.1).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TYPE_CHECKING, Final

import dns.name

if TYPE_CHECKING:
    import dns.tsig

FUDGE: Final = 300
"""Seconds by which two clocks may differ."""
BADSIG, BADKEY, BADTIME = 16, 17, 18
TSIG, ANY = 250, 255

_HASHES: Final = {
    dns.name.from_text("hmac-sha256"): hashlib.sha256,
    dns.name.from_text("hmac-sha384"): hashlib.sha384,
    dns.name.from_text("hmac-sha512"): hashlib.sha512,
}
_FIXED: Final = 2 + 2 + 4 + 2 + 6 + 2 + 2 + 2 + 2 + 2 + 6
"""Bytes of the record beside its names and its signature: up to the other data, which is a time where there is any."""


class Signer:
    """Signs the messages of one answer, in their order."""

    def __init__(self, key: dns.tsig.Key, request_mac: bytes, ident: int) -> None:
        """`request_mac` is the signature of what is answered."""
        self._secret, self._hash = key.secret, _HASHES[key.algorithm]
        self._name, self._algorithm = _wire(key.name), _wire(key.algorithm)
        self._before, self._ident, self._first = request_mac, ident, True

    def __repr__(self) -> str:
        """Tell nothing of the key."""
        return "Signer()"

    @property
    def room(self) -> int:
        """Bytes that a signature takes at most."""
        return len(self._name) + len(self._algorithm) + self._hash().digest_size + _FIXED

    def sign(self, message: bytes, time: int, error: int = 0, other: bytes = b"") -> bytes:
        """Return the next message with its signature, made at the Unix time `time`."""
        timers = struct.pack("!HIH", time >> 32, time & 0xFFFFFFFF, FUDGE)
        pieces = [struct.pack("!H", len(self._before)), self._before, struct.pack("!H", self._ident), message[2:]]
        if self._first:
            head = self._name + struct.pack("!HI", ANY, 0) + self._algorithm
            pieces += [head, timers, struct.pack("!HH", error, len(other)), other]
        else:
            pieces.append(timers)
        mac = hmac.digest(self._secret, b"".join(pieces), self._hash)
        self._before, self._first = mac, False
        return with_tsig(message, self._name, self._algorithm, timers, mac, error, other)


def unsigned(message: bytes, name: dns.name.Name, algorithm: dns.name.Name, time: int, error: int) -> bytes:
    """Return a message whose TSIG says what is wrong with the question's, signed by nobody (section 5.2)."""
    timers = struct.pack("!HIH", time >> 32, time & 0xFFFFFFFF, FUDGE)
    return with_tsig(message, _wire(name), _wire(algorithm), timers, b"", error, b"")


def with_tsig(
    message: bytes, name: bytes, algorithm: bytes, timers: bytes, mac: bytes, error: int, other: bytes
) -> bytes:
    """Return `message` with a TSIG record behind everything else (section 4.2)."""
    rdata = b"".join((
        algorithm, timers, struct.pack("!H", len(mac)), mac, message[:2], struct.pack("!HH", error, len(other)), other,
    ))  # fmt: skip
    count = struct.pack("!H", int.from_bytes(message[10:12]) + 1)
    head = name + struct.pack("!HHIH", TSIG, ANY, 0, len(rdata))
    return b"".join((message[:10], count, message[12:], head, rdata))


def _wire(name: dns.name.Name) -> bytes:
    return name.canonicalize().to_wire() or b""
