"""How a segment lies in a buffer or a file: a header in JSON, which names parts and their sizes, then these parts.

Each begins at a multiple of eight, so that arrays can be read where they lie. Written piece by piece the whole is never
in memory; and there is one way to write the same parts, so that what is cut short or longer is no segment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from filterproxy.errors import SegmentError

MAGIC: Final = b"FPSEG\x00\x03\n"
START: Final = len(MAGIC) + 4
"""Bytes before the header: the magic and how long the header is."""

Piece = bytes | bytearray | memoryview
"""What a buffer is written of; views are of single bytes."""


def layout(header: Mapping[str, Any], sizes: Mapping[str, int]) -> bytes:
    """Return what precedes the parts of these sizes. They follow in this order, each with its `padding`."""
    text = json.dumps({**header, "parts": dict(sizes)}, separators=(",", ":")).encode()
    size = len(text) + len(padding(START + len(text)))
    return MAGIC + size.to_bytes(4, "little") + text.ljust(size)


def padding(size: int) -> bytes:
    """Return what follows a part of that size, so that the next begins at a multiple of eight."""
    return bytes(-size % 8)


def header_size(start: Piece) -> int:
    """Return how long the header is, from a segment's first START bytes. Raises SegmentError."""
    if len(start) < START or start[: len(MAGIC)] != MAGIC:
        raise SegmentError("not a segment of this version")
    return int.from_bytes(start[len(MAGIC) : START], "little")


def header_of(text: Piece, room: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Return a segment's header and the sizes of its parts, which fill `room` bytes after it. Raises SegmentError."""
    try:
        header = json.loads(bytes(text))
        sizes = dict(header.pop("parts"))
        known = all(type(size) is int and size >= 0 for size in sizes.values())
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise SegmentError("a segment with a damaged header") from None
    if not known or sum(size + len(padding(size)) for size in sizes.values()) != room:
        raise SegmentError("a segment that is cut short")
    return header, sizes


def split(buffer: memoryview) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """Return a segment's header and its parts by name. Raises SegmentError where the buffer is cut short or foreign."""
    at = START + header_size(buffer[:START])
    header, sizes = header_of(buffer[START:at], len(buffer) - at)
    parts: dict[str, memoryview] = {}
    for name, size in sizes.items():
        parts[name] = buffer[at : at + size]
        at += size + len(padding(size))
    return header, parts


def join(header: Mapping[str, Any], parts: Mapping[str, Piece]) -> bytes:
    """Return the buffer that `split` takes apart."""
    pieces: list[Piece] = [layout(header, {name: len(part) for name, part in parts.items()})]
    for part in parts.values():
        pieces += (part, padding(len(part)))
    return b"".join(pieces)
