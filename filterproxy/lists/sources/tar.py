"""The members of a tar archive, where they lie in it: nothing is ever written, made or followed.

Read here rather than by `tarfile`, which takes an archive that was cut at the end of a member, or whose next header is
damaged, for one that ends there: a shorter list. POSIX.1-2017, pax, and GNU's long names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from filterproxy.errors import SourceError

from . import paths
from .memory import Content

BLOCK = 512
_EXTENDED = 64 * 1024
"""Bytes at most of what says more about the next member."""
_DAMAGED = "the archive is damaged"
_CUT = "the archive is cut short"


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive: its path, and where its bytes are."""

    path: str
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    size: int
    kind: bytes


def begins(block: bytes) -> bool:
    """Tell whether a content that begins so is an archive."""
    return len(block) >= BLOCK and any(block[:100]) and _summed(block[:BLOCK])


def members(content: Content) -> Iterator[Member]:
    """Yield every regular file; links, devices and folders are left out.

    Raises SourceError where the archive is damaged, cut short, followed by anything, holds too many members, one path
    twice, or an odd one.
    """
    at = count = 0
    more: dict[str, str] = {}
    met: set[str] = set()
    while (header := _header(content, at)) is not None:
        count += 1
        if count > 4 * paths.MAX_DOCUMENTS or len(met) > paths.MAX_DOCUMENTS:
            raise SourceError(f"more than {paths.MAX_DOCUMENTS} files")
        body = at + BLOCK
        if header.kind in (b"x", b"L", b"K", b"g"):
            at = _after(content, body, header.size)
            more |= _extended(header, content.read(body, _bounded(header.size)))
            continue
        size, path = _size(more.get("size"), header.size), paths.plain(more.get("path", header.name))
        at = _after(content, body, size)
        if _regular(header, size):
            if not path or path in met:
                raise SourceError("it holds an odd path")
            met.add(path)
            yield Member(path, body, size)
        more = {}
    _closed(content, at, pending=bool(more))


def _header(content: Content, at: int) -> _Header | None:
    """Return the header at a place, or None where the archive has its end."""
    block = content.read(at, BLOCK)
    if len(block) < BLOCK:
        raise SourceError(_CUT)
    if not any(block):
        return None
    if not _summed(block):
        raise SourceError(_DAMAGED)
    name, prefix = _text(block[:100]), b""
    if block[257:263] == b"ustar\0":
        prefix = _text(block[345:500])
    return _Header(_named(prefix + b"/" + name if prefix else name), _number(block[124:136]), block[156:157])


def _regular(header: _Header, size: int) -> bool:
    """Tell a regular file from what is left out. What has no bytes by its kind and claims some is damaged."""
    if header.kind in (b"0", b"7", b"\0") and not (header.kind == b"\0" and header.name.endswith("/")):
        return True
    if header.kind not in (b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"V"):
        raise SourceError("it holds a member of an unknown kind")
    if size:
        raise SourceError(_DAMAGED)
    return False


def _extended(header: _Header, body: bytes) -> dict[str, str]:
    """Return what an extended header says of the next member: `path` and `size` alone."""
    if header.kind == b"L":
        return {"path": _named(_text(body))}
    if header.kind == b"K":
        return {}
    found = dict(_records(body))
    # What holds holes, or says of all members what only one can be, is nothing that a list comes in.
    if any(name.startswith("GNU.sparse") for name in found) or (
        header.kind == b"g" and found.keys() & {"path", "size"}
    ):
        raise SourceError("it holds a member of an unknown kind")
    return {name: found[name] for name in ("path", "size") if name in found}


def _records(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the records `LENGTH NAME=VALUE` and a line feed, of a pax header."""
    at = 0
    while at < len(body):
        digits, blank, _ = body[at : at + 12].partition(b" ")
        length = int(digits) if blank and digits.isdigit() else 0
        record = body[at + len(digits) + 1 : at + length]
        name, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or at + length > len(body):
            raise SourceError(_DAMAGED)
        # Other values may be binary, such as attributes of a file; only names are read as text.
        yield name.decode("utf-8", "replace"), _named(value[:-1]) if name in (b"path", b"size") else ""
        at += length


def _closed(content: Content, at: int, *, pending: bool) -> None:
    """Raise SourceError unless nothing but zero bytes is left."""
    if pending:
        raise SourceError(_DAMAGED)
    while chunk := content.read(at, 1024 * 1024):
        if any(chunk):
            raise SourceError("something follows the archive")
        at += len(chunk)


def _after(content: Content, body: int, size: int) -> int:
    """Return where the next header is."""
    if body + size > content.size:
        raise SourceError(_CUT)
    return body + -(-size // BLOCK) * BLOCK


def _bounded(size: int) -> int:
    if size > _EXTENDED:
        raise SourceError(_DAMAGED)
    return size


def _size(said: str | None, size: int) -> int:
    if said is None:
        return size
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        raise SourceError(_DAMAGED)
    return int(said)


def _summed(block: bytes) -> bool:
    """Tell whether the checksum is right; some old programs summed signed bytes."""
    try:
        said = _number(block[148:156])
    except SourceError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    return said in (unsigned, unsigned - 256 * sum(byte > 127 for byte in rest))


def _number(field: bytes) -> int:
    """Return an octal number, or one of GNU's in base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    digits = _text(field).strip(b" ")
    if digits.strip(b"01234567"):
        raise SourceError(_DAMAGED)
    return int(digits or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _named(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise SourceError("it holds an odd path") from None
