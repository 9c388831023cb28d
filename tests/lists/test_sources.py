from __future__ import annotations

import os

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists import sources
from filterproxy.lists.formats.lines import MAX_LINE


def test_a_file_is_read_line_by_line(tmp_path):
    """Lines come as they are, an endless one cut so that memory stays bounded."""
    path = tmp_path / "list"
    path.write_bytes(b"a\nb\n" + b"c" * (3 * MAX_LINE) + b"\nd")
    found = list(sources.lines(path))
    assert found[:2] == [b"a\n", b"b\n"]
    assert len(found[2]) == MAX_LINE + 1
    assert found[3:] == [b"d"]


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "pipe"])
def test_what_is_no_readable_text_file_is_a_source_error(tmp_path, kind):
    """One error with the path and the reason, and no waiting on a pipe."""
    path = tmp_path / "list"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"a.example\n\x00\x01\n")
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(SourceError, match="list"):
        list(sources.lines(path))
