"""Frames of HTTP/2 (RFC 9113, sections 4, 6 and 7) as bytes, and the bounds that a server of DNS puts on them."""

from __future__ import annotations

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM: Final = 11
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITIZED = 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

HEAD: Final = struct.Struct("!HBBBL")
"""Length in two parts, kind, flags, stream."""
SETTING: Final = struct.Struct("!HL")

LONGEST_FRAME: Final = 16_384
"""Bytes of a frame behind its head: what the RFC begins with, and nobody needs more."""
LARGEST_WINDOW: Final = 2**31 - 1
WINDOW: Final = 65_535
"""Bytes of every window at first."""
TABLE: Final = 4096
"""Bytes of a HPACK table at first."""


class Broken(Exception):  # noqa: N818 - it says what the connection is
    """A client broke a rule: the connection ends with this code (RFC 9113, section 7)."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"HTTP/2 error {code}")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame as it is sent."""
    return HEAD.pack(len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return what a frame holds besides its padding. Raises Broken."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise Broken(FRAME_SIZE_ERROR)
    end = len(payload) - payload[0]
    if end < 1:
        raise Broken(PROTOCOL_ERROR)
    return payload[1:end]


def number(payload: bytes) -> int:
    """Return what a frame holds that is one number of 32 bits. Raises Broken."""
    if len(payload) != 4:
        raise Broken(FRAME_SIZE_ERROR)
    return int.from_bytes(payload)
