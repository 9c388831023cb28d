"""A bundle under other keys: lists compiled anew from their sealed entries, or the keys of sealed parts wrapped anew.

No source is read for it. What each part says stays the same; a list that would come out otherwise is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from filterproxy.core.bundle import Shares
from filterproxy.core.layout import Piece, layout, padding
from filterproxy.core.model import ListFormat, Listing
from filterproxy.errors import SegmentError
from filterproxy.keys import Keys

from .compile import Compiled, compile_segment
from .files import ENTRIES, ONE_CHUNK, arrays, entries_of, file_of, reading, write_segment, write_whole
from .manifest import Part
from .publish import bundle_folder, load
from .seals import WRAPPED, Seals, rewrapped

Announce = Callable[[str], None]
Rewrap = Callable[[str, str, bytes], bytes]
"""Takes a segment's and a part's name and the part's wrapped key, and returns that key wrapped anew."""
_NO_ENTRIES: Final = ("bad_lines", "unenforceable", "unended", "quarantined")
"""Shares that are of no entry: what was read tells them, not what is kept."""


@dataclass(frozen=True, slots=True)
class Anew:
    """How a bundle is made under other keys."""

    seals: Seals
    """What it is under then."""
    makes: Callable[[Part], bool]
    """Tells whether a part is made from the one in force; the others come with the overlay."""
    part: Callable[[Part, Announce], Part]
    """Makes one; tells the name of the file it writes before there is one. Raises SegmentError, OSError."""
    overlay: Callable[[], Iterable[Compiled]] = field(default=tuple)
    """What else there is, small and compiled anew; asked when everything else is there."""


def made_under(state: Path, keys: Keys) -> Mapping[str, str]:
    """Return the ids of the keys that the bundle on disk was made under; none where there is none of ours.

    A rotation may have been cut off when the bundle was written: then it names the next key, which lies beside.
    """
    signers = [keys.signing_public, *([keys.after("signing").signing_public] if "signing" in keys.next else [])]
    try:
        found = load(bundle_folder(state), *signers)
    except SegmentError:  # whoever takes it up says why
        return {}
    return {} if found is None else found.keys


def signed_anew(seals: Seals) -> Anew:
    """Return how a bundle is signed by another key: its segments stay."""
    return Anew(seals, lambda _: True, lambda part, _: part)


def resealed(seals: Seals, folder: Path, *, entries: bytes | None = None, patterns: Rewrap | None = None) -> Anew:
    """Return how a bundle is sealed under another key: its `entries`, whose key so far this is, or its `patterns`."""
    rewraps: dict[str, Rewrap] = {}
    if patterns is not None:
        rewraps |= dict.fromkeys(ONE_CHUNK, patterns)
    if entries is not None:
        rewraps[ENTRIES] = partial(_rewrapped, private=entries, public=seals.sealing_public)
    return Anew(seals, lambda _: True, partial(_resealed, folder, rewraps))


def compiled_anew(
    seals: Seals, folder: Path, listings: Iterable[Listing], overlay: Callable[[], Iterable[Compiled]]
) -> Anew:
    """Return how a bundle is compiled under another digest key; `overlay` compiles all that is no list's segment."""
    by_name = {f"list:{listing.id}": listing for listing in listings}
    return Anew(seals, lambda part: part.name in by_name, partial(_compiled, folder, seals, by_name), overlay)


def _rewrapped(segment: str, part: str, wrapped: bytes, *, private: bytes, public: bytes) -> bytes:
    return rewrapped(segment, part, wrapped, private, public)


def _resealed(folder: Path, rewraps: Mapping[str, Rewrap], part: Part, announce: Announce) -> Part:
    """Return a part with the keys of these of its parts wrapped anew; where they are empty, the part itself."""
    with reading(folder, part) as file:
        if not any(file.sizes.get(name) for name in rewraps):
            return part

        def pieces() -> Iterator[Piece]:
            yield layout(file.header, file.sizes)
            for name, size in file.sizes.items():
                if name in rewraps and size:
                    yield rewraps[name](part.name, name, file.take(WRAPPED))
                    yield from file.part(size - WRAPPED)  # as many bytes short of a multiple of eight as the whole
                else:
                    yield from file.part(size)
                yield padding(size)
            file.check()

        def named(digest: str) -> str:
            announce(file_of(digest))
            return file_of(digest)

        digest, size = write_whole(folder, pieces(), named)
    return replace(part, file=file_of(digest), digest=digest, size=size)


def _compiled(folder: Path, seals: Seals, listings: Mapping[str, Listing], part: Part, announce: Announce) -> Part:
    """Return a list's segment, compiled from its sealed entries under the digest key of `seals`."""
    header, _ = arrays(folder, part, ())
    shares, listing = Shares(**header["shares"]), listings[part.name]
    if header["format"]:
        listing = replace(listing, format=ListFormat(header["format"]))
    compiled = compile_segment(
        part.name, entries_of(folder, part, seals.sealing_private), seals.digest, listing,
        loaded_at=None if header["loaded_at"] is None else datetime.fromisoformat(header["loaded_at"]),
        counted=lambda: {name: getattr(shares, name) for name in _NO_ENTRIES},
    )  # fmt: skip
    if compiled.shares.entries != shares.entries:
        raise SegmentError(f"{part.name}: what is kept of it is not what is in force; read the list anew first")
    return write_segment(folder, compiled, seals, announce)
