"""Sealed memory: bytes written once, then shared read-only with any process that is given the descriptor."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable

from filterproxy.core.layout import Piece
from filterproxy.errors import SegmentError

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def sealed(name: str, chunks: Iterable[Piece]) -> int:
    """Return the descriptor of a memory file that holds `chunks` and that nobody can change any more.

    `name` shows in /proc only. Raises OSError where memory or descriptors have run out.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for chunk in chunks:
            _write(fd, chunk)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _write(fd: int, chunk: Piece) -> None:
    """Write all of `chunk`: one write() moves at most 2 GiB. Never through a map: F_SEAL_WRITE would be EBUSY."""
    rest = memoryview(chunk).cast("B")
    while rest:
        rest = rest[os.write(fd, rest) :]


def mapped(fd: int) -> mmap.mmap:
    """Return a read-only map of the sealed memory `fd`, which may be closed afterwards.

    Raises SegmentError unless every seal is set: what could still change under a reader is never adopted.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        size = os.fstat(fd).st_size
    except OSError as exc:
        raise SegmentError("the segment is no sealed memory") from exc
    if seals & _SEALS != _SEALS:
        raise SegmentError("the segment could still be written")
    if not size:
        raise SegmentError("the segment is empty")
    # The map holds the memory by itself: a descriptor each beside it would only use them up.
    return mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, trackfd=False)


def shared(name: str, size: int) -> int:
    """Return the descriptor of a writable memory file of `size` zero bytes; its size is sealed."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd
