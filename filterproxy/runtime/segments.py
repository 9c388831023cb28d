"""What the supervisor holds of the bundle: the manifest in force, and each of its segments as sealed memory.

It alone opens segments on disk, for it alone passes them on; a child gets those it does not hold yet. Nothing is opened
that this installation did not sign, or that is older than what was in force before.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from filterproxy.errors import SegmentError
from filterproxy.keys import Keys
from filterproxy.lists import publish
from filterproxy.lists.seals import Opening

from .logs import event
from .memfd import sealed

_log = logging.getLogger(__name__)


class Segments:
    """The bundle in force. `load` replaces it whole or leaves it as it is."""

    def __init__(self, state: Path, keys: Callable[[], Keys]) -> None:
        """Hold nothing yet. `keys` gives the installation's keys as they are now."""
        self._state, self._folder, self._keys = state, publish.bundle_folder(state), keys
        self._mark = publish.mark(state)
        self._fds: dict[str, int] = {}
        self.manifest: publish.Manifest | None = None
        self.there = asyncio.Event()
        """Set once a bundle is in force."""

    @property
    def generation(self) -> int:
        """The generation in force; 0 for none."""
        return self.manifest.generation if self.manifest is not None else 0

    def fd(self, file: str) -> int:
        """Return the sealed memory of a segment of the manifest in force."""
        return self._fds[file]

    async def load_last_good(self, now: datetime) -> None:
        """Put in force what lies on disk from an earlier run, if anything does. Raises SegmentError."""
        await asyncio.to_thread(publish.sweep, self._state, None)
        manifest = await asyncio.to_thread(publish.load, self._folder, *self._signers(), mark=self._mark, now=now)
        if manifest is not None:
            await self.load(manifest)

    def verified(self, content: str) -> publish.Manifest:
        """Return the manifest that control asks to put in force. Raises SegmentError."""
        manifest = publish.verified(content.encode(), *self._signers())
        manifest.check_age(self._mark, None)
        return manifest

    async def load(self, manifest: publish.Manifest, tried: Callable[[], Awaitable[None]] | None = None) -> None:
        """Put `manifest` in force, opening the segments not held yet, and keep it where `tried` raises nothing.

        It is one that was verified. Raises SegmentError, or what `tried` raised; then what was in force before still
        is.
        """
        wanted = {part.file: part for part in manifest.parts}
        opening = self._opening(manifest)
        fresh: dict[str, int] = {}
        try:
            for file in wanted.keys() - self._fds.keys():
                same = self._same(wanted[file], manifest)
                fresh[file] = await asyncio.to_thread(self._open, wanted[file], opening, same)
        except BaseException:
            _close(fresh)
            raise
        before = self.manifest, self._fds
        self.manifest, self._fds = manifest, {file: fd for file, fd in (self._fds | fresh).items() if file in wanted}
        try:
            if tried is not None:
                await tried()
        except BaseException:
            self.manifest, self._fds = before
            _close(fresh)
            raise
        self.there.set()
        _close({file: fd for file, fd in before[1].items() if file not in wanted})
        await self._note(manifest.generation)

    def _signers(self) -> list[bytes]:
        """Return what verifies a manifest: also the next key, of which the first bundle is signed before it is used."""
        keys = self._keys()
        return [keys.signing_public, *([keys.after("signing").signing_public] if "signing" in keys.next else [])]

    def _opening(self, manifest: publish.Manifest) -> Opening:
        """Return what opens a bundle. Raises SegmentError where the digest key it was made under is gone.

        Workers would find nothing in it, and let everything pass.
        """
        keys = self._keys().under(manifest.keys)
        if manifest.keys.get("digest") != keys.ids["digest"]:
            raise SegmentError("the bundle was made under another digest key")
        return Opening.of(keys)

    def _open(self, part: publish.Part, opening: Opening, same: int | None) -> int:
        content = publish.opened(self._folder, part, opening)
        try:
            if same is None:
                return sealed("segment", content)
            for _ in content:  # the file must be good all the same: the next start reads it
                pass
            return os.dup(same)
        except OSError as exc:  # memory or descriptors have run out
            raise SegmentError(f"{part.name}: {exc.strerror or type(exc).__name__}") from exc

    def _same(self, part: publish.Part, manifest: publish.Manifest) -> int | None:
        """Return the memory that says what `part` does, where it was but sealed anew: nothing is there twice then."""
        if self.manifest is None or self.manifest.keys.get("digest") != manifest.keys.get("digest"):
            return None
        said = (part.name, part.version)
        found = (self._fds[item.file] for item in self.manifest.parts if (item.name, item.version) == said)
        return next(found, None)

    async def _note(self, generation: int) -> None:
        """Note on disk what is in force. Where that fails an older bundle could be put back, but this one holds."""
        if generation <= self._mark:
            return
        self._mark = generation
        try:
            await asyncio.to_thread(publish.set_mark, self._state, generation)
        except OSError as exc:
            event(_log, logging.WARNING, "generation_not_noted", reason=exc.strerror or type(exc).__name__)


def _close(fds: dict[str, int]) -> None:
    for fd in fds.values():
        os.close(fd)
