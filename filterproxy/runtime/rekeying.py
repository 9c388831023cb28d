"""Control's share of a rotation: it writes the bundle in force under the next key, and opens tokens by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from filterproxy.errors import ControlError
from filterproxy.keys import Keys
from filterproxy.keys.ring import public_id
from filterproxy.lists import publish
from filterproxy.lists.canaries import compile_canaries
from filterproxy.lists.compile import Compiled
from filterproxy.lists.own import compile_own
from filterproxy.lists.refresh import compile_overrides
from filterproxy.lists.resealing import Anew, compiled_anew, made_under, resealed, signed_anew
from filterproxy.lists.seals import Seals
from filterproxy.notice.token import Opener

from .channel import Body
from .librarian import Librarian
from .worker import Worker, now

_REWRAP = 30.0


def keys_of(worker: Worker) -> Keys:
    """Return control's keys: those that the bundle on disk was made under. Raises SecretError.

    A rotation may have been cut off after its bundle was written and before it was in force; then they are the next.
    """
    settings, shared = worker.settings, worker.keys
    keys = Keys.open(settings.keys_folder, patterns_public=shared.patterns_public)
    ids = made_under(settings.runtime.state, keys)
    if shared.patterns_next and public_id(shared.patterns_next) == ids.get("patterns"):
        keys = replace(keys, patterns_public=shared.patterns_next)
    return keys.under(ids)


def openers(keys: Keys) -> list[bytes]:
    """Return all that opens tokens: also the next key, which others may seal under by now."""
    coming = [keys.next["token"]] if "token" in keys.next else []
    return [keys.token_private, *coming, *keys.token_previous]


class Rekeying:
    """Does what the supervisor asks in the course of a rotation."""

    def __init__(self, worker: Worker, librarian: Librarian, opener: Opener) -> None:
        """Work on what the control role opened."""
        self._worker, self._librarian, self._opener = worker, librarian, opener
        self._loop = asyncio.get_running_loop()

    async def command(self, body: Body) -> Body:
        """Answer `rotate`: return once the bundle in force is one under the next key. Raises FilterproxyError."""
        folder, name = self._worker.settings.keys_folder, str(body["key"])
        keys = await asyncio.to_thread(Keys.open, folder, patterns_public=self._worker.keys.patterns_public)
        if name == "token":
            self._opener.use(openers(keys))
            return {}
        public = bytes.fromhex(body["patterns_public"])
        await self._librarian.rotate(lambda seals: self._anew(name, keys, public, seals))
        return {}

    def _anew(self, name: str, keys: Keys, patterns_public: bytes, seals: Seals) -> Anew:
        """Return how the bundle that was made under `seals` is made under the next key."""
        folder = publish.bundle_folder(self._worker.settings.runtime.state)
        if name == "patterns":
            return resealed(replace(seals, patterns_public=patterns_public), folder, patterns=self._rewrap)
        if name not in keys.next:
            raise ControlError(f"there is no next {name} key")
        if name == "signing":
            return signed_anew(replace(seals, signing_private=keys.next[name]))
        if name == "sealing":
            after = keys.after(name)
            new = replace(seals, sealing_private=after.sealing_private, sealing_public=after.sealing_public)
            return resealed(new, folder, entries=seals.sealing_private)
        new = replace(seals, digest=keys.next["digest"])
        return compiled_anew(new, folder, self._worker.settings.listings, partial(self._overlay, new.digest))

    def _overlay(self, key: bytes) -> Iterable[Compiled]:
        """Compile all that is no list's own segment. Raises StoreError, ConfigError."""
        settings = self._worker.settings
        yield from compile_own(settings, key)
        yield from compile_canaries(settings, key, now())
        yield from compile_overrides(self._librarian.overrides(), settings, key)

    def _rewrap(self, segment: str, part: str, wrapped: bytes) -> bytes:
        """Have the supervisor, which alone can, wrap a key of patterns anew. Not on the loop's thread."""
        body = {"segment": segment, "part": part, "wrapped": wrapped.hex()}
        asked = asyncio.run_coroutine_threadsafe(self._worker.channel.ask("rewrap", body, timeout=_REWRAP), self._loop)
        return bytes.fromhex(asked.result()["wrapped"])
