"""Where lists come from: files, folders and https, plain or packed. What is refused is never a shorter list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from filterproxy.errors import SourceError

from . import files
from .https import Validators
from .opening import Fetched, opened
from .places import is_remote, shown
from .signatures import Key
from .texts import Text, part

MAX_BYTES = 2 * 1024**3
"""Bytes of a file at most, where no list's settings say."""


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, each cut at one byte over MAX_LINE. Raises SourceError; the path is no secret."""
    try:
        content = files.opened(path, MAX_BYTES)
    except SourceError as exc:
        raise SourceError(f"{path}: {exc}") from exc
    try:
        yield from Text(str(path), part(content, 0, content.size))
    finally:
        content.close()


__all__ = ["MAX_BYTES", "Fetched", "Key", "Validators", "is_remote", "lines", "opened", "shown"]
