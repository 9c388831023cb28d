"""Memory that is sealed cannot be written; memory that is not sealed is not adopted."""

from __future__ import annotations

import mmap
import os

import pytest

from filterproxy.errors import SegmentError
from filterproxy.runtime.memfd import mapped, sealed, shared


def test_sealed_memory_holds_the_chunks_and_cannot_be_changed():
    """Nobody who has the descriptor can write, shrink or grow it, nor map it for writing."""
    fd = sealed("test", [b"one ", b"", memoryview(b"two")])
    with mapped(fd) as memory:
        assert memory[:] == b"one two"
        with pytest.raises(TypeError):
            memory[0] = 0
    for change in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 1), lambda: os.ftruncate(fd, 100)):
        with pytest.raises(PermissionError):
            change()
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 7, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)


def test_what_could_still_be_written_is_refused(tmp_path):
    """Unsealed memory, a plain file and an empty one are errors, never a segment."""
    plain = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    for fd in (shared("test", 8), sealed("test", []), plain):
        with pytest.raises(SegmentError):
            mapped(fd)
        os.close(fd)


def test_shared_memory_is_seen_by_all_and_keeps_its_size():
    """Counters live in memory that everybody maps and nobody resizes."""
    fd = shared("test", 16)
    first, second = mmap.mmap(fd, 16), mmap.mmap(fd, 16)
    first[3] = 7
    assert second[3] == 7
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 8)
    first.close()
    second.close()
    os.close(fd)
