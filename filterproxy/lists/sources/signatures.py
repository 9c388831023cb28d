"""Signatures over a list as it arrives: Ed25519 (RFC 8032), bare or in minisign's form.

Minisign's format: https://jedisct1.github.io/minisign/ ("Signature format"). Nothing of a list is parsed before.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from filterproxy.errors import SourceError

from .memory import Content

MAX_SIGNATURE = 64 * 1024
"""Bytes of a signature file at most."""

_PRIME = 2**255 - 19
_TORSION = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL = frozenset((0, 1, _PRIME - 1, _TORSION, -_TORSION % _PRIME))
"""Second coordinates of the eight points of small order: under such a key anybody's signature holds, over anything."""

_UNTRUSTED, _TRUSTED = b"untrusted comment:", b"trusted comment: "
_BAD_KEY = "signed.key: not an Ed25519 key in base64 or PEM, nor one of minisign"
_BAD_FORM = "the signature is not of the form that goes with the key"
_WRONG = "the signature does not fit the list"


@dataclass(frozen=True, slots=True)
class Key:
    """Who signs: a public key, and for minisign its number."""

    public: bytes
    number: bytes = b""
    """8 bytes; empty where the key is a bare one."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the key that a text holds. Raises SourceError."""
        text = text.strip()
        if text.startswith("-----BEGIN"):
            return cls(_sound(_pem(text)))
        lines = [line.strip() for line in text.splitlines()]
        if len(lines) == 2 and lines[0].encode("utf-8", "replace").startswith(_UNTRUSTED):
            del lines[0]
        if len(lines) != 1:
            raise SourceError(_BAD_KEY)
        raw = _decoded(lines[0].encode("utf-8", "replace"), _BAD_KEY)
        if len(raw) == 42 and raw[:2] == b"Ed":
            return cls(_sound(raw[10:]), raw[2:10])
        if len(raw) != 32:
            raise SourceError(_BAD_KEY)
        return cls(_sound(raw))

    @property
    def suffix(self) -> str:
        """What the name of a signature file ends in."""
        return ".minisig" if self.number else ".sig"

    def check(self, content: Content, signature: bytes) -> None:
        """Raise SourceError unless `signature`, the content of such a file, is this key's over `content`."""
        if self.number:
            self._minisign(content, signature)
        else:
            with content.mapped() as whole:
                self._verify(_bare(signature), whole)

    def _minisign(self, content: Content, text: bytes) -> None:
        lines = text.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
        if len(lines) != 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
            raise SourceError(_BAD_FORM)
        said = _decoded(lines[1], _BAD_FORM)
        algorithm, number, signature = said[:2], said[2:10], said[10:]
        if algorithm not in (b"Ed", b"ED") or len(signature) != 64:
            raise SourceError(_BAD_FORM)
        if number != self.number:
            raise SourceError("the signature was made with another key")
        if algorithm == b"ED":
            self._verify(signature, _digest(content))
        else:
            with content.mapped() as whole:
                self._verify(signature, whole)
        self._verify(_decoded(lines[3], _BAD_FORM), signature + lines[2].removeprefix(_TRUSTED))

    def _verify(self, signature: bytes, signed: object) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)  # type: ignore[arg-type]
        except InvalidSignature:
            raise SourceError(_WRONG) from None
        except (ValueError, UnsupportedAlgorithm):
            raise SourceError(_BAD_KEY) from None


def _sound(public: bytes) -> bytes:
    """Return a public key. Raises SourceError where it is a point that nobody has the private half of."""
    if (int.from_bytes(public, "little") & (2**255 - 1)) % _PRIME in _SMALL:
        raise SourceError(_BAD_KEY)
    return public


def _digest(content: Content) -> bytes:
    made = blake2b()
    for chunk in content.chunks():
        made.update(chunk)
    return made.digest()


def _bare(text: bytes) -> bytes:
    """Return 64 bytes, which stand as they are or in base64."""
    found = text if len(text) == 64 else _decoded(text.strip(), _BAD_FORM)
    if len(found) != 64:
        raise SourceError(_BAD_FORM)
    return found


def _decoded(text: bytes, reason: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SourceError(reason) from None


def _pem(text: str) -> bytes:
    try:
        found = load_pem_public_key(text.encode("utf-8", "replace"))
    except (ValueError, UnsupportedAlgorithm):
        raise SourceError(_BAD_KEY) from None
    if not isinstance(found, Ed25519PublicKey):
        raise SourceError(_BAD_KEY)
    return found.public_bytes_raw()
