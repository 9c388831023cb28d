"""Rotation of keys while the product runs: the supervisor makes the next key, control makes a bundle under it.

A key takes the place of the one in use once the bundle in force names it, so that a crash leaves the old key with the
old bundle, or the new with the new. A token's key needs no bundle: control can open by it before anybody seals by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from filterproxy.errors import ControlError, SecretError
from filterproxy.keys import ROTATED, Keys, rotation
from filterproxy.lists.seals import rewrapped

from .channel import Body, ChannelError
from .children import Child
from .logs import event
from .worker import Shared, now

if TYPE_CHECKING:
    from .supervisor import Supervisor

_log = logging.getLogger(__name__)
_LONGEST: Final = 3600.0
"""Seconds: a digest key's rotation compiles every list anew."""
_TOLD: Final = 10.0
_EXPIRES: Final = 3600.0
_DONE: Final = {
    "digest": "every list is compiled anew under it",
    "patterns": "the patterns of every list are sealed under it",
    "sealing": "the entries of every list are sealed under it",
    "signing": "the bundle in force is signed by it; results of self-tests will be",
    "token": "notices are sealed under it; tokens from before open for 30 days",
}


class Rotations:
    """The rotations of a running product, one at a time; and its keys, as they are now."""

    def __init__(self, supervisor: Supervisor, keys: Keys) -> None:
        """Begin with the keys that were read at the start."""
        self._supervisor, self.keys = supervisor, keys
        self._folder = supervisor.settings.keys_folder
        self.alone, self._files = asyncio.Lock(), asyncio.Lock()
        # `alone` is held while a key is rotated, or a configuration replaced: neither may go on during the other.
        self._looked = time.monotonic()

    def shared(self) -> Shared:
        """Return what of the keys every process has."""
        coming = self.keys.after("patterns").patterns_public if "patterns" in self.keys.next else b""
        return Shared(self.keys.token_public, self.keys.patterns_public, coming, self.keys.mac)

    async def resume(self, ids: Mapping[str, str]) -> None:
        """At the start: finish or give up what a crash cut off, by the ids that the bundle in force names.

        Where the folder cannot be written nothing is lost: what is there is used as it is.
        """
        try:
            self._replaced(await asyncio.to_thread(rotation.resume, self._folder, ids, now()))
        except SecretError as exc:
            event(_log, logging.ERROR, "key_not_settled", reason=str(exc))

    def _replaced(self, keys: Keys) -> None:
        """Go on by these keys, and say which of the next ones are in use now, and which were given up."""
        for name in self.keys.next.keys() - keys.next.keys():
            used = keys.token_private if name == "token" else keys.ids[name]
            coming = self.keys.next[name] if name == "token" else self.keys.after(name).ids[name]
            event(_log, logging.INFO, "key_replaced" if used == coming else "key_rotation_given_up", key=name)
        self.keys = keys

    async def rotate(self, name: str, by: str) -> str:
        """Replace the key `name`; return what to tell `by` once it is in force. Raises FilterproxyError."""
        if name not in ROTATED:
            raise ControlError(f"there is no key {name!r} that can be rotated; write one of {', '.join(ROTATED)}")
        if self.alone.locked():
            raise ControlError("a key is being rotated already, or a configuration taken; try again once that is done")
        control = self._supervisor.control
        if control is None:
            raise ControlError("the control process, which a rotation needs, is not part of this product")
        if not control.ready:
            raise ControlError("the control process does not serve; try again in a moment")
        async with self.alone:
            event(_log, logging.INFO, "key_rotation_begun", key=name, by=by)
            try:
                await self._rotate(name)
            except (ControlError, ChannelError, SecretError) as exc:
                event(_log, logging.ERROR, "key_rotation_failed", key=name, by=by, reason=str(exc))
                raise
        event(_log, logging.INFO, "key_rotated", key=name, by=by)
        generation = self._supervisor.segments.generation
        return f"The {name} key is a new one: {_DONE[name]}. In force everywhere, by bundle {generation}."

    async def _rotate(self, name: str) -> None:
        async with self._files:
            self.keys = await asyncio.to_thread(rotation.begin, self._folder, name)
        event(_log, logging.INFO, "key_made", key=name)
        after = self.keys.after(name)
        body = {"key": name, "patterns_public": after.patterns_public.hex()}
        await self._supervisor.ask_control("rotate", body, _LONGEST)
        if name == "token":
            self.keys = after
            await asyncio.gather(*(self._seal_under(child, after.token_public) for child in self._supervisor.everyone))
            async with self._files:
                self.keys = await asyncio.to_thread(rotation.finish, self._folder, name, now())
        elif name in self.keys.next:
            manifest = self._supervisor.segments.manifest
            if manifest is not None and manifest.keys.get(name) == after.ids[name]:
                raise ControlError(
                    f"the bundle in force is one under the new key, but {name}.key cannot be replaced by it (the log "
                    f"says why); {name}.next.key stays beside it, and is needed, until a later bundle or start can"
                )
            raise ControlError("no bundle under the new key came into force; the key in use is what it was")

    def rewrap(self, body: Body) -> Body:
        """Wrap a key of sealed patterns, which nobody else can open, under the next pair. Raises FilterproxyError."""
        if "patterns" not in self.keys.next:
            raise ControlError("the patterns key is not being rotated")
        public, wrapped = self.keys.after("patterns").patterns_public, bytes.fromhex(body["wrapped"])
        found = rewrapped(body["segment"], body["part"], wrapped, self.keys.patterns_private, public)
        return {"wrapped": found.hex()}

    async def settle(self, ids: Mapping[str, str]) -> None:
        """A bundle is in force that names `ids`: what it was made under are the keys in use. Never raises SecretError.

        Where they cannot be written now, the next bundle or the next start tries again; until then both lie there.
        """
        if not self.keys.next:
            return
        try:
            async with self._files:
                self._replaced(await asyncio.to_thread(rotation.settle, self._folder, ids, now()))
        except SecretError as exc:
            event(_log, logging.ERROR, "key_not_settled", reason=str(exc))

    async def tick(self) -> None:
        """Now and then, remove tokens' keys that open nothing valid any more."""
        if time.monotonic() - self._looked < _EXPIRES:
            return
        self._looked = time.monotonic()
        try:
            async with self._files:
                gone = await asyncio.to_thread(rotation.expire, self._folder, now())
                if gone:
                    self.keys = await asyncio.to_thread(Keys.open, self._folder)
        except SecretError as exc:
            event(_log, logging.ERROR, "key_not_removed", reason=str(exc))
            return
        if gone:
            event(_log, logging.INFO, "token_keys_expired", number=gone)
            with contextlib.suppress(ChannelError):  # else its next start
                await self._supervisor.ask_control("rotate", {"key": "token"}, _TOLD)

    async def _seal_under(self, child: Child, public: bytes) -> None:
        """Have a process seal under this key; one that cannot be told is replaced, and its replacement will."""
        channel = child.channel
        if channel is None:
            return
        try:
            await channel.ask("seal", {"token_public": public.hex()}, timeout=_TOLD)
        except ChannelError as exc:
            if not child.ending and child.channel is channel:
                event(_log, logging.ERROR, "key_not_taken", name=child.name, reason=str(exc))
                child.signal(signal.SIGKILL)
