"""SipHash-2-4, a keyed hash of short messages (Aumasson and Bernstein, 2012), as DNS cookies use it.

Python has one inside, but with another number of rounds and a key of its own. Plain functions and integers of 64 bits;
about 10 µs for the 20 bytes that a cookie is made of, so whoever hashes the same again remembers it.
"""

from __future__ import annotations

import struct
from typing import Final

KEY: Final = 16
"""Bytes of a key."""
_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_V0, _V1, _V2, _V3 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573
_ROUNDS, _LAST_ROUNDS = 2, 4


def siphash(key: bytes, message: bytes) -> bytes:
    """Return the hash of `message` under `key` of 16 bytes: 8 bytes, as the reference implementation writes them."""
    k0, k1 = struct.unpack("<QQ", key)
    v0, v1, v2, v3 = _V0 ^ k0, _V1 ^ k1, _V2 ^ k0, _V3 ^ k1
    whole, rest = divmod(len(message), 8)
    last = len(message) << 56 & _MASK | int.from_bytes(message[len(message) - rest :], "little")
    for word in (*struct.unpack_from(f"<{whole}Q", message), last):
        v3 ^= word
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3, _ROUNDS)
        v0 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xFF, v3, _LAST_ROUNDS)
    return (v0 ^ v1 ^ v2 ^ v3).to_bytes(8, "little")


def _rounds(v0: int, v1: int, v2: int, v3: int, number: int) -> tuple[int, int, int, int]:
    for _ in range(number):
        v0 = v0 + v1 & _MASK
        v2 = v2 + v3 & _MASK
        v1 = (v1 << 13 & _MASK | v1 >> 51) ^ v0
        v3 = (v3 << 16 & _MASK | v3 >> 48) ^ v2
        v0 = (v0 << 32 & _MASK | v0 >> 32) + v3 & _MASK
        v2 = v2 + v1 & _MASK
        v3 = (v3 << 21 & _MASK | v3 >> 43) ^ v0
        v1 = (v1 << 17 & _MASK | v1 >> 47) ^ v2
        v2 = v2 << 32 & _MASK | v2 >> 32
    return v0, v1, v2, v3
