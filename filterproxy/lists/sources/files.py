"""Files and folders of this machine. Only regular files; below a folder no link is followed and nothing hidden read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filterproxy.errors import SourceError

from . import paths
from .memory import Content, Stamp, failure, stamp
from .texts import Opener


def opened(path: Path, limit: int) -> Content:
    """Return a file of at most `limit` bytes, which may be a link. Raises SourceError; never waits on a pipe."""
    fd, facts = _opened(path, limit)
    return Content(fd, facts.st_size, stamp(facts))


def secret(path: Path, limit: int) -> bytes:
    """Return a file that only its owner may read. Raises SourceError."""
    fd, facts = _opened(path, limit)
    with open(fd, "rb") as file:
        if facts.st_mode & 0o077:
            raise SourceError("others than its owner may read it: chmod 600 it")
        return file.read(limit)


def _opened(path: Path, limit: int) -> tuple[int, os.stat_result]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise failure(exc) from exc
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise SourceError("not a regular file")
        if facts.st_size > limit:
            raise SourceError(f"larger than {limit} bytes")
    except BaseException:
        os.close(fd)
        raise
    return fd, facts


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder or leads to one."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def tree(root: Path, within: str, limit: int) -> list[tuple[str, int, Opener]]:
    """Return path, bytes and opener of every regular file below `root/within`, sorted by path. Raises SourceError.

    `limit`: bytes in all. The files are opened when they are read: a tree may hold more than a process may keep open.
    """
    try:
        start = _inside(root, within)
        found = [
            (paths.plain(str(path.relative_to(start))), facts.st_size, _opener(path, stamp(facts)))
            for path, facts in _walk(start)
        ]
    except OSError as exc:
        raise failure(exc) from exc
    if sum(size for _, size, _ in found) > limit:
        raise SourceError(f"larger than {limit} bytes")
    return sorted(found, key=lambda item: item[0])


def _inside(root: Path, within: str) -> Path:
    """Return `root/within`, no step of which may be a link."""
    at = root
    for step in within.split("/") if within else ():
        at /= step
        if not at.exists() or at.is_symlink() or not at.is_dir():
            raise SourceError("within: no such folder is there")
    return at


def _walk(start: Path) -> Iterator[tuple[Path, os.stat_result]]:
    met = 0
    waiting = [start]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                met += 1
                if met > 2 * paths.MAX_DOCUMENTS:
                    raise SourceError(f"more than {paths.MAX_DOCUMENTS} files")
                if entry.name.startswith("."):
                    continue
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(folder / entry.name)
                elif stat.S_ISREG(facts.st_mode):
                    yield folder / entry.name, facts


def _opener(path: Path, expected: Stamp) -> Opener:
    @contextmanager
    def opener() -> Iterator[BinaryIO]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
            with open(fd, "rb") as file:
                _same(fd, expected)
                yield file
                _same(fd, expected)
        except OSError as exc:
            raise failure(exc) from exc

    return opener


def _same(fd: int, expected: Stamp) -> None:
    if stamp(os.fstat(fd)) != expected:
        raise SourceError("changed while it was read")
