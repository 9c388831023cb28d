"""The manifest: what is in force, under a generation that only grows and until a moment, signed as a whole.

It is one line of JSON, `{"signature":"…","manifest":{…}}`, whose signature is over the bytes of what follows it: any
other spelling of the same is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from filterproxy.errors import SegmentError

_SIGNED: Final = re.compile(rb'\{"signature":"([0-9a-f]{128})","manifest":(\{.*\})\}\n', re.DOTALL)
_ABOUT: Final = b"filterproxy manifest 1\n"
"""Precedes what is signed: the same key signs the results of self-tests."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of the manifest: what it is, the file that holds it, and when its source was last read."""

    name: str
    file: str
    digest: str
    """SHA-256 of the file, in hex."""
    version: str
    loaded_at: str | None = None
    size: int = 0
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class Held:
    """An entry in quarantine: it takes force once enough people have released it."""

    id: str
    """32 hex digits: a keyed digest of the list's id and the entry."""
    kind: str
    scope: str
    line: int
    reason: str
    """Which guard it would have hit. For a confidential list without any name."""
    since: str
    """When it was first met, in ISO 8601."""
    value: str = field(default="", repr=False)
    """The entry; empty for a confidential list."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a list stands: what the last reading of its source gave."""

    list_id: str
    state: str
    """`ok`; `refused`: the last reading failed and the previous list, if any, is in force; `never`: it never loaded;
    `ended`: its licence has, and it was wiped."""
    reason: str = ""
    checked_at: str | None = None
    refused: int = 0
    """Readings refused since the last good one."""
    held: tuple[Held, ...] = ()
    """What is in quarantine of the list in force."""
    etag: str = ""
    last_modified: str = ""
    """What the source said of the version in force; sent back to ask whether it has changed."""
    made_with: str = ""
    """A digest of the settings and decisions that went into it; where these change, it is read anew in any case."""
    format: str = ""
    """The format it was read in."""
    released: tuple[str, ...] = ()
    """Ids of entries that people have released from quarantine, as last known."""
    changed: tuple[int, int] = (0, 0)
    """Entries added and removed when the list in force took it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in force: a generation that only grows, its segments, and how each list stands."""

    generation: int
    parts: tuple[Part, ...] = ()
    statuses: tuple[Status, ...] = ()
    created_at: str = ""
    expires_at: str = ""
    """From when on it is not taken from disk any more; empty for never."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The ids of the keys that it was made under, as `Keys.ids` names them."""

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Return the manifest that `as_dict` gave. Raises SegmentError."""
        try:
            return cls(
                int(data["generation"]),
                tuple(Part(**item) for item in data["parts"]),
                tuple(_status(item) for item in data["statuses"]),
                str(data["created_at"]),
                str(data["expires_at"]),
                {str(name): str(known) for name, known in data["keys"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SegmentError(f"not a manifest: {type(exc).__name__}") from None

    @property
    def ended(self) -> frozenset[str]:
        """The lists whose licence has ended."""
        return frozenset(status.list_id for status in self.statuses if status.state == "ended")

    def loaded(self) -> dict[str, datetime]:
        """Return when the source of each segment was last read."""
        return {part.name: datetime.fromisoformat(part.loaded_at) for part in self.parts if part.loaded_at}

    def check_age(self, mark: int, now: datetime | None) -> None:
        """Raise SegmentError where it is older than generation `mark`, or has expired at `now`, if that is asked."""
        if self.generation < mark:
            raise SegmentError(f"the manifest is of generation {self.generation}, and {mark} was in force before")
        if now is not None and self.expires_at and datetime.fromisoformat(self.expires_at) <= now:
            raise SegmentError(f"the manifest has expired: it was good until {self.expires_at}")


def _status(item: Mapping[str, Any]) -> Status:
    held = tuple(Held(**one) for one in item.get("held", ()))
    added, removed = item.get("changed", (0, 0))
    released = tuple(item.get("released", ()))
    return Status(**{**item, "held": held, "released": released, "changed": (added, removed)})


def signed(manifest: Manifest, signing_private: bytes) -> bytes:
    """Return the content of the manifest's file."""
    body = json.dumps(manifest.as_dict(), separators=(",", ":")).encode("ascii")
    signature = Ed25519PrivateKey.from_private_bytes(signing_private).sign(_ABOUT + body)
    return b'{"signature":"%s","manifest":%s}\n' % (signature.hex().encode(), body)


def verified(content: bytes, *signing_publics: bytes) -> Manifest:
    """Return the manifest in `content`, once one of these keys has signed it. Raises SegmentError."""
    found = _SIGNED.fullmatch(content)
    if found is None:
        raise SegmentError("the manifest is damaged or of another version")
    signature, body = bytes.fromhex(found[1].decode()), found[2]
    if not any(_signed_with(key, signature, body) for key in signing_publics):
        raise SegmentError("the manifest is not signed with this installation's key, or was changed")
    try:
        return Manifest.from_dict(json.loads(body))
    except ValueError:
        raise SegmentError("the manifest is damaged") from None


def _signed_with(key: bytes, signature: bytes, body: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _ABOUT + body)
    except InvalidSignature:
        return False
    return True
