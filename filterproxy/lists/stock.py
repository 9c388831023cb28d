"""Taking up what an earlier process left on disk: all of it that is still good, and why the rest is not."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from filterproxy.errors import SegmentError

from . import publish
from .files import entries_open
from .known import Shelf
from .manifest import Manifest, Part
from .seals import Seals

log = logging.getLogger("filterproxy.lists")

_NEEDED: Final = ("digest", "patterns")
"""The keys without which nobody could judge by a bundle."""


def taken_up(folder: Path, seals: Seals, shelf: Shelf, mark: int) -> tuple[Manifest, frozenset[str]]:
    """Return the manifest on disk less what is damaged, and the files whose entries are sealed for a key that is gone.

    One damaged segment keeps no other list out of force; one that is refused whole, or older than `mark`, counts as
    none. What a process that ended in the middle left beside it is removed.
    """
    found = _stored(folder, seals, mark)
    publish.sweep(folder, found)
    if found is None:
        return Manifest(0), frozenset()
    parts, closed = list[Part](), set[str]()
    for part in found.parts:
        try:
            shelf.of(part, seals.digest)
            if not entries_open(folder, part, seals.sealing_private):
                # Good to judge by; for all else it is to be written anew.
                log.error("bundle: %s: its entries are sealed under another key; reading it anew", part.name)
                closed.add(part.file)
        except SegmentError as exc:
            log.error("bundle: %s; it is left out until it is read anew", exc)
        else:
            parts.append(part)
    return replace(found, parts=tuple(parts)), frozenset(closed)


def _stored(folder: Path, seals: Seals, mark: int) -> Manifest | None:
    try:
        found = publish.load(folder, seals.signing_public, mark=mark)
        for name in _NEEDED if found is not None else ():
            if found is not None and found.keys.get(name) != seals.ids[name]:
                raise SegmentError(f"made under another {name} key")
    except SegmentError as exc:
        log.error("bundle: %s; reading every list anew", exc)
        return None
    return found
