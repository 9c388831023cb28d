from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists import sources
from filterproxy.lists.formats.lines import MAX_LINE
from filterproxy.lists.sources.memory import kept
from filterproxy.lists.sources.texts import Text, part


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


@given(st.binary(max_size=200), st.integers(0, 50))
def test_a_part_is_read_as_a_file_of_its_own_would_be(body, at):
    """Any number of readings gives the same lines, and whether the last one has its end."""
    content = kept([b"x" * at, body, b"\0rest"], 1000)
    text = Text("it", part(content, at, len(body)))
    if b"\0" in body:
        with pytest.raises(SourceError, match="^it: binary"):
            list(text)
    else:
        assert b"".join(text) == b"".join(text) == body
        assert text.ended == (not body or body.endswith(b"\n"))
    content.close()


def test_a_byte_that_no_text_has_is_found_also_beyond_a_cut_line():
    """What is left out of an endless line is looked at all the same."""
    content = kept([b"a" * (2 * MAX_LINE), b"\0\n"], 10 * MAX_LINE)
    with pytest.raises(SourceError, match="binary"):
        list(Text("it", part(content, 0, content.size)))
    content.close()


@given(st.lists(st.integers(0, 300_000), max_size=8), st.booleans())
def test_lines_of_any_length_are_read_as_they_stand(lengths, ended):
    """Wherever a line lies in what is read at once, it comes whole, or cut where it is too long."""
    said = [b"a" * length + b"\n" for length in lengths]
    if said and not ended:
        said[-1] = said[-1][:-1]
    content = kept([b"".join(said)], 10_000_000)
    text = Text("it", part(content, 0, content.size))
    assert list(text) == [line[: MAX_LINE + 1] if len(line) > MAX_LINE else line for line in said if line]
    assert text.ended == (ended or not said or not said[-1])
    content.close()
