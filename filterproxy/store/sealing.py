"""How what people typed is kept: sealed with AES-256-GCM, bound to its column and row."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filterproxy.errors import StoreError

_NONCE: Final = 12
_PERSON: Final = b"fp-appeal-secret"


class Sealing:
    """Seals and opens texts under the column key. Safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, column: str, row: str, text: str) -> bytes:
        """Return `text` sealed, a fresh nonce first. It opens only for the same column and row."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(errors="replace"), _bound(column, row))

    def open(self, column: str, row: str, sealed: bytes) -> str:
        """Return the text. Raises StoreError where it was damaged, moved, or sealed under another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(column, row)).decode()
        except (InvalidTag, ValueError) as exc:
            raise StoreError(f"{column} cannot be opened: it was damaged or sealed under another column key") from exc


def _bound(column: str, row: str) -> bytes:
    return f"{column}\x00{row}".encode()


def hash_secret(receipt: str, secret: str) -> bytes:
    """Return what the store keeps of an appeal's secret.

    A slow hash protects what people choose, for it can be guessed. Nobody guesses 120 random bits, however fast
    each try is, and a slow hash would let anyone who posts wrong secrets keep our processors busy. The receipt
    is part of it, so that one row's hash is of no use in another.
    """
    return hashlib.blake2b(f"{receipt}\x00{secret}".encode(errors="replace"), digest_size=32, person=_PERSON).digest()


def same(first: bytes, second: bytes) -> bool:
    """Return whether two hashes are equal, in the same time wherever they differ."""
    return hmac.compare_digest(first, second)
