"""What was blocked travels with the person, sealed: the edge can close a token, only control can open it.

A token is a key of its own, sealed by HPKE (RFC 9180: X25519, HKDF-SHA256, AES-128-GCM), and under that key
(AES-128-GCM) JSON, padded so that its length says next to nothing of an address. In a flood, tokens of the same few
milliseconds share their key, for sealing one costs more than all else of a notice. A token holds no fact about the
client. It proves nothing either: whoever has the public key can seal, so what is opened is a claim that review judges
anew.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from filterproxy.core.appeals import REFERENCE_LIMIT
from filterproxy.errors import TokenError

LIFETIME = timedelta(days=30)
LONGEST_SUBJECT = 8192
"""Characters of an address that can still be sealed; it is also the longest that can be typed."""
_BLOCK = 512
_LONGEST_TOKEN = 24_576
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_INFO, _INFO_FIRST = b"filterproxy notice 2", b"filterproxy notice 1"
_VERSION = b"\x02"
_HEAD = 1 + 32 + 16 + 16
"""Bytes before the facts: the version, and the sealed key."""
_NONCE = 12
_SHARED_SECONDS = 0.01
"""How old a sealed key may be to serve another token: who meets a notice now and then shares it with nobody."""
_SHARED_MOST = 1000


def sealable(subject: str) -> bool:
    """Tell whether an address fits in a token: canonical ones do, up to LONGEST_SUBJECT characters."""
    return len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()


@dataclass(frozen=True, slots=True)
class Blocked:
    """A block that a person met. `at` is cut to the hour, so that a token cannot be tied to one connection."""

    list_id: str
    subject: str = field(repr=False)
    """The canonical URL, or a bare host."""
    kind: Literal["url", "host"]
    at: datetime
    reference: str
    """A short random id that stands on the notice too."""

    def __post_init__(self) -> None:
        if not sealable(self.subject) or self.kind not in ("url", "host"):
            raise ValueError("this block cannot be sealed")
        hour = self.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        object.__setattr__(self, "at", hour)


class Sealer:
    """Seals tokens with control's public key: 32 bytes, X25519."""

    def __init__(self, public_key: bytes) -> None:
        self.use(public_key)

    def use(self, public_key: bytes) -> None:
        """Seal under another key from now on. For any thread: one reference is swapped."""
        self._key = X25519PublicKey.from_public_bytes(public_key)
        self._shared: _Shared | None = None

    def seal(self, facts: Blocked) -> str:
        """Return a token of unreserved URL characters, between about 0.8 and 22 KiB long."""
        text = json.dumps([facts.list_id, facts.subject, facts.kind, int(facts.at.timestamp()), facts.reference])
        plain = text.encode()
        padded = plain.ljust(-(-len(plain) // _BLOCK) * _BLOCK)  # JSON may end in spaces
        shared, now = self._shared, time.monotonic()
        if shared is None or now >= shared.until or shared.left <= 0:
            shared = self._shared = _Shared.made(self._key, now + _SHARED_SECONDS)
        shared.left -= 1
        nonce = os.urandom(_NONCE)
        sealed = shared.head + nonce + shared.cipher.encrypt(nonce, padded, shared.head)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


@dataclass(slots=True)
class _Shared:
    """A key, how it stands at the head of tokens, and for how long and how many it may."""

    cipher: AESGCM
    head: bytes
    until: float
    left: int = _SHARED_MOST

    @classmethod
    def made(cls, public: X25519PublicKey, until: float) -> _Shared:
        """Return a fresh one, sealed for the holder of `public`'s other half."""
        key = AESGCM.generate_key(128)
        return cls(AESGCM(key), _VERSION + _SUITE.encrypt(key, public, _INFO), until)


class Opener:
    """Opens tokens with control's private keys (X25519, 32 bytes each); the first is the one in use."""

    def __init__(self, private_keys: Sequence[bytes]) -> None:
        self.use(private_keys)

    def use(self, private_keys: Sequence[bytes]) -> None:
        """Open by these keys from now on. For any thread: one reference is swapped."""
        self._keys = tuple(X25519PrivateKey.from_private_bytes(key) for key in private_keys)

    def open(self, token: str, now: datetime) -> Blocked:
        """Return what `token` holds. Raises TokenError where it is damaged, foreign, or older than 30 days."""
        facts = _read(self._decrypt(token))
        # So, and not by adding to what the token says: that may be the last day there is.
        if not -timedelta(days=1) <= now - facts.at <= LIFETIME:
            raise TokenError("the token has expired")
        return facts

    def _decrypt(self, token: str) -> bytes:
        if len(token) > _LONGEST_TOKEN:
            raise TokenError("the token is too long")
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise TokenError("the token is damaged") from None
        for key in self._keys:
            for unseal in (_unsealed, _unsealed_first):
                with contextlib.suppress(InvalidTag, ValueError):
                    return unseal(sealed, key)
        raise TokenError("the token is damaged or foreign")


def _unsealed(sealed: bytes, private: X25519PrivateKey) -> bytes:
    head, nonce, rest = sealed[:_HEAD], sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
    if head[:1] != _VERSION:
        raise ValueError
    key = _SUITE.decrypt(head[1:], private, _INFO)
    return AESGCM(key).decrypt(nonce, rest, head)


def _unsealed_first(sealed: bytes, private: X25519PrivateKey) -> bytes:
    """Open a token of the first kind; the last of them expires 30 days after the update."""
    return _SUITE.decrypt(sealed, private, _INFO_FIRST)


def _read(plain: bytes) -> Blocked:
    """Return the facts in `plain`. Whoever sealed them may have had a key but no manners, so all is checked."""
    try:
        list_id, subject, kind, at, reference = json.loads(plain)
        if not all(isinstance(text, str) for text in (list_id, subject, kind, reference)) or not isinstance(at, int):
            raise ValueError
        if not all(text.isascii() and text.isprintable() for text in (list_id, reference)):
            raise ValueError
        if len(list_id) > 80 or len(reference) > REFERENCE_LIMIT:
            raise ValueError
        return Blocked(list_id, subject, kind, datetime.fromtimestamp(at, UTC), reference)
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise TokenError("the token does not say what a token says") from None
