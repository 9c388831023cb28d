"""The installation's secrets: a folder (0700) with a file (0600) per key, made once and never overwritten.

Nothing here puts the content of a key into a message or a representation.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.errors import SecretError

Owner = tuple[int, int]
"""A user's and a group's number."""

_SIZE: Final = 32
_NAMES: Final = ("digest", "patterns", "column", "token", "mac")
"""The keys under which something lasting is sealed or kept: none of them is ever replaced."""
_LATER: Final = ("signing",)
"""Keys that came later and seal nothing: a folder that lacks them gets them at the next start."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys, 32 bytes each. Who needs one is handed that one: edge workers get `digest` and `token_public`."""

    digest: bytes = field(repr=False)
    """Keys the BLAKE2b digests of the membership index."""
    patterns: bytes = field(repr=False)
    """AES-256-GCM, the patterns part of segments on disk."""
    column: bytes = field(repr=False)
    """AES-256-GCM, what people typed, in the store."""
    token_private: bytes = field(repr=False)
    """X25519, opens the tokens of notices (HPKE)."""
    token_public: bytes = field(repr=False)
    """Its public half, which seals them. Derived, not kept: the two cannot disagree."""
    mac: bytes = field(repr=False)
    """Authenticates short-lived cookies."""
    signing: bytes | None = field(default=None, repr=False)
    """Ed25519, signs the results of self-tests; None until the first start of a version that knows it."""

    @classmethod
    def open(cls, folder: Path, owner: Owner | None = None) -> Self:
        """Return the keys in `folder`.

        Raises SecretError where one is missing, damaged, or could have been read or put there by somebody else
        than this process's user or `owner`.
        """
        with _opened(folder, owner) as handle:
            return cls._read(folder, handle, owner)

    @classmethod
    def open_or_create(cls, folder: Path, owner: Owner | None = None) -> Self:
        """Return the keys in `folder`, made now where it holds none at all.

        Made by root for `owner`, who keeps them when the process drops its privileges. A folder that holds some
        keys and lacks others is refused: a new column key would leave all that is sealed closed for ever. Safe
        where several processes start at once. Raises SecretError.
        """
        try:
            _make_folder(folder, owner)
        except OSError as exc:
            raise SecretError(f"{folder.name}: cannot be made: {exc.strerror}") from exc
        with _opened(folder, owner) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                _complete(folder, handle, owner)
            except OSError as exc:
                raise SecretError(f"{folder.name}: keys cannot be made: {exc.strerror}") from exc
            return cls._read(folder, handle, owner)

    @classmethod
    def _read(cls, folder: Path, handle: int, owner: Owner | None) -> Self:
        there = (*_NAMES, *(name for name in _LATER if _exists(handle, _file(name))))
        found = {name: _read(folder, handle, name, owner) for name in there}
        public = X25519PrivateKey.from_private_bytes(found["token"]).public_key().public_bytes_raw()
        return cls(
            found["digest"], found["patterns"], found["column"], found["token"], public, found["mac"],
            found.get("signing"),
        )  # fmt: skip


def _file(name: str) -> str:
    return f"{name}.key"


def _exists(handle: int, file: str) -> bool:
    """Tell whether something bears this name, be it a link that leads nowhere."""
    try:
        os.stat(file, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unfinished(name: str) -> str:
    return f".{name}.key.new"


def _make_folder(folder: Path, owner: Owner | None) -> None:
    """Make `folder` and those above it that are missing, each closed to others and `owner`'s."""
    if folder.is_dir():
        return
    if not folder.parent.exists():
        _make_folder(folder.parent, owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        # Not by its name: whoever owns the folder above could have put a link in its place by now.
        with _opened(folder, owner) as handle:
            os.fchown(handle, *owner)


@contextmanager
def _opened(folder: Path, owner: Owner | None) -> Iterator[int]:
    """Yield a descriptor of the folder once it is known to be safe: what is read then comes from that folder."""
    try:
        handle = os.open(folder, _READ | os.O_DIRECTORY)
    except FileNotFoundError as exc:
        raise SecretError(f"{folder.name} is missing: start the product once to make the keys") from exc
    except OSError as exc:
        raise SecretError(f"{folder.name} cannot be opened: {exc.strerror}") from exc
    try:
        _check(os.fstat(handle), folder.name, 0o700, owner)
        yield handle
    finally:
        os.close(handle)


def _check(found: os.stat_result, what: str, mode: int, owner: Owner | None) -> None:
    """Raise SecretError where others could read or replace the file or folder."""
    if found.st_uid not in {os.geteuid(), *([owner[0]] if owner else [])}:
        raise SecretError(f"{what} belongs to another user: chown it to the user that filterproxy runs as")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SecretError(f"{what} is readable by others: chmod {mode:o}")


def _read(folder: Path, handle: int, name: str, owner: Owner | None) -> bytes:
    what = f"{folder.name}/{_file(name)}"
    try:
        file = os.open(_file(name), _READ | os.O_NONBLOCK, dir_fd=handle)
    except FileNotFoundError as exc:
        raise SecretError(f"{what} is missing: restore it from a backup") from exc
    except OSError as exc:
        raise SecretError(f"{what} cannot be opened: {exc.strerror}") from exc
    try:
        found = os.fstat(file)
        _check(found, what, 0o600, owner)
        content = os.read(file, _SIZE + 1) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(file)
    if len(content) != _SIZE:
        raise SecretError(f"{what} is damaged: restore it from a backup")
    return content


def _complete(folder: Path, handle: int, owner: Owner | None) -> None:
    """Make all keys, or finish what a crash interrupted.

    All are written under other names and reach the disk before the first is renamed. So a folder with no key is
    new, and where some are missing, what was to become them is still there. What came later is written anew until
    it has its name.
    """
    every = (*_NAMES, *_LATER)
    there = set(os.listdir(handle))
    new = every if not there & {_file(name) for name in every} else _LATER
    if made := [name for name in new if _file(name) not in there]:
        for name in made:
            _write(handle, _unfinished(name), owner)
        os.fsync(handle)
        there |= {_unfinished(name) for name in made}
    for name in every:
        if _file(name) in there:
            _give(folder, handle, name, owner)
        elif _unfinished(name) in there:
            os.rename(_unfinished(name), _file(name), src_dir_fd=handle, dst_dir_fd=handle)
    os.fsync(handle)
    if owner is not None and os.geteuid() == 0:
        os.fchown(handle, *owner)


def _write(handle: int, name: str, owner: Owner | None) -> None:
    # Whatever a crash left under this name goes: it could be another file's second name by now.
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=handle)
    # Any 32 bytes are an X25519 private key (RFC 7748, section 5: clamping is the algorithm's own first step), and
    # any are one of Ed25519 (RFC 8032, section 5.1.5: they are hashed first).
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=handle)
    try:
        os.fchmod(file, 0o600)
        if owner is not None:
            os.fchown(file, *owner)
        os.write(file, secrets.token_bytes(_SIZE))
        os.fsync(file)
    finally:
        os.close(file)


def _give(folder: Path, handle: int, name: str, owner: Owner | None) -> None:
    """Hand a key that an earlier start as root made for itself to `owner`, once it is known to be a key.

    The folder may be `owner`'s already, and what bears a key's name there a second name of a file of root's.
    """
    if owner is None or os.geteuid() != 0:
        return
    what = f"{folder.name}/{_file(name)}"
    file = os.open(_file(name), _READ | os.O_NONBLOCK, dir_fd=handle)
    try:
        found = os.fstat(file)
        _check(found, what, 0o600, owner)
        if not stat.S_ISREG(found.st_mode) or found.st_size != _SIZE:
            raise SecretError(f"{what} is damaged: restore it from a backup")
        if found.st_nlink != 1:
            raise SecretError(f"{what} is a file with several names: copy it, so that it has one")
        os.fchown(file, *owner)
    finally:
        os.close(file)
