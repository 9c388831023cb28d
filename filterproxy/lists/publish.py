"""The bundle on disk: segments, and a manifest that names them and is replaced whole.

After a crash between any two steps the manifest names only segments that are there, so the last good one is in force.
Which generation was in force last stands beside the bundle: an older manifest put back in its place is told by it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from filterproxy.core.bundle import Bundle, Segment, dated
from filterproxy.core.policy import Policy, Profile
from filterproxy.errors import SegmentError
from filterproxy.settings import Settings

from .files import arrays, entries_of, opened, write_segment, write_whole
from .manifest import Held, Manifest, Part, Status, signed, verified
from .seals import Seals

__all__ = [
    "Held", "Manifest", "Part", "Status", "arrays", "bundle_folder", "discard", "entries_of", "load", "mark", "opened",
    "policy_of", "save", "set_mark", "signed", "sweep", "verified", "write_segment",
]  # fmt: skip

MANIFEST: Final = "manifest.json"
MARK: Final = "generation"

log = logging.getLogger("filterproxy.lists")


def bundle_folder(state: Path) -> Path:
    """Return where a state folder keeps its bundle."""
    return state / "bundle"


def save(folder: Path, manifest: Manifest, seals: Seals, keep: Collection[str] = ()) -> None:
    """Put the manifest in force on disk, then remove segments that neither it names nor `keep`. Raises OSError."""
    write_whole(folder, [signed(manifest, seals.signing_private)], lambda _: MANIFEST)
    _remove(folder, "[!.]*.seg", {part.file for part in manifest.parts} | set(keep))


def sweep(folder: Path, manifest: Manifest | None) -> None:
    """Remove what a process that ended in the middle left behind; call it before anything is written.

    `manifest` is what is in force on disk; None where that cannot be told, and then no segment is removed.
    """
    _remove(folder, ".*.new", ())
    if manifest is not None:
        _remove(folder, "[!.]*.seg", {part.file for part in manifest.parts})


def discard(folder: Path, files: Collection[str]) -> None:
    """Remove segments that did not come into force, but for those that the manifest on disk names all the same."""
    if files:
        with suppress(OSError):
            content = (folder / MANIFEST).read_bytes() if (folder / MANIFEST).exists() else b""
            for file in files:
                if file.encode() not in content:
                    (folder / file).unlink(missing_ok=True)


def _remove(folder: Path, pattern: str, named: Collection[str]) -> None:
    with suppress(OSError):  # what stays takes room, no more; it goes next time
        for path in folder.glob(pattern):
            if path.name not in named:
                path.unlink(missing_ok=True)


def load(folder: Path, *signing_publics: bytes, mark: int = 0, now: datetime | None = None) -> Manifest | None:
    """Return the manifest in force on disk, or None where there is none.

    Raises SegmentError where it is damaged, signed by none of these keys, older than generation `mark`, or, where
    `now` is given, expired.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SegmentError(f"the manifest cannot be read: {exc.strerror or type(exc).__name__}") from None
    manifest = verified(content, *signing_publics)
    manifest.check_age(mark, now)
    return manifest


def mark(state: Path) -> int:
    """Return the generation that was in force last; 0 where that is not known."""
    try:
        return int((state / MARK).read_text("ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as exc:
        log.error("%s cannot be read: %s; an older bundle would not be told", state / MARK, type(exc).__name__)
        return 0


def set_mark(state: Path, generation: int) -> None:
    """Note the generation that is in force. Raises OSError."""
    write_whole(state, [f"{generation}\n".encode()], lambda _: MARK)


def policy_of(
    settings: Settings, segments: Iterable[Segment], key: bytes, generation: int, loaded: Mapping[str, datetime],
    ended: Collection[str] = (),
) -> Policy:  # fmt: skip
    """Return the policy of these settings over these segments; `loaded` tells when each source was last read.

    `ended` are lists whose licence has: they judge nothing, also where they would fail closed.
    """
    profiles = [
        Profile(item.id, item.networks, None if item.lists is None else frozenset(item.lists))
        for item in settings.profiles
    ]
    listings = [listing for listing in settings.listings if listing.id not in ended]
    bundle = Bundle(dated(segments, loaded), key)
    return Policy(bundle, listings, profiles, generation, frozenset(settings.operator.territory))
