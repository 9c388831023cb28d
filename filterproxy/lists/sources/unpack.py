"""Gzip (RFC 1952) and Zstandard (RFC 8878), told by their first bytes and unpacked once, in bounded memory.

What is damaged, cut short or followed by anything else is a SourceError: never a shorter list.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator

from filterproxy.errors import SourceError

from . import tar
from .memory import Content, kept
from .texts import BINARY

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_DAMAGED = "the packed list is damaged, or something follows it"
_CUT = "the packed list is cut short"
_GZIP = b"\x1f\x8b"
_FRAME = b"\x28\xb5\x2f\xfd"
_WINDOW = 27
"""The power of two of bytes that a Zstandard frame may ask for: 128 MiB, what its own program allows."""
_STEP = 16 * 1024
_MADE = 256 * 1024
_PARTS = 1_000_000
"""Members or frames at most: an empty one is a few bytes, and costs the work of a large one."""


def packed(content: Content) -> bool:
    """Tell whether the first bytes are those of gzip or Zstandard."""
    first = content.read(0, 4)
    return first.startswith(_GZIP) or _frame(first)


def unpacked(content: Content, limit: int) -> Content:
    """Return in memory what is packed in `content`. Raises SourceError; beyond `limit` bytes at once."""
    chunks = content.chunks(_STEP)
    made = _gunzipped(chunks) if content.read(0, 2) == _GZIP else _unframed(chunks)
    return kept(_text_or_tar(made), limit, " once unpacked")


def _frame(first: bytes) -> bool:
    """Tell whether a frame begins so, or a skippable one, which some programs put first."""
    return first.startswith(_FRAME) or (first[1:4] == b"\x2a\x4d\x18" and first[0] >> 4 == 5)


def _text_or_tar(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on what may be a list; a flood of zero bytes is neither a text nor an archive, and ends here."""
    head = b""
    archive: bool | None = None
    for chunk in chunks:
        if archive is None:
            head += chunk[: tar.BLOCK]
            if len(head) >= tar.BLOCK:
                archive = tar.begins(head)
        if archive is False and b"\0" in chunk:
            raise SourceError(BINARY)
        yield chunk


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the members hold (RFC 1952, section 2.2); zlib checks the sum and length of each."""
    member, parts = zlib.decompressobj(wbits=31), 1
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member, parts = zlib.decompressobj(wbits=31), _counted(parts)
            try:
                yield member.decompress(rest, _MADE)
            except zlib.error:
                raise SourceError(_DAMAGED) from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise SourceError(_CUT)


def _unframed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the frames hold (RFC 8878, section 3.1)."""
    frame, parts = _opener(), 1
    for chunk in chunks:
        rest = chunk
        while rest or not frame.needs_input:
            if frame.eof:
                if not rest:
                    break
                frame, parts = _opener(), _counted(parts)
            try:
                yield frame.decompress(rest, _MADE)
            except zstd.ZstdError:
                raise SourceError(_DAMAGED) from None
            rest = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise SourceError(_CUT)


def _opener() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})


def _counted(parts: int) -> int:
    if parts >= _PARTS:
        raise SourceError(_DAMAGED)
    return parts + 1
