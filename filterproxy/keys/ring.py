"""All keys of an installation, read from their folder, and made where it holds none.

A key that is being rotated lies beside the one in use (`digest.next.key`) until the bundle in force was made under
it; then it takes its place. So a crash leaves the old key with the old bundle, or the new with the new.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.errors import SecretError

from . import files
from .files import Owner

_NAMES: Final = ("digest", "patterns", "column", "token", "mac")
"""The keys of every version: a folder that lacks some of them has lost them, and they are never made again."""
_LATER: Final = ("sealing", "signing")
"""Keys that came later: a folder that lacks them gets them at the next start."""
ROTATED: Final = ("digest", "patterns", "sealing", "token", "signing")
"""The keys that can be replaced while the product runs."""
UNDER_BUNDLE: Final = ("digest", "patterns", "sealing", "signing")
"""Those that a bundle is made under, and whose ids its manifest names."""
_PREVIOUS: Final = re.compile(r"(token|signing)-\d{8}T\d{6}Z\.(key|pub)")


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys, 32 bytes each. Who needs one is handed that one: edge workers get `digest`, `token_public`, `mac`."""

    digest: bytes = field(repr=False)
    """Keys the BLAKE2b digests of the membership index."""
    patterns_private: bytes = field(repr=False)
    """X25519, opens the patterns of segments on disk: the supervisor's alone, and empty for everybody else."""
    patterns_public: bytes = field(repr=False)
    """Its public half, which seals them. Public halves are derived, not kept: the two cannot disagree."""
    sealing_private: bytes = field(repr=False)
    """X25519, opens the sealed entries of segments: control's."""
    sealing_public: bytes = field(repr=False)
    """Its public half, which seals them."""
    column: bytes = field(repr=False)
    """AES-256-GCM, what people typed, in the store."""
    token_private: bytes = field(repr=False)
    """X25519, opens the tokens of notices (HPKE)."""
    token_public: bytes = field(repr=False)
    """Its public half, which seals them."""
    token_previous: tuple[bytes, ...] = field(repr=False)
    """Private halves from before rotations, newest first, for as long as what they sealed is valid."""
    mac: bytes = field(repr=False)
    """Authenticates short-lived cookies; keys the identities of what waits in quarantine and of alerts."""
    signing_private: bytes = field(repr=False)
    """Ed25519, signs manifests and the results of self-tests."""
    signing_public: bytes = field(repr=False)
    """Its public half, which verifies them."""
    signing_previous: tuple[bytes, ...] = field(default=(), repr=False)
    """Public halves from before rotations, newest first: an old result can be told to be ours."""
    next: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Keys of rotations that have begun and are not in force yet, by name."""

    @classmethod
    def open(cls, folder: Path, owner: Owner | None = None, *, patterns_public: bytes | None = None) -> Self:
        """Return the keys in `folder`; where `patterns_public` is given, its private half is not read.

        Raises SecretError where one is missing, damaged, or could have been read or put there by somebody else
        than this process's user or `owner`.
        """
        with files.opened(folder, owner) as handle:
            return cls._read(folder, handle, owner, patterns_public)

    @classmethod
    def open_or_create(cls, folder: Path, owner: Owner | None = None) -> Self:
        """Return the keys in `folder`, made now where it holds none at all.

        Made by root for `owner`, who keeps them when the process drops its privileges. A folder that holds some
        keys and lacks others is refused: a new column key would leave all that is sealed closed for ever. Safe
        where several processes start at once. Raises SecretError.
        """
        try:
            files.make_folder(folder, owner)
        except OSError as exc:
            raise SecretError(f"{folder.name}: cannot be made: {exc.strerror}") from exc
        with files.opened(folder, owner) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                _complete(folder, handle, owner)
            except OSError as exc:
                raise SecretError(f"{folder.name}: keys cannot be made: {exc.strerror}") from exc
            return cls._read(folder, handle, owner, None)

    @property
    def ids(self) -> dict[str, str]:
        """Return what a manifest names the keys by that its bundle is made under; they tell nothing of the keys."""
        public = {"patterns": self.patterns_public, "sealing": self.sealing_public, "signing": self.signing_public}
        return {"digest": digest_id(self.digest)} | {name: public_id(half) for name, half in public.items()}

    def under(self, ids: Mapping[str, str]) -> Self:
        """Return the keys that the bundle was made under whose manifest names `ids`.

        The next key stands where its id is named; where neither is, the one in use, which will open nothing then.
        """
        found = self
        for name in UNDER_BUNDLE:
            if name in self.next and (after := self.after(name)).ids[name] == ids.get(name):
                found = replace(found, **{part: getattr(after, part) for part in _PARTS[name]})
        return found

    def after(self, name: str) -> Self:
        """Return the keys as they will be when the rotation of `name`, which has begun, is done."""
        key = self.next[name]
        rest = {other: held for other, held in self.next.items() if other != name}
        if name == "digest":
            return replace(self, digest=key, next=rest)
        made: dict[str, Any] = {f"{name}_private": key, f"{name}_public": public_half(name, key)}
        if name == "token":
            return replace(self, **made, token_previous=(self.token_private, *self.token_previous), next=rest)
        if name == "signing":
            return replace(self, **made, signing_previous=(self.signing_public, *self.signing_previous), next=rest)
        return replace(self, **made, next=rest)

    @classmethod
    def _read(cls, folder: Path, handle: int, owner: Owner | None, patterns_public: bytes | None) -> Self:
        unread = () if patterns_public is None else ("patterns",)
        found = {name: files.read(folder, handle, file_of(name), owner) for name in _NAMES if name not in unread}
        for name in _LATER:
            found[name] = files.read(folder, handle, file_of(name), owner, "start the product once to make it")
        there = sorted(files.names(handle), reverse=True)
        kept = [name for name in there if _PREVIOUS.fullmatch(name)]
        previous = {name: files.read(folder, handle, name, owner) for name in kept}
        begun = [name for name in ROTATED if next_of(name) in there and name not in unread]
        patterns = found.get("patterns", b"")
        return cls(
            digest=found["digest"], column=found["column"], mac=found["mac"], patterns_private=patterns,
            patterns_public=patterns_public or public_half("patterns", patterns),
            sealing_private=found["sealing"], sealing_public=public_half("sealing", found["sealing"]),
            token_private=found["token"], token_public=public_half("token", found["token"]),
            token_previous=_others(previous, "token", found["token"]),
            signing_private=found["signing"], signing_public=(signing := public_half("signing", found["signing"])),
            signing_previous=_others(previous, "signing", signing),
            next={name: files.read(folder, handle, next_of(name), owner) for name in begun},
        )  # fmt: skip


_PARTS: Final = {"digest": ("digest",)} | {
    name: (f"{name}_private", f"{name}_public") for name in ("patterns", "sealing", "signing")
}


def _others(previous: Mapping[str, bytes], name: str, used: bytes) -> tuple[bytes, ...]:
    """Return what is kept of earlier keys, each once. One that is in use is of a rotation that a crash cut off."""
    return tuple(dict.fromkeys(key for file, key in previous.items() if file.startswith(name) and key != used))


def digest_id(key: bytes) -> str:
    """Return what names a digest key: a digest under it, which whoever lacks the key cannot make or undo."""
    return blake2b(b"filterproxy digest key", key=key, digest_size=8).hexdigest()


def public_id(public: bytes) -> str:
    """Return what names a key pair."""
    return sha256(public).hexdigest()[:16]


def public_half(name: str, private: bytes) -> bytes:
    """Return the public half of a private key."""
    if name == "signing":
        return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def file_of(name: str) -> str:
    """Return the file of a key in use."""
    return f"{name}.key"


def next_of(name: str) -> str:
    """Return the file of the key that is to follow it."""
    return f"{name}.next.key"


def _unfinished(name: str) -> str:
    return f".{name}.key.new"


def _complete(folder: Path, handle: int, owner: Owner | None) -> None:
    """Make all keys, or finish what a crash interrupted.

    All are written under other names and reach the disk before the first is renamed. So a folder with no key is
    new, and where some are missing, what was to become them is still there. What came later is written anew until
    it has its name.
    """
    every = (*_NAMES, *_LATER)
    there = set(files.names(handle))
    new = every if not there & {file_of(name) for name in every} else _LATER
    if made := [name for name in new if file_of(name) not in there]:
        for name in made:
            files.write(handle, _unfinished(name), owner)
        os.fsync(handle)
        there |= {_unfinished(name) for name in made}
    for name in every:
        if file_of(name) in there:
            files.give(folder, handle, file_of(name), owner)
        elif _unfinished(name) in there:
            os.rename(_unfinished(name), file_of(name), src_dir_fd=handle, dst_dir_fd=handle)
    for name in there:
        if _PREVIOUS.fullmatch(name) or name in {next_of(key) for key in ROTATED}:
            files.give(folder, handle, name, owner)
    os.fsync(handle)
    if owner is not None and os.geteuid() == 0:
        os.fchown(handle, *owner)
