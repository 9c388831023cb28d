"""Where lists come from: files, for now. What is no text, too large or not to be read is a SourceError."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from filterproxy.errors import SourceError

from .formats.lines import MAX_LINE

MAX_BYTES = 2 * 1024**3
"""Bytes of a source at most."""


class Source:
    """A file that is read once, line by line."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self.ended = True
        """Whether the last line that was read has its end: without, the file may have been cut short."""

    def lines(self) -> Iterator[bytes]:
        """Yield the lines. Raises SourceError."""
        for line in lines(self._path):
            self.ended = line.endswith(b"\n") or len(line) > MAX_LINE
            yield line


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, each cut at one byte over MAX_LINE. Raises SourceError; the path is no secret."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise SourceError(f"{path}: not a regular file")
            if facts.st_size > MAX_BYTES:
                raise SourceError(f"{path}: larger than {MAX_BYTES} bytes")
            while line := file.readline(MAX_LINE + 1):
                if b"\0" in line:
                    raise SourceError(f"{path}: binary, not a list")
                whole = line.endswith(b"\n")
                yield line
                while not whole and (rest := file.readline(MAX_LINE)):
                    whole = rest.endswith(b"\n")
    except OSError as exc:
        raise SourceError(f"{path}: {exc.strerror or type(exc).__name__}") from exc


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for what is on the other side of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
