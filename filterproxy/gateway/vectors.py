"""The vectors of TLS: lengths, and as many bytes as they say (RFC 8446, section 3.4).

What does not add up raises UnreadableError; no other error leaves, and no message holds what was read.
"""

from __future__ import annotations


class UnreadableError(Exception):
    """What arrived has not one reading. The connection that brought it ends, and nothing of it goes further."""


class Vectors:
    """Reads a block from its first byte to its last."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many bytes are not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        at = self._at
        end = self._at = at + size
        if end > len(self._data):
            raise UnreadableError("it ends early")
        return self._data[at:end]

    def number(self, size: int) -> int:
        """Return the number in the next `size` bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int, least: int = 0) -> bytes:
        """Return a vector whose length stands in `size` bytes and is not below `least`."""
        length = int.from_bytes(self.take(size))
        if length < least:
            raise UnreadableError("a vector that is too short")
        return self.take(length)

    def end(self) -> None:
        """Raise UnreadableError where anything is left."""
        if self._at != len(self._data):
            raise UnreadableError("bytes behind the end")
