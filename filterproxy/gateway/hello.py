"""What a TLS client says in clear before anything is encrypted: the name it visits, its protocols, and whether it
offers an encrypted hello.

A hello may come in any pieces of TCP and in some of TLS (RFC 8446, section 5.1), yet has one reading or none: what
servers read in different ways, or a few of them only, is refused here. What its encrypted part may mean, and what
nobody can know of it, says `ech`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from filterproxy.core import names

from . import ech
from .vectors import UnreadableError, Vectors

LONGEST: Final = 65_536
"""Bytes of a hello at most. Usual ones have 200 to 600, with post-quantum keys 1,500 to 2,000."""
MOST_RECORDS: Final = 64
"""Records that a hello comes in at most. Usual ones come in one; who hides names from filters cuts them in a few."""

_HEAD: Final = 5
_EXTENSION: Final = Struct("!HH")
_LONGEST_RECORD: Final = 16_384
_CLIENT_HELLO, _RECORD = 1, 22
_RECORDS: Final = range(20, 25)
"""Types of records, from change_cipher_spec to heartbeat."""
_SERVER_NAME, _ALPN = 0, 16

type Data = bytes | bytearray | memoryview


class NotTlsError(UnreadableError):
    """What arrived is no TLS at all: whoever carries other protocols judges it as one of those."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello says. `name` is canonical; None where none was given."""

    name: str | None = field(default=None, repr=False)
    alpn: tuple[bytes, ...] = ()
    """The protocols offered, in the client's order; empty where it offers none."""
    ech: ech.Offer | None = None
    """A hello may be hidden behind this one, whose name then is but the provider's. Most often it is GREASE."""
    inner: bool = False
    """Whether it calls itself a hidden hello, which none in clear can be (RFC 9849, section 7)."""


@dataclass(slots=True)
class _Walk:
    """How far the records that came reach: where their contents lie, and how many bytes are needed at least."""

    pieces: list[tuple[int, int]] = field(default_factory=list)
    needed: int = 1
    whole: bool = False


def read(data: Data) -> Hello | None:
    """Return the hello that `data` begins with, or None where more bytes are needed.

    What follows the hello's last record is not looked at. Raises NotTlsError and UnreadableError, as early as it can be
    known.
    """
    walk = _walk(data)
    if not walk.whole:
        return None
    return _understood(b"".join(bytes(data[at:end]) for at, end in walk.pieces)[4:])


def needed(data: Data) -> int:
    """Return how many bytes there must be at least before `read` can return a hello. Raises as it does.

    Who waits for so many reads a hello of n records at most 2n + 5 times, however few bytes come at once.
    """
    return _walk(data).needed


def _walk(data: Data) -> _Walk:
    """Pass over records, without a copy, until they hold a whole message."""
    walk, have, at, size, left = _Walk(), len(data), 0, -1, 4
    head = b""  # of the message; until it is there, `left` is what it lacks
    while True:
        walk.needed = at + _HEAD + left
        if have < at + _HEAD:
            _check_start(bytes(data[at:]), first=not at)
            if not at:
                walk.needed = have + 1  # what is no TLS shows in each of these bytes, and may end with any
            return walk
        length = _record(bytes(data[at : at + _HEAD]), first=not at)
        at += _HEAD
        if size < 0:  # its first four bytes may lie in four records
            head += bytes(data[at : at + min(length, 4 - len(head))])
            if head and head[0] != _CLIENT_HELLO:
                raise UnreadableError("a handshake that does not begin with a ClientHello")
            if len(head) == 4:
                size = int.from_bytes(head[1:])
                if size + 4 > LONGEST:
                    raise UnreadableError("a hello that is too long")
                left = size + 4 - sum(end - begin for begin, end in walk.pieces)
        if size >= 0 and length > left:
            raise UnreadableError("something behind the hello in its record")
        if have < at + length:
            walk.needed = at + length if size >= 0 else min(at + length, at + 4)
            return walk
        walk.pieces.append((at, at + length))
        at += length
        left -= length
        if size >= 0 and not left:
            walk.whole, walk.needed = True, at
            return walk
        if len(walk.pieces) >= MOST_RECORDS:
            raise UnreadableError("a hello in too many records")


def _check_start(start: bytes, *, first: bool) -> None:
    """Raise where no record of a hello begins with `start`, which is shorter than a record's head."""
    if start:
        kind = start[0]
        if first and kind >= 0x80 and len(start) < 3:
            return  # what it is shows in the third byte
        if kind != _RECORD or start[1:2] not in {b"", b"\3"}:
            raise _refusal(start, first=first)


def _record(head: bytes, *, first: bool) -> int:
    """Return the length of the contents of the record with `head` (section 5.1). Its minor version says nothing."""
    if head[0] != _RECORD or head[1] != 3:
        raise _refusal(head, first=first)
    length = int.from_bytes(head[3:])
    if not 0 < length <= _LONGEST_RECORD:
        raise UnreadableError("a record that is empty or too long")
    return length


def _refusal(start: bytes, *, first: bool) -> UnreadableError:
    if not first:
        return UnreadableError("another record within the hello")
    if start[0] >= 0x80 and start[2:3] == b"\1":
        return UnreadableError("a hello of SSL 2")  # RFC 5246, appendix E.2
    if start[0] in _RECORDS and start[0] != _RECORD and start[1:2] in {b"", b"\3"}:
        return UnreadableError("TLS that does not begin with a handshake")
    return NotTlsError("no TLS")


def _understood(message: bytes) -> Hello:
    """Return what a ClientHello says, the head of its message taken off (section 4.1.2; RFC 5246, section 7.4.1.2)."""
    block = Vectors(message)
    if block.number(1) != 3:
        raise UnreadableError("a version that there is not")
    block.take(1 + 32)
    session, suites = block.vector(1), block.vector(2, 2)
    block.vector(1, 1)
    if len(session) > 32 or len(suites) % 2:
        raise UnreadableError("a session that is too long, or half of a cipher suite")
    found = _extensions(block) if block.left else {}
    given, protocols, encrypted = found.get(_SERVER_NAME), found.get(_ALPN), found.get(ech.VERSION)
    offer = None if encrypted is None else ech.offered(encrypted)
    return Hello(
        None if given is None else _name(given),
        () if protocols is None else _alpn(protocols),
        offer,
        encrypted is not None and offer is None,
    )


def _extensions(block: Vectors) -> dict[int, bytes]:
    """Return the extensions by their type, of which none comes twice (section 4.2)."""
    found = dict[int, bytes]()
    data, at = block.vector(2), 0
    block.end()
    end = len(data)
    while at + _EXTENSION.size <= end:  # by hand, for there are many, and with Vectors a hello takes twice as long
        kind, size = _EXTENSION.unpack_from(data, at)
        at += _EXTENSION.size + size
        if kind in found:
            raise UnreadableError("an extension that comes twice")
        found[kind] = data[at - size : at]
    if at != end:
        raise UnreadableError("an extension that ends early")
    return found


def _name(data: bytes) -> str:
    """Return the one host that is named (RFC 6066, section 3): there was never a second kind of name."""
    block = Vectors(data)
    entries = Vectors(block.vector(2, 1))
    block.end()
    kind, name = entries.number(1), entries.vector(2, 1)
    entries.end()
    host = names.host(name.decode("ascii")) if not kind and name.isascii() else None
    if host is None:
        raise UnreadableError("a name that is no host")
    return host


def _alpn(data: bytes) -> tuple[bytes, ...]:
    """Return the protocols of a list that is not empty (RFC 7301, section 3.1)."""
    block = Vectors(data)
    entries = Vectors(block.vector(2, 2))
    block.end()
    found = []
    while entries.left:
        found.append(entries.vector(1, 1))
    return tuple(found)
