"""Segments as files: written and read piece by piece and hashed on the way, so that none is ever in memory twice.

A file is named after its content and never changed. On disk patterns and facts are sealed for the supervisor, and the
entries as they were read for control; beside them stand the ids of the patterns, so that two readings can be compared
without opening either.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from filterproxy.core.layout import START, Piece, header_of, header_size, layout, padding
from filterproxy.core.model import Entry
from filterproxy.errors import SegmentError

from . import changes
from .compile import Compiled
from .entries import unpacked
from .manifest import Part
from .seals import WRAPPED, Opening, Seals, clear_size, opens, sealed, sealed_size, unsealed

BLOCK: Final = 1024 * 1024
"""Bytes that are in memory at once of a file that is read or written."""
ONE_CHUNK: Final = ("patterns", "facts")
"""The parts that are sealed for the supervisor, each as one chunk."""
ENTRIES: Final = "entries"
IDS: Final = "pattern_ids"


def write_segment(
    folder: Path, compiled: Compiled, seals: Seals, announce: Callable[[str], None] = lambda _: None
) -> Part:
    """Write a segment and return its part. Raises OSError; then there is no file.

    `announce` is told the file's name before there is one.
    """
    clear: dict[str, Piece] = {**compiled.parts, IDS: changes.pattern_ids(compiled.parts["patterns"], seals.digest)}
    public = dict.fromkeys(ONE_CHUNK, seals.patterns_public) | {ENTRIES: seals.sealing_public}
    chunks: dict[str, Sequence[Piece]] = {name: [part] if (part := clear.pop(name)) else [] for name in ONE_CHUNK}
    chunks[ENTRIES] = compiled.entries
    sizes = {name: len(part) for name, part in clear.items()}
    sizes |= {name: sealed_size(part) for name, part in chunks.items()}

    def pieces() -> Iterator[Piece]:
        yield layout(compiled.header, sizes)
        for name, size in sizes.items():
            if name in clear:
                yield clear[name]
            else:
                yield from sealed(compiled.name, name, chunks[name], public[name])
            yield padding(size)

    def named(digest: str) -> str:
        announce(file_of(digest))
        return file_of(digest)

    digest, size = write_whole(folder, pieces(), named)
    return Part(compiled.name, file_of(digest), digest, compiled.version, compiled.header["loaded_at"], size)


def file_of(digest: str) -> str:
    """Return the name of the file with that SHA-256."""
    return f"{digest[:32]}.seg"


def opened(folder: Path, part: Part, opening: Opening) -> Iterator[Piece]:
    """Yield a segment's buffer as workers map it, piece by piece: patterns and facts in clear, no entries.

    Raises SegmentError where the file is not the one that was written, be it after the last piece: nothing may be
    used before all was taken.
    """
    return _gathered(_opened(folder, part, opening))


def _opened(folder: Path, part: Part, opening: Opening) -> Iterator[Piece]:
    with reading(folder, part) as file:
        kept = {name: size for name, size in file.sizes.items() if name not in (ENTRIES, IDS)}
        sizes = {name: clear_size(size) if name in ONE_CHUNK else size for name, size in kept.items()}
        yield layout(file.header, sizes)
        for name, size in file.sizes.items():
            if name in ONE_CHUNK:
                content = io.BytesIO(b"".join(file.part(size)))
                yield from unsealed(part.name, name, size, content.read, opening.patterns_private)
            elif name in kept:
                yield from file.part(size)
            else:
                file.skip(size)
                continue
            yield padding(sizes[name])
        file.check()


def arrays(folder: Path, part: Part, names: Collection[str]) -> tuple[dict[str, Any], dict[str, bytearray]]:
    """Return a segment's header and these of its parts as they lie in the file. Raises SegmentError."""
    with reading(folder, part) as file:
        found = {name: bytearray() for name in names}
        for name, size in file.sizes.items():
            if name in found:
                for piece in file.part(size):
                    found[name] += piece
            else:
                file.skip(size)
        file.check()
        if any(len(content) != file.sizes.get(name) for name, content in found.items()):
            raise SegmentError(f"{part.name}: a segment of another version")
        return file.header, found


def entries_of(folder: Path, part: Part, sealing_private: bytes) -> Iterator[Entry]:
    """Yield the entries of a segment on disk. Raises SegmentError before the first where the file was changed."""
    with reading(folder, part) as file:
        at = 0
        for name, size in file.sizes.items():
            if name == ENTRIES:
                at = file.tell()
            file.skip(size)
        file.check()
        file.seek(at)
        yield from unpacked(unsealed(part.name, ENTRIES, file.sizes.get(ENTRIES, 0), file.take, sealing_private))


def entries_open(folder: Path, part: Part, sealing_private: bytes) -> bool:
    """Tell whether the entries of a segment, if it has any, are sealed for this key. Raises SegmentError."""
    with reading(folder, part) as file:
        at = file.tell()
        for name, size in file.sizes.items():
            if name == ENTRIES and size:
                file.seek(at)
                return opens(part.name, ENTRIES, file.take(WRAPPED), sealing_private)
            at += size + len(padding(size))
        return True


class _Reading:
    """A segment's file, read from its beginning to its end."""

    def __init__(self, handle: BinaryIO, part: Part) -> None:
        self._handle, self._part, self._hash = handle, part, sha256()
        first = self.take(START)
        size = header_size(first)
        if START + size > part.size:
            raise SegmentError("a segment with a damaged header")
        self.header, self.sizes = header_of(self.take(size), part.size - START - size)
        if self.header.get("name") != part.name:
            raise SegmentError("another segment")

    def take(self, size: int) -> bytes:
        """Return the next so many bytes."""
        content = self._handle.read(size)
        if len(content) != size:
            raise SegmentError("the file is cut short")
        self._hash.update(content)
        return content

    def part(self, size: int) -> Iterator[bytes]:
        """Yield the part of that size that comes next; all of it is to be taken."""
        left = size
        while left:
            yield self.take(min(left, BLOCK))
            left -= min(left, BLOCK)
        self.take(len(padding(size)))

    def skip(self, size: int) -> None:
        """Read over a part."""
        for _ in self.part(size):
            pass

    def tell(self) -> int:
        """Return where the next part begins."""
        return self._handle.tell()

    def seek(self, at: int) -> None:
        """Go back to where a part begins."""
        self._handle.seek(at)

    def check(self) -> None:
        """Raise SegmentError unless all that was read is what was written."""
        if self._handle.read(1) or self._hash.hexdigest() != self._part.digest:
            raise SegmentError("the file is not the one that was written")


@contextmanager
def reading(folder: Path, part: Part) -> Iterator[_Reading]:
    """Open a segment's file for reading; errors name the segment."""
    try:
        with open(folder / part.file, "rb", buffering=0) as handle:
            yield _Reading(handle, part)
    except OSError as exc:
        raise SegmentError(f"{part.name}: {exc.strerror or type(exc).__name__}") from None
    except SegmentError as exc:
        text = str(exc)
        raise SegmentError(text if text.startswith(f"{part.name}: ") else f"{part.name}: {text}") from None


def write_whole(folder: Path, pieces: Iterable[Piece], name: Callable[[str], str]) -> tuple[str, int]:
    """Write a file whole or not at all, readable by its owner alone; return its SHA-256 in hex, and its size.

    `name` is told the digest and returns the file's name. Raises OSError; then what bore that name is as it was, or,
    where only the name did not reach the disk, the new one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}.new"
    hasher, size = sha256(), 0
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for piece in _gathered(pieces):
                hasher.update(piece)
                size += len(piece)
                _write(handle, piece)
            os.fsync(handle)
        finally:
            os.close(handle)
        digest = hasher.hexdigest()
        temporary.replace(folder / name(digest))
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _settle(folder)
    return digest, size


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces with the small ones put together, so that each is worth a call of the kernel's."""
    held = bytearray()
    for piece in pieces:
        if held and len(held) + len(piece) > BLOCK:
            yield held
            held = bytearray()
        if len(piece) > BLOCK:
            yield piece
        else:
            held += piece
    if held:
        yield held


def _settle(folder: Path) -> None:
    """Bring names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(handle: int, piece: Piece) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]
