"""Files of 32 bytes in the key folder: every one is looked at through the descriptor it is read or written by.

So what was found safe is what is used: whoever owns the folder above cannot put something else there in between.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filterproxy.errors import SecretError

Owner = tuple[int, int]
"""A user's and a group's number."""

SIZE: Final = 32
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(folder: Path, owner: Owner | None) -> Iterator[int]:
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


def make_folder(folder: Path, owner: Owner | None) -> None:
    """Make `folder` and those above it that are missing, each closed to others and `owner`'s."""
    if folder.is_dir():
        return
    if not folder.parent.exists():
        make_folder(folder.parent, owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        # Not by its name: whoever owns the folder above could have put a link in its place by now.
        with opened(folder, owner) as handle:
            os.fchown(handle, *owner)


def names(handle: int) -> list[str]:
    """Return what lies in the folder."""
    return os.listdir(handle)


def read(folder: Path, handle: int, name: str, owner: Owner | None, advice: str = "restore it from a backup") -> bytes:
    """Return the content of a file. Raises SecretError where it is missing, damaged or not safe."""
    what = f"{folder.name}/{name}"
    try:
        file = os.open(name, _READ | os.O_NONBLOCK, dir_fd=handle)
    except FileNotFoundError as exc:
        raise SecretError(f"{what} is missing: {advice}") from exc
    except OSError as exc:
        raise SecretError(f"{what} cannot be opened: {exc.strerror}") from exc
    try:
        found = os.fstat(file)
        _check(found, what, 0o600, owner)
        content = os.read(file, SIZE + 1) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(file)
    if len(content) != SIZE:
        raise SecretError(f"{what} is damaged: restore it from a backup")
    return content


def write(handle: int, name: str, owner: Owner | None, content: bytes | None = None) -> None:
    """Write a new file of `content`, else of a new key; it is on the disk, under this name, on return."""
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
        content = secrets.token_bytes(SIZE) if content is None else content
        if os.write(file, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def replace(handle: int, new: str, name: str) -> None:
    """Rename `new` to `name`, and overwrite what bore that name before, once nothing on the disk names it."""
    old = None
    with suppress(FileNotFoundError):
        old = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=handle)
    try:
        os.rename(new, name, src_dir_fd=handle, dst_dir_fd=handle)
        os.fsync(handle)
        if old is not None:
            _wipe(old)
    finally:
        if old is not None:
            os.close(old)


def remove(handle: int, name: str) -> None:
    """Remove a file, if it is there, and overwrite what it held."""
    try:
        old = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=handle)
    except FileNotFoundError:
        return
    try:
        os.unlink(name, dir_fd=handle)
        os.fsync(handle)
        _wipe(old)
    finally:
        os.close(old)


def _wipe(file: int) -> None:
    """Overwrite a file that has no name any more; one that still has a name is somebody's copy."""
    found = os.fstat(file)
    if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
        os.pwrite(file, bytes(SIZE), 0)
        os.fsync(file)


def give(folder: Path, handle: int, name: str, owner: Owner | None) -> None:
    """Hand a key that an earlier start as root made for itself to `owner`, once it is known to be a key.

    The folder may be `owner`'s already, and what bears a key's name there a second name of a file of root's.
    """
    if owner is None or os.geteuid() != 0:
        return
    what = f"{folder.name}/{name}"
    file = os.open(name, _READ | os.O_NONBLOCK, dir_fd=handle)
    try:
        found = os.fstat(file)
        _check(found, what, 0o600, owner)
        if not stat.S_ISREG(found.st_mode) or found.st_size != SIZE:
            raise SecretError(f"{what} is damaged: restore it from a backup")
        if found.st_nlink != 1:
            raise SecretError(f"{what} is a file with several names: copy it, so that it has one")
        os.fchown(file, *owner)
    finally:
        os.close(file)


def _check(found: os.stat_result, what: str, mode: int, owner: Owner | None) -> None:
    """Raise SecretError where others could read or replace the file or folder."""
    if found.st_uid not in {os.geteuid(), *([owner[0]] if owner else [])}:
        raise SecretError(f"{what} belongs to another user: chown it to the user that filterproxy runs as")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SecretError(f"{what} is readable by others: chmod {mode:o}")
