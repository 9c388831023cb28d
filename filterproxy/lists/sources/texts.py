"""Lines of a document, which may be asked for again and again. What holds a NUL byte is no text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from filterproxy.errors import SourceError
from filterproxy.lists.formats.lines import MAX_LINE

from .memory import Content

BINARY = "binary, not a list"
_BUFFER = 256 * 1024

Opener = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a document from its beginning. What it raises holds no name; the document puts its own before."""


class Text:
    """The lines of a document, each cut at one byte over MAX_LINE."""

    def __init__(self, label: str, opener: Opener) -> None:
        """`label` is what errors call it. Nothing is read yet."""
        self._label, self._opener = label, opener
        self.ended = True
        """Whether the last line of the last whole reading had its end: without, the list may have been cut short."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines from the first. Raises SourceError."""
        try:
            with self._opener() as file:
                yield from self._lines(file)
        except SourceError as exc:
            raise SourceError(f"{self._label}: {exc}") from exc

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        # A block at a time: a list of millions is read by its lines, and asking the file for each takes four times as
        # long. Of a line longer than a block no more is kept than is passed on.
        rest = b""
        while block := file.read(_BUFFER):
            if b"\0" in block:
                raise SourceError(BINARY)
            whole = rest + block
            end = whole.rfind(b"\n") + 1
            for line in io.BytesIO(whole[:end]):
                yield line if len(line) <= MAX_LINE else line[: MAX_LINE + 1]
            rest = whole[end : end + MAX_LINE + 1]
        if rest:
            yield rest
        self.ended = not rest


class Window(io.RawIOBase):
    """A part of some content as a file of its own."""

    def __init__(self, content: Content, at: int, size: int) -> None:
        self._content, self._at, self._end = content, at, at + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the same, typed more widely
        count = min(len(buffer), self._end - self._at)
        read = self._content.read_into(memoryview(buffer)[:count], self._at) if count > 0 else 0
        self._at += read
        return read


def part(content: Content, at: int, size: int) -> Opener:
    """Return what opens `size` bytes of `content` from the byte `at`."""

    @contextmanager
    def opener() -> Iterator[BinaryIO]:
        with io.BufferedReader(Window(content, at, size), _BUFFER) as file:
            yield file
        content.check()

    return opener
