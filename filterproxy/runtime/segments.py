"""What the supervisor holds of the bundle: the manifest in force, and each of its segments as sealed memory.

It alone opens segments on disk, for it alone passes them on; a child gets those it does not hold yet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from filterproxy.keys import Keys
from filterproxy.lists import publish

from .memfd import sealed


class Segments:
    """The bundle in force. `load` replaces it whole or leaves it as it is."""

    def __init__(self, state: Path, keys: Keys) -> None:
        """Hold nothing yet."""
        self._folder, self._key = publish.bundle_folder(state), keys.patterns
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

    async def load_last_good(self) -> None:
        """Put in force what lies on disk from an earlier run, if anything does. Raises SegmentError."""
        manifest = await asyncio.to_thread(publish.load, self._folder)
        if manifest is not None:
            await self.load(manifest)

    async def load(self, manifest: publish.Manifest, tried: Callable[[], Awaitable[None]] | None = None) -> None:
        """Put `manifest` in force, opening the segments not held yet, and keep it where `tried` raises nothing.

        Raises SegmentError, or what `tried` raised; then what was in force before still is.
        """
        wanted = {part.file: part for part in manifest.parts}
        fresh: dict[str, int] = {}
        try:
            for file in wanted.keys() - self._fds.keys():
                fresh[file] = await asyncio.to_thread(self._open, wanted[file])
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

    def _open(self, part: publish.Part) -> int:
        return sealed("segment", [publish.opened_segment(self._folder, part, self._key)])


def _close(fds: dict[str, int]) -> None:
    for fd in fds.values():
        os.close(fd)
