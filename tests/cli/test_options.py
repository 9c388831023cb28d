from __future__ import annotations

import os
import sys

from filterproxy.cli.options import Printer, targets


def test_targets_come_as_given_and_line_by_line(monkeypatch):
    """`-` stands for the lines of standard input, in its place; bytes that are no text survive."""
    reading, writing = os.pipe()
    os.write(writing, b"b\r\nc\n\xff")
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert list(targets(["a", "-", "d"])) == ["a", "b", "c", "\udcff", "d"]


def test_lines_are_written_whole(capfdbinary):
    """Each line once, in order, whatever its bytes were."""
    printer = Printer()
    for number in range(10_000):
        printer.line(f"{number} \udcff")
    printer.flush()
    printer.flush()
    assert capfdbinary.readouterr().out == b"".join(b"%d \xff\n" % number for number in range(10_000))
