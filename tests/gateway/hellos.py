"""TLS hellos made by hand, in any form that is right or wrong."""

from __future__ import annotations

import struct


def vector(size: int, data: bytes) -> bytes:
    """Return `data` behind its length in `size` bytes."""
    return len(data).to_bytes(size) + data


def extension(kind: int, data: bytes = b"") -> bytes:
    return kind.to_bytes(2) + vector(2, data)


def server_name(name: bytes, *, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def alpn(*protocols: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in protocols)))


def encrypted(config_id: int = 7, suite: tuple[int, int] = (1, 1), key: int = 32, payload: int = 208) -> bytes:
    """Return the extension as NSS makes it for GREASE: X25519, and random bytes, which here are not random."""
    return extension(
        0xFE0D, b"\0" + struct.pack("!HHB", *suite, config_id) + vector(2, bytes(key)) + vector(2, bytes(payload))
    )


def message(
    *extensions: bytes, session: bytes = bytes(32), suites: bytes = b"\x13\x01", version: int = 0x0303
) -> bytes:
    """Return a ClientHello; without extensions it has not even an empty list of them."""
    body = version.to_bytes(2) + bytes(32) + vector(1, session) + vector(2, suites) + b"\1\0"
    return b"\1" + vector(3, body + (vector(2, b"".join(extensions)) if extensions else b""))


def records(data: bytes, *sizes: int, kind: int = 22, version: int = 0x0301) -> bytes:
    """Return `data` in records of these sizes, and the rest in one more."""
    made, at = b"", 0
    for size in (*sizes, len(data) - sum(sizes)):
        made += bytes([kind]) + version.to_bytes(2) + vector(2, data[at : at + size])
        at += size
    return made


def hello(*extensions: bytes) -> bytes:
    """Return a ClientHello in one record."""
    return records(message(*extensions))
