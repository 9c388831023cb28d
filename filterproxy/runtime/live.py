"""The policy of a child: one reference, swapped when the supervisor hands over a new bundle. No lock, no half."""

from __future__ import annotations

import asyncio
import logging
import os

from filterproxy.core.bundle import Segment
from filterproxy.core.policy import Policy
from filterproxy.errors import SegmentError
from filterproxy.lists import publish
from filterproxy.settings import Settings

from .channel import Body
from .logs import event
from .memfd import mapped

_log = logging.getLogger(__name__)


class Live:
    """What this process judges by."""

    def __init__(self, settings: Settings) -> None:
        """Begin without any list: whatever is fail-closed refuses, the rest goes on."""
        self._settings = settings
        self._segments: dict[str, Segment] = {}
        self._lock = asyncio.Lock()
        self.manifest = publish.Manifest(0)
        self._policy = publish.policy_of(settings, (), bytes(32), 0, {})
        self.adopted = asyncio.Event()
        """Set once the supervisor has handed over a bundle, were it an empty one."""
        self.renewed = asyncio.Event()
        """Set with every bundle; whoever waits for the next one clears it."""

    def policy(self) -> Policy:
        """Return the policy in force. Call it for each packet or request, and keep it no longer."""
        return self._policy

    async def adopt(self, body: Body, fds: list[int]) -> Body:
        """Swap in the bundle of an `adopt` message: its manifest, and as descriptors the segments not held yet.

        With it comes the digest key that it was made under, so that both take force at once. Raises SegmentError;
        then the policy is what it was.
        """
        async with self._lock:
            try:
                manifest = publish.Manifest.from_dict(body["manifest"])
                policy, segments = await asyncio.to_thread(self._build, manifest, body, fds)
            finally:
                for fd in fds:
                    os.close(fd)
            self._policy, self._segments, self.manifest = policy, segments, manifest
            self.adopted.set()
            self.renewed.set()
        event(_log, logging.INFO, "bundle_adopted", generation=manifest.generation)
        return {"generation": manifest.generation}

    def _build(self, manifest: publish.Manifest, body: Body, fds: list[int]) -> tuple[Policy, dict[str, Segment]]:
        files, key = body["files"], bytes.fromhex(body["key"])
        fresh = {file: Segment.from_buffer(memoryview(mapped(fd))) for file, fd in zip(files, fds, strict=True)}
        held = self._segments | fresh
        try:
            segments = {part.file: held[part.file] for part in manifest.parts}
        except KeyError as exc:
            raise SegmentError("a segment of the bundle is missing") from exc
        if key == self._policy.bundle.key and list(segments) == list(self._segments) and not self._ends(manifest):
            return self._policy.read_again(manifest.generation, manifest.loaded()), segments
        policy = publish.policy_of(
            self._settings, segments.values(), key, manifest.generation, manifest.loaded(), manifest.ended
        )
        return policy, segments

    def _ends(self, manifest: publish.Manifest) -> bool:
        """Tell whether some list ends, or begins again, with `manifest`."""
        return manifest.ended != self.manifest.ended
