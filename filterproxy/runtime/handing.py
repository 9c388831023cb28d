"""The bundle on its way to every process: who is handed which, and when one is in force.

A bundle is made by the control process of one configuration (an era). A process of an earlier one never gets it: lists
that are new or gone would be missing there, and a missing list that fails closed refuses everything. It judges by what
it has until its successor serves. A process of a later era takes an earlier bundle where it must.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from filterproxy.errors import FilterproxyError
from filterproxy.lists.publish import Manifest

from .channel import Body, Channel, ChannelError
from .children import Child
from .logs import event
from .segments import Segments
from .worker import now

if TYPE_CHECKING:
    from .supervisor import Supervisor

_log = logging.getLogger(__name__)
_FIRST_BUNDLE = 30.0
"""Seconds that workers wait for the first bundle; then they start with what there is."""
_ADOPT = 120.0


class Handing:
    """Hands bundles over, one publication at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Begin with no bundle."""
        self._supervisor = supervisor
        self.segments = Segments(supervisor.settings.runtime.state, lambda: supervisor.rotations.keys)
        self.era = 0
        """The configuration that the bundle in force was made under."""
        self.whole = 0
        """The configuration under which the last bundle was made that everybody has."""
        self._publishing = asyncio.Lock()

    @property
    def in_force(self) -> Manifest:
        """The manifest in force; an empty one where none is."""
        return self.segments.manifest or Manifest(0)

    def digest_key(self, manifest: Manifest) -> bytes:
        """Return the digest key that this bundle was made under."""
        return self._supervisor.rotations.keys.under(manifest.keys).digest

    async def load_last_good(self) -> None:
        """Put in force what lies on disk, unless that is what is."""
        try:
            await self.segments.load_last_good(now())
        except FilterproxyError as exc:
            event(_log, logging.ERROR, "last_good_bundle_refused", reason=str(exc))

    async def take_up(self) -> None:
        """Put in force everywhere what lies on disk now: where no control runs, somebody else has put it there."""
        await self.load_last_good()
        await asyncio.gather(*(self._hand_over(child) for child in self._supervisor.everyone if child.generation >= 0))

    def is_foreign(self, child: Child) -> bool:
        """Tell whether the bundle in force was made under a later configuration than the child's."""
        return child.era < self.era

    def is_old(self, child: Child) -> bool:
        """Tell whether the bundle in force was made under an earlier configuration than the child's."""
        return child.era > self.era and self.segments.manifest is not None

    def belongs_to(self, era: int) -> None:
        """Note under which configuration the bundle in force was made."""
        self.era = era
        for child in self._supervisor.everyone:
            if self.is_foreign(child):
                child.retire()  # it could not begin again with what is in force now

    async def begin(self, child: Child) -> None:
        """Hand a new process the bundle in force. Control begins without one: it is to make it."""
        if child.role != "control":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.segments.there.wait(), _FIRST_BUNDLE)
        elif self.segments.manifest is None:
            return
        await self._hand_over(child)

    async def publish(self, child: Child, manifest: Manifest) -> Body:
        """Put `manifest` of the control process `child` in force; return once every running process judges by it.

        Control, which made it, takes it first: what it cannot adopt no worker ever sees.
        """
        async with self._publishing:
            before = self.era

            async def tried() -> None:
                self.era = child.era
                if not await self._hand_over(child):
                    raise ChannelError("the bundle was not adopted; the last one stays in force")

            try:
                await self.segments.load(manifest, tried)
            except BaseException:
                self.era = before
                raise
            self.belongs_to(child.era)
            running = [other for other in self._supervisor.everyone if other.generation >= 0]
            await asyncio.gather(*(self._hand_over(other) for other in running if not self.is_foreign(other)))
            await self._supervisor.rotations.settle(manifest.keys)
            self.whole = child.era
        return {"generation": self.segments.generation}

    async def _hand_over(self, child: Child) -> bool:
        """Give `child` the bundle in force and return whether it judges by it; one that does not is replaced."""
        async with child.handing:
            # Again and again: while a new process adopts one bundle, the next may take force without it.
            while (channel := child.channel) is not None and child.generation != self.in_force.generation:
                if self.is_foreign(child):
                    child.signal(signal.SIGKILL)  # it has begun a moment too late; its successor is about to serve
                    return False
                if not await self._adopted(child, channel, self.in_force):
                    return False
            return channel is not None

    async def _adopted(self, child: Child, channel: Channel, manifest: Manifest) -> bool:
        files = [part.file for part in manifest.parts if part.file not in child.held]
        body = {"manifest": manifest.as_dict(), "files": files, "key": self.digest_key(manifest).hex()}
        try:
            answer = await channel.ask("adopt", body, [self.segments.fd(file) for file in files], timeout=_ADOPT)
        except ChannelError as exc:
            if child.ending:
                return False
            event(_log, logging.ERROR, "bundle_not_adopted", name=child.name, reason=str(exc))
            if child.channel is channel:  # else it has ended, and its replacement is not to blame
                child.signal(signal.SIGKILL)
            return False
        if child.channel is not channel:
            return False
        child.held = {part.file for part in manifest.parts}
        child.generation = int(answer["generation"])
        return True
