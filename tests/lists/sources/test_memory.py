from __future__ import annotations

import os
from pathlib import Path

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists.sources import files
from filterproxy.lists.sources.memory import kept


def test_what_is_kept_can_be_read_from_any_place_and_not_be_changed():
    """Memory holds what was given, whole, and is sealed."""
    content = kept([b"ab", b"", b"cdef"], 6)
    assert (content.size, content.read(1, 3), content.read(4, 99), content.read(9, 1)) == (6, b"bcd", b"ef", b"")
    assert list(content.chunks(4)) == [b"abcd", b"ef"]
    with content.mapped() as whole:
        assert bytes(whole) == b"abcdef"
    with pytest.raises(PermissionError):
        os.write(content._fd, b"x")
    content.close()


def test_beyond_the_limit_nothing_is_kept():
    """One byte too many is a SourceError that says which limit it was, and frees the memory."""
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(SourceError, match="larger than 3 bytes once unpacked"):
        kept([b"ab", b"cd"], 3, " once unpacked")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_what_is_closed_is_gone():
    """A reader that comes too late gets a SourceError, never the bytes of another descriptor."""
    content = kept([b"ab"], 2)
    content.close()
    content.close()
    with pytest.raises(SourceError):
        content.read(0, 1)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    """Half of it would be the old list, half the new."""
    path = tmp_path / "list"
    path.write_bytes(b"a.example\n")
    content = files.opened(path, 100)
    path.write_bytes(b"b.example\nc.example\n")
    with pytest.raises(SourceError, match="changed while it was read"):
        list(content.chunks())
    content.close()
