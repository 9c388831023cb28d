"""The bundle on disk: content-addressed segments, patterns and entries sealed, and a manifest that is replaced whole.

After a crash between any two steps the manifest names only segments that are there, so the last good one is in force.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filterproxy.core.bundle import Bundle, Segment, join, split
from filterproxy.core.model import Entry
from filterproxy.core.policy import Policy, Profile
from filterproxy.errors import SegmentError
from filterproxy.settings import Settings

from .compile import Compiled
from .entries import unpacked

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
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise SegmentError(f"not a manifest: {type(exc).__name__}") from None

    @property
    def ended(self) -> frozenset[str]:
        """The lists whose licence has ended."""
        return frozenset(status.list_id for status in self.statuses if status.state == "ended")

    def loaded(self) -> dict[str, datetime]:
        """Return when the source of each segment was last read."""
        return {part.name: datetime.fromisoformat(part.loaded_at) for part in self.parts if part.loaded_at}


def _status(item: Mapping[str, Any]) -> Status:
    held = tuple(Held(**one) for one in item.get("held", ()))
    added, removed = item.get("changed", (0, 0))
    released = tuple(item.get("released", ()))
    return Status(**{**item, "held": held, "released": released, "changed": (added, removed)})


def bundle_folder(state: Path) -> Path:
    """Return where a state folder keeps its bundle."""
    return state / "bundle"


def write_segment(
    folder: Path, compiled: Compiled, key: bytes, announce: Callable[[str], None] = lambda _: None
) -> Part:
    """Write a segment, patterns and entries sealed, and return its part. Raises OSError.

    The same segment is not written twice. `announce` is told the file's name before there is one.
    """
    parts, cipher, name = dict(compiled.parts), AESGCM(key), compiled.name
    if parts["patterns"]:
        parts["patterns"] = _sealed(cipher, parts["patterns"], name)
    chunks = [_sealed(cipher, chunk, f"{name}:{number}") for number, chunk in enumerate(compiled.entries)]
    parts["entries"] = b"".join(len(chunk).to_bytes(4, "little") + chunk for chunk in chunks)
    content = join(compiled.header, parts)
    digest = sha256(content).hexdigest()
    part = Part(name, f"{digest[:32]}.seg", digest, compiled.version, compiled.header["loaded_at"], len(content))
    path = folder / part.file
    announce(part.file)
    if not path.exists():
        _write(path, content)
    return part


def opened_segment(folder: Path, part: Part, key: bytes) -> bytes:
    """Return a segment's buffer as workers map it: patterns in clear, entries left out.

    Raises SegmentError where the file is not the one that was written.
    """
    header, views = _checked(folder, part)
    parts = {name: bytes(view) for name, view in views.items() if name != "entries"}
    if parts["patterns"]:
        parts["patterns"] = _clear(AESGCM(key), parts["patterns"], part.name, part.name)
    return join(header, parts)


def entries_of(folder: Path, part: Part, key: bytes) -> Iterator[Entry]:
    """Yield the entries of a segment on disk. Raises SegmentError where they were changed."""
    _, views = _checked(folder, part)
    return unpacked(_chunks(views["entries"], part, AESGCM(key)))


def _chunks(sealed: memoryview, part: Part, cipher: AESGCM) -> Iterator[bytes]:
    at = number = 0
    while at < len(sealed):
        size = int.from_bytes(sealed[at : at + 4], "little")
        yield _clear(cipher, bytes(sealed[at + 4 : at + 4 + size]), f"{part.name}:{number}", part.name)
        at, number = at + 4 + size, number + 1


def _checked(folder: Path, part: Part) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """Return the header and parts of a segment's file. Raises SegmentError."""
    try:
        content = (folder / part.file).read_bytes()
    except OSError as exc:
        raise SegmentError(f"{part.name}: {exc.strerror or type(exc).__name__}") from None
    if sha256(content).hexdigest() != part.digest:
        raise SegmentError(f"{part.name}: the file is not the one that was written")
    header, views = split(memoryview(content))
    if "patterns" not in views or "entries" not in views:
        raise SegmentError(f"{part.name}: a segment of another version")
    return header, views


def _sealed(cipher: AESGCM, clear: bytes, place: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, clear, place.encode())


def _clear(cipher: AESGCM, sealed: bytes, place: str, name: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
    except (InvalidTag, ValueError):
        raise SegmentError(f"{name}: sealed under another key, or changed") from None


def save(folder: Path, manifest: Manifest, keep: Collection[str] = ()) -> None:
    """Put the manifest in force on disk, then remove segments that neither it names nor `keep`. Raises OSError."""
    _write(folder / MANIFEST, json.dumps(manifest.as_dict(), indent=1).encode())
    named = {part.file for part in manifest.parts} | set(keep)
    for path in folder.glob("[!.]*.seg"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a process that ended in the middle left half written; call it before anything is written."""
    with suppress(OSError):
        for path in folder.glob(".*"):
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
    settings: Settings, segments: Iterable[Segment], key: bytes, generation: int, loaded: Mapping[str, datetime],
    ended: Collection[str] = (),
) -> Policy:  # fmt: skip
    """Return the policy of these settings over these segments; `loaded` tells when each source was last read.

    `ended` are lists whose licence has: they judge nothing, also where they would fail closed.
    """
    fresh = [replace(item, loaded_at=loaded[item.name]) if item.name in loaded else item for item in segments]
    profiles = [
        Profile(item.id, item.networks, None if item.lists is None else frozenset(item.lists))
        for item in settings.profiles
    ]
    listings = [listing for listing in settings.listings if listing.id not in ended]
    return Policy(Bundle(fresh, key), listings, profiles, generation, frozenset(settings.operator.territory))


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
