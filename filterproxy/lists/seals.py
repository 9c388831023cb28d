"""What a bundle is made under, and how parts of a segment are sealed: in chunks, under a fresh key that is wrapped.

Whoever writes a segment needs no more than public halves for it: patterns open for the supervisor alone, entries for
control. A sealed part is the wrapped key, how many chunks there are, and each chunk behind its length.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from filterproxy.core.layout import Piece
from filterproxy.errors import SegmentError
from filterproxy.keys.ring import Keys, digest_id, public_half, public_id

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY: Final = 32
_TAG: Final = 16
_LENGTH: Final = 4
WRAPPED: Final = 32 + _KEY + _TAG
"""Bytes of a wrapped key, with which a sealed part begins: what HPKE encapsulates, the key and its tag."""
_HEAD: Final = WRAPPED + _LENGTH
"""Bytes before the first chunk: the wrapped key, and how many chunks follow."""
_CHUNK: Final = _LENGTH + _TAG
"""What sealing adds to a chunk."""


@dataclass(frozen=True, slots=True)
class Seals:
    """What control compiles and writes with. It opens entries; what opens patterns is not here."""

    digest: bytes = field(repr=False)
    patterns_public: bytes = field(repr=False)
    sealing_private: bytes = field(repr=False)
    sealing_public: bytes = field(repr=False)
    signing_private: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    """Keys what must outlive a change of the digest key: ids in quarantine, identities of alerts."""

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """Return those of an installation's keys."""
        return cls(
            keys.digest, keys.patterns_public, keys.sealing_private, keys.sealing_public, keys.signing_private, keys.mac
        )

    @classmethod
    def passing(cls) -> Self:
        """Return keys that nobody else has, for what is compiled and not kept."""
        patterns, sealing = os.urandom(_KEY), os.urandom(_KEY)
        return cls(
            os.urandom(_KEY), public_half("patterns", patterns), sealing, public_half("sealing", sealing),
            os.urandom(_KEY), os.urandom(_KEY),
        )  # fmt: skip

    @property
    def signing_public(self) -> bytes:
        """What verifies a manifest that is signed with these."""
        return public_half("signing", self.signing_private)

    @property
    def ids(self) -> dict[str, str]:
        """Return what a manifest names these keys by, as `Keys.ids` does."""
        public = {"patterns": self.patterns_public, "sealing": self.sealing_public, "signing": self.signing_public}
        return {"digest": digest_id(self.digest)} | {name: public_id(half) for name, half in public.items()}


@dataclass(frozen=True, slots=True)
class Opening:
    """What the supervisor verifies a manifest and opens patterns with."""

    patterns_private: bytes = field(repr=False)
    signing_public: bytes = field(repr=False)

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """Return those of an installation's keys."""
        return cls(keys.patterns_private, keys.signing_public)


def sealed_size(chunks: Sequence[Piece]) -> int:
    """Return how many bytes `sealed` yields of these chunks; none where there are none."""
    return _HEAD + sum(_CHUNK + len(chunk) for chunk in chunks) if chunks else 0


def clear_size(size: int) -> int:
    """Return how long the one chunk is that a sealed part of `size` bytes holds. Raises SegmentError."""
    if 0 < size < _HEAD + _CHUNK:
        raise SegmentError("a sealed part that is cut short")
    return size - _HEAD - _CHUNK if size else 0


def sealed(segment: str, part: str, chunks: Sequence[Piece], public: bytes) -> Iterator[bytes]:
    """Yield a part of a segment, sealed for the holder of the private half. One chunk is held at a time."""
    if not chunks:
        return
    key, count = AESGCM.generate_key(256), len(chunks)
    cipher = AESGCM(key)
    yield _wrapped(segment, part, key, public) + count.to_bytes(_LENGTH, "little")
    for number, chunk in enumerate(chunks):
        # The key is this part's alone, so that its chunks' numbers are nonces enough.
        content = cipher.encrypt(_nonce(number), chunk, _place(segment, part, number, count))
        yield len(content).to_bytes(_LENGTH, "little")
        yield content


def unsealed(segment: str, part: str, size: int, take: Callable[[int], bytes], private: bytes) -> Iterator[bytes]:
    """Yield the chunks of a sealed part of `size` bytes; `take` returns the next so many of them.

    Raises SegmentError where it was sealed for somebody else or for another place, changed, cut or rearranged.
    """
    if not size:
        return
    left = size - _HEAD
    if left < 0:
        raise SegmentError(f"{segment}: a sealed part that is cut short")
    head = take(_HEAD)
    cipher, count = _cipher(segment, part, head[:-_LENGTH], private), int.from_bytes(head[-_LENGTH:], "little")
    for number in range(count):
        left -= _LENGTH
        length = int.from_bytes(take(_LENGTH), "little") if left >= 0 else 0
        left -= length
        if left < 0 or length < _TAG:
            raise SegmentError(f"{segment}: a sealed part that is cut short")
        try:
            yield cipher.decrypt(_nonce(number), take(length), _place(segment, part, number, count))
        except InvalidTag:
            raise _foreign(segment) from None
    if left:
        raise SegmentError(f"{segment}: a sealed part that is longer than it says")


def rewrapped(segment: str, part: str, wrapped: bytes, private: bytes, public: bytes) -> bytes:
    """Return the key of a sealed part, which `private` opens, wrapped for the holder of another pair.

    The part's content stays as it is. Raises SegmentError where it was wrapped for somebody else or another place.
    """
    return _wrapped(segment, part, _key(segment, part, wrapped, private), public)


def opens(segment: str, part: str, wrapped: bytes, private: bytes) -> bool:
    """Tell whether the key of a sealed part was wrapped for the holder of this half."""
    try:
        _key(segment, part, wrapped, private)
    except SegmentError:
        return False
    return True


def _wrapped(segment: str, part: str, key: bytes, public: bytes) -> bytes:
    return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public), _info(segment, part))


def _cipher(segment: str, part: str, wrapped: bytes, private: bytes) -> AESGCM:
    try:
        return AESGCM(_key(segment, part, wrapped, private))
    except ValueError:
        raise _foreign(segment) from None


def _key(segment: str, part: str, wrapped: bytes, private: bytes) -> bytes:
    try:
        return _SUITE.decrypt(wrapped, X25519PrivateKey.from_private_bytes(private), _info(segment, part))
    except (InvalidTag, ValueError):
        raise _foreign(segment) from None


def _foreign(segment: str) -> SegmentError:
    return SegmentError(f"{segment}: sealed under another key, or changed")


def _info(segment: str, part: str) -> bytes:
    return f"filterproxy segment 3\n{part}\n{segment}".encode()


def _place(segment: str, part: str, number: int, count: int) -> bytes:
    """Return what binds a chunk to where it stands."""
    return f"{part}\n{number}\n{count}\n{segment}".encode()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
