"""The bundle on disk: content-addressed segments, terms sealed, and a manifest that is replaced whole.

After a crash between any two steps the manifest names only segments that are there, so the last good one is in force.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filterproxy.core.bundle import Bundle, Segment, join, split
from filterproxy.core.policy import Policy, Profile
from filterproxy.errors import SegmentError
from filterproxy.settings import Settings

from .compile import Compiled

MANIFEST = "manifest.json"
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of the manifest: what it is, the file that holds it, and when its source was last read."""

    name: str
    file: str
    digest: str
    """SHA-256 of the file, in hex."""
    version: str
    loaded_at: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How a list stands: what the last reading of its source gave."""

    list_id: str
    state: str
    """`ok`; `refused`: the last reading failed and the previous list, if any, is in force; `never`: it never loaded."""
    reason: str = ""
    checked_at: str | None = None
    refused: int = 0
    """Readings refused since the last good one."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in force: a generation that only grows, its segments, and how each list stands."""

    generation: int
    parts: tuple[Part, ...] = ()
    statuses: tuple[Status, ...] = ()
    created_at: str = ""

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
                tuple(Status(**item) for item in data["statuses"]),
                str(data["created_at"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise SegmentError(f"not a manifest: {type(exc).__name__}") from None

    def loaded(self) -> dict[str, datetime]:
        """Return when the source of each segment was last read."""
        return {part.name: datetime.fromisoformat(part.loaded_at) for part in self.parts if part.loaded_at}


def bundle_folder(state: Path) -> Path:
    """Return where a state folder keeps its bundle."""
    return state / "bundle"


def write_segment(folder: Path, compiled: Compiled, patterns_key: bytes) -> Part:
    """Write a segment, its terms sealed, and return its part. The same segment is not written twice. Raises OSError."""
    parts = dict(compiled.parts)
    if parts["terms"]:
        nonce = os.urandom(_NONCE)
        parts["terms"] = nonce + AESGCM(patterns_key).encrypt(nonce, parts["terms"], compiled.name.encode())
    content = join(compiled.header, parts)
    digest = sha256(content).hexdigest()
    part = Part(compiled.name, f"{digest[:32]}.seg", digest, compiled.version, compiled.header["loaded_at"])
    path = folder / part.file
    if not path.exists():
        _write(path, content)
    return part


def opened_segment(folder: Path, part: Part, patterns_key: bytes) -> bytes:
    """Return a segment's buffer with its terms in clear, for a memfd. Raises SegmentError where it was changed."""
    try:
        content = (folder / part.file).read_bytes()
    except OSError as exc:
        raise SegmentError(f"{part.name}: {exc.strerror or type(exc).__name__}") from None
    if sha256(content).hexdigest() != part.digest:
        raise SegmentError(f"{part.name}: the file is not the one that was written")
    header, views = split(memoryview(content))
    terms = bytes(views["terms"])
    if not terms:
        return content
    try:
        clear = AESGCM(patterns_key).decrypt(terms[:_NONCE], terms[_NONCE:], part.name.encode())
    except (InvalidTag, ValueError):
        raise SegmentError(f"{part.name}: sealed under another key") from None
    return join(header, {**{name: bytes(view) for name, view in views.items()}, "terms": clear})


def save(folder: Path, manifest: Manifest) -> None:
    """Put the manifest in force on disk, then remove segments that it does not name. Raises OSError."""
    _write(folder / MANIFEST, json.dumps(manifest.as_dict(), indent=1).encode())
    named = {part.file for part in manifest.parts}
    for path in folder.iterdir():
        # What is hidden was being written by a process that ended in the middle; one writes at a time.
        if path.name.startswith(".") or (path.suffix == ".seg" and path.name not in named):
            path.unlink(missing_ok=True)


def load(folder: Path) -> Manifest | None:
    """Return the manifest in force on disk, or None where there is none. Raises SegmentError where it is damaged."""
    try:
        return Manifest.from_dict(json.loads((folder / MANIFEST).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SegmentError(f"the manifest cannot be read: {type(exc).__name__}") from None


def policy_of(
    settings: Settings, segments: Iterable[Segment], key: bytes, generation: int, loaded: Mapping[str, datetime]
) -> Policy:
    """Return the policy of these settings over these segments; `loaded` tells when each source was last read."""
    fresh = [replace(item, loaded_at=loaded[item.name]) if item.name in loaded else item for item in segments]
    profiles = [
        Profile(item.id, item.networks, None if item.lists is None else frozenset(item.lists))
        for item in settings.profiles
    ]
    return Policy(Bundle(fresh, key), settings.listings, profiles, generation, frozenset(settings.operator.territory))


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)
