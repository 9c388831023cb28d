from __future__ import annotations

from filterproxy.core.model import BadLine
from filterproxy.lists.formats.lines import MAX_LINE, Options, numbered


def test_lines_keep_their_numbers():
    """Empty lines and comments count, so that a report leads to the line."""
    assert list(numbered([b"\xef\xbb\xbfa\r\n", b"\n", b"# c\n", b" b \n"], Options())) == [(1, "a"), (4, "b")]


def test_what_is_no_text_is_a_bad_line():
    """Bytes that are not UTF-8 and endless lines are reported, never guessed at."""
    found = list(numbered([b"\xff\n", b"a" * (MAX_LINE + 1)], Options()))
    assert [(item.line, item.reason) for item in found if isinstance(item, BadLine)] == [
        (1, "not UTF-8"),
        (2, f"longer than {MAX_LINE} bytes"),
    ]
