"""The PROXY protocol, versions 1 and 2: for whom a balancer before us opened a connection (HAProxy's
doc/proxy-protocol.txt, sections 2.1 and 2.2).

It is read only from balancers that the configuration names, never guessed (section 5): who may send it says who it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from .vectors import UnreadableError, Vectors

LONGEST_LINE: Final = 107
LONGEST: Final = 4096
"""Bytes behind the first 16 of version 2 at most: addresses have 216 at most, the rest says what we do not read."""

_PREFIX: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD: Final = 16
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP(?:(4) ([0-9.]+) ([0-9.]+)|(6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+))"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_SIZES: Final = {_INET: 12, _INET6: 36, _UNIX: 216}
_CRC32C: Final = 3

type Data = bytes | bytearray | memoryview
type Peer = tuple[str, int]
"""An address in its one spelling, IPv4 as such, and a port."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """Between whom a connection was opened. Both are None where the balancer speaks for itself, or does not know."""

    source: Peer | None = field(repr=False)
    destination: Peer | None = field(repr=False)
    used: int
    """Bytes of the header: what follows is the client's."""


def read(data: Data) -> Proxied | None:
    """Return what the header says that `data` begins with, or None where more bytes are needed.

    Raises UnreadableError, as early as it can be known, where it begins with no header that has one reading.
    """
    start = bytes(data[:_HEAD])
    if start.startswith(_PREFIX):
        return _read_line(bytes(data[:LONGEST_LINE]))
    if start.startswith(_SIGNATURE):
        return _read_binary(data)
    if _PREFIX.startswith(start) or _SIGNATURE.startswith(start):
        return None
    raise UnreadableError("no header of the PROXY protocol")


def _read_line(start: bytes) -> Proxied | None:
    end = start.find(b"\n") + 1
    if not end:
        if len(start) == LONGEST_LINE:
            raise UnreadableError("a line that is too long")
        return None
    found = _LINE.fullmatch(start, 0, end)
    if found is None:
        raise UnreadableError("a line in another form")
    if found[7] is None:
        return Proxied(None, None, end)
    kind = IPv4Address if found[1] else IPv6Address
    source, destination = found[2] or found[5], found[3] or found[6]
    return Proxied(
        (_spelled(kind, source.decode()), _port(found[7])), (_spelled(kind, destination.decode()), _port(found[8])), end
    )


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 65535:
        raise UnreadableError("a port that there is not")
    return port


def _spelled(kind: type[IPv4Address | IPv6Address], address: str | bytes) -> str:
    try:
        made = kind(address)
    except ValueError:
        raise UnreadableError("an address that is none") from None
    if isinstance(made, IPv6Address) and made.ipv4_mapped is not None:
        made = made.ipv4_mapped
    return str(made)


def _read_binary(data: Data) -> Proxied | None:
    head = bytes(data[12:_HEAD])
    if head and head[0] not in {0x20, 0x21}:
        raise UnreadableError("another version or command")
    local = head[:1] == b"\x20"  # then the family says nothing, nor what follows
    if len(head) > 1 and not local and (head[1] >> 4 > _UNIX or head[1] & 0xF > 2):
        raise UnreadableError("another family or protocol")
    if len(head) < 4:
        return None
    length = int.from_bytes(head[2:])
    family = _UNSPEC if local or not head[1] & 0xF else head[1] >> 4
    if length > LONGEST or length < _SIZES.get(family, 0):
        raise UnreadableError("a header that is too long, or without its addresses")
    if len(data) < _HEAD + length:
        return None
    header = bytes(data[: _HEAD + length])
    if family == _UNSPEC:
        return Proxied(None, None, len(header))
    _check_rest(header, _HEAD + _SIZES[family])
    if family == _UNIX:
        return Proxied(None, None, len(header))
    block = Vectors(header[_HEAD:])
    kind, size = (IPv4Address, 4) if family == _INET else (IPv6Address, 16)
    source, destination = _spelled(kind, block.take(size)), _spelled(kind, block.take(size))
    return Proxied((source, block.number(2)), (destination, block.number(2)), len(header))


def _check_rest(header: bytes, at: int) -> None:
    """Raise UnreadableError where what follows the addresses has not its form, or not the sum that it says."""
    block, told = Vectors(header[at:]), None
    while block.left:
        kind, value = block.number(1), block.vector(2)
        if kind != _CRC32C:
            continue
        if told is not None or len(value) != 4:
            raise UnreadableError("two checksums, or none")
        told, place = int.from_bytes(value), len(header) - block.left
        if crc32c(header[: place - 4] + bytes(4) + header[place:]) != told:
            raise UnreadableError("a checksum that is wrong")


def crc32c(data: bytes) -> int:
    """Return the checksum of Castagnoli (RFC 4960, appendix B), which zlib has not."""
    table, found = _table(), 0xFFFFFFFF
    for byte in data:
        found = found >> 8 ^ table[(found ^ byte) & 0xFF]
    return found ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    made = []
    for number in range(256):
        found = number
        for _bit in range(8):
            found = found >> 1 ^ (0x82F63B78 if found & 1 else 0)
        made.append(found)
    return tuple(made)
