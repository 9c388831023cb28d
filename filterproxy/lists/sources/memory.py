"""Bytes that can be read again and again: sealed memory, which no disk ever sees, or a file that must not change.

What is read here is never written anywhere else, so a confidential list leaves no trace when it is closed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from filterproxy.errors import SourceError

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_STEP = 256 * 1024

Stamp = tuple[int, int, int, int]
"""Which file it is and when it was last written: device, number, bytes, nanoseconds."""


def stamp(facts: os.stat_result) -> Stamp:
    """Return what tells a file from its successor."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def failure(exc: OSError) -> SourceError:
    """Return what the operator is told of a failure of the system; never the name of a file."""
    return SourceError(exc.strerror or type(exc).__name__)


class Content:
    """Bytes behind a descriptor, which it owns. Several readers may be at different places at once."""

    def __init__(self, fd: int, size: int, watched: Stamp | None = None) -> None:
        """`watched`: what the file was when it was opened; memory needs none, as it is sealed."""
        self._fd, self.size, self._watched = fd, size, watched

    def read_into(self, buffer: memoryview, at: int) -> int:
        """Fill `buffer` from the byte `at`; return how many there were. Raises SourceError."""
        try:
            return os.preadv(self._fd, [buffer], at)
        except OSError as exc:
            raise failure(exc) from exc

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes, or those that there are. Raises SourceError."""
        found = bytearray(max(0, min(count, self.size - at)))
        done = 0
        while done < len(found) and (step := self.read_into(memoryview(found)[done:], at + done)):
            done += step
        return bytes(found[:done])

    def chunks(self, step: int = _STEP) -> Iterator[bytes]:
        """Yield all of it. Raises SourceError, also where it changed meanwhile."""
        at = 0
        while at < self.size:
            chunk = self.read(at, step)
            if not chunk:
                break
            yield chunk
            at += len(chunk)
        self.check()

    def check(self) -> None:
        """Raise SourceError where the file is not what it was: half of it would be the old list, half the new."""
        try:
            if self._watched is not None and stamp(os.fstat(self._fd)) != self._watched:
                raise SourceError("changed while it was read")
        except OSError as exc:
            raise failure(exc) from exc

    @contextmanager
    def mapped(self) -> Iterator[mmap.mmap | bytes]:
        """Lend all of it as one buffer, without a copy. Only for memory: a file that shrinks would kill its reader."""
        if not self.size:
            yield b""
            return
        with mmap.mmap(self._fd, self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as whole:
            yield whole

    def close(self) -> None:
        """Free it. Whoever still reads gets a SourceError."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def kept(chunks: Iterable[bytes], limit: int, what: str = "") -> Content:
    """Return all of `chunks` in sealed memory. Raises SourceError beyond `limit` bytes, `what` saying which limit."""
    fd = -1
    try:
        fd = os.memfd_create("list", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise SourceError(f"larger than {limit} bytes{what}")
            _write(fd, chunk)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException as exc:
        if fd >= 0:
            os.close(fd)
        if isinstance(exc, OSError):
            raise failure(exc) from exc
        raise
    return Content(fd, size)


def _write(fd: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]
