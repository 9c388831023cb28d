"""The parameters of SVCB and HTTPS records (RFC 9460, section 2.2), read strictly: as a client must, or not at all."""

from __future__ import annotations

import socket
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from filterproxy.core import names

from .wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .wire import Record

MANDATORY, ALPN, NO_DEFAULT_ALPN, PORT, IPV4HINT, ECH, IPV6HINT = range(7)

Params = tuple[tuple[int, bytes], ...]
"""Keys and values, the keys ascending."""

_HEAD = struct.Struct("!HH")
_HINTS: Final = {IPV4HINT: 4, IPV6HINT: 16}


def begin(packet: bytes, at: int, end: int) -> int:
    """Return where the parameters begin in a record's data, which lie from `at` to `end`: behind priority and target.

    The target is passed over as it stands, so `packet` may be a part of a message. Raises Malformed.
    """
    at += 2
    while at < end:
        length = packet[at]
        if length > 63:
            if length < 0xC0 or at + 2 > end:
                break
            return at + 2
        at += length + 1
        if not length:
            return at
    raise Malformed("a target that ends early")


def read(packet: bytes, at: int, end: int) -> Params:
    """Return the parameters that lie from `at` to `end`. Raises Malformed for what a client must refuse."""
    found: list[tuple[int, bytes]] = []
    last = -1
    while at < end:
        if at + 4 > end:
            raise Malformed("a parameter that ends early")
        key, size = _HEAD.unpack_from(packet, at)
        at += 4 + size
        if key <= last or at > end:
            raise Malformed("a parameter out of order, or one that ends early")
        value = packet[at - size : at]
        _check(key, value)
        found.append((key, value))
        last = key
    return tuple(found)


def pack(params: Iterable[tuple[int, bytes]]) -> bytes:
    """Return parameters in wire form."""
    return b"".join(_HEAD.pack(key, len(value)) + value for key, value in params)


def protocols(value: bytes) -> list[bytes]:
    """Return the protocols in the value of `alpn` (section 7.1). Raises Malformed."""
    found, at = [], 0
    while at < len(value):
        end = at + 1 + value[at]
        if not value[at] or end > len(value):
            raise Malformed("a protocol without a name, or one that ends early")
        found.append(value[at + 1 : end])
        at = end
    if not found:
        raise Malformed("no protocol")
    return found


def keys(value: bytes) -> tuple[int, ...]:
    """Return the keys in the value of `mandatory` (section 8). Raises Malformed."""
    if not value or len(value) % 2:
        raise Malformed("no key, or half of one")
    found: tuple[int, ...] = struct.unpack(f"!{len(value) // 2}H", value)
    if not found[0] or any(one >= other for one, other in pairwise(found)):
        raise Malformed("keys out of order")
    return found


def addresses(params: Params) -> Iterator[bytes]:
    """Return the addresses in both hints, packed: 4 or 16 bytes."""
    for key, value in params:
        size = _HINTS.get(key)
        if size is not None:
            yield from (value[at : at + size] for at in range(0, len(value), size))


def is_alias(packet: bytes, at: int) -> bool:
    """Tell whether a record's data, which begin at `at`, have priority 0: its parameters are to be ignored."""
    return packet[at : at + 2] == b"\0\0"


def hints(packet: bytes, record: Record) -> Iterator[str]:
    """Return the addresses in both hints of an SVCB or HTTPS record, as hosts are spelled. Raises Malformed.

    In a record that is but an alias parameters say nothing, and are not read (section 2.4.2).
    """
    if is_alias(packet, record.data_at):
        return
    for address in addresses(read(packet, begin(packet, record.data_at, record.end), record.end)):
        if len(address) == 4:
            yield socket.inet_ntop(socket.AF_INET, address)
            continue
        host = f"[{socket.inet_ntop(socket.AF_INET6, address)}]"
        # Only where the system writes the end as IPv4 do the parser of hosts and it disagree.
        yield names.host(host) or host if "." in host else host


def _check(key: int, value: bytes) -> None:
    """Raise Malformed where the value of a known key has not its form (sections 7 and 8)."""
    if key == MANDATORY:
        keys(value)
    elif key == ALPN:
        protocols(value)
    elif (key == NO_DEFAULT_ALPN and value) or (key == PORT and len(value) != 2):
        raise Malformed("a value of the wrong length")
    elif (size := _HINTS.get(key)) is not None and (not value or len(value) % size):
        raise Malformed("no address, or a part of one")
