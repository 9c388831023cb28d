"""What the heads of HTTP/2 requests say (RFC 9113, section 8): unpacked once (HPACK, RFC 7541), and then looked up.

A client asks again in the same bytes wherever its encoder's table stays as it is. So heads are remembered by the table
that they were read with and their bytes, for all connections together: clients of one make have one table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from hpack import Decoder, HPACKError, OversizedHeaderListError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST: Final = 8192
"""Bytes of a head, packed, and unpacked as RFC 9113, section 6.5.2 counts them."""
LONGEST_KEPT: Final = 512
"""Bytes of the longest head that is remembered."""
KEPT: Final = 8 * 1024 * 1024
"""Bytes of the heads that are remembered, with what was made of them; twice."""
_OVERHEAD: Final = 300
"""Bytes that one of them takes besides."""
TABLES: Final = 1024
"""Tables that are told from one another."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"(?:[^\x00\r\n\t ](?:[^\x00\r\n]*[^\x00\r\n\t ])?)?")
_RESIZED: Final = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")
"""A head that sets the size of the table more often than anyone needs (RFC 7541, section 4.2)."""
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_HOP_BY_HOP: Final = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))


class Unreadable(Exception):  # noqa: N818 - it says what the head is
    """A head that cannot be unpacked, so that none behind it can: the connection ends. `calm`: it is only too much."""

    def __init__(self, *, calm: bool = False) -> None:
        self.calm = calm
        super().__init__("a head that cannot be unpacked")


class Fields(NamedTuple):
    """What counts of a request's head."""

    method: bytes
    path: bytes
    """With the query."""
    media_type: bytes = b""
    """The content-type as it was sent; empty where there is none, or more than one."""
    length: int = -1
    """The content-length; -1 where none is said."""

    def __repr__(self) -> str:
        """Hide the path, which may hold a question."""
        return f"Fields(method={self.method!r}, length={self.length})"


class Heads[Head]:
    """The heads that all connections of a process have sent."""

    def __init__(self, understand: Callable[[Fields], Head]) -> None:
        """`understand` makes of a head what its reader wants; the same of the same fields, always."""
        self.understand = understand
        self.young: dict[bytes, Head] = {}
        """Heads by table and bytes; read it directly, and `again` where it holds none."""
        self._old: dict[bytes, Head] = {}
        self._tables: dict[tuple[object, ...], bytes] = {}
        self._size = self._number = 0

    def again(self, key: bytes) -> Head | None:
        """Return the head that is known by `key`, if one is."""
        found = self._old.get(key)
        if found is not None:
            self.keep(key, found)
        return found

    def keep(self, key: bytes, head: Head) -> None:
        """Remember a head. What was not used lately leaves."""
        self._size += 2 * len(key) + _OVERHEAD
        if self._size > KEPT:
            self._size, self._old, self.young = 0, self.young, {}
        self.young[key] = head

    def table(self, facts: tuple[object, ...]) -> bytes:
        """Return a short name of a table: another for every other, and never one that was given before."""
        found = self._tables.get(facts)
        if found is None:
            if len(self._tables) >= TABLES:
                self._tables.clear()
            self._number += 1
            found = self._tables[facts] = self._number.to_bytes(6)
        return found


class Reader[Head]:
    """Reads the heads of one connection, each in its turn."""

    __slots__ = ("_decoder", "heads", "table")

    def __init__(self, heads: Heads[Head]) -> None:
        self.heads = heads
        self._decoder: Decoder | None = None
        self.table = heads.table(())
        """The name of the table as it is now; with the bytes of a head it makes the key of `Heads.young`."""

    def read(self, block: bytes) -> Head | None:
        """Return the head that `block` holds, or None where it is malformed (RFC 9113, 8.1.1). Raises Unreadable."""
        heads, key = self.heads, self.table + block
        found = heads.young.get(key) or heads.again(key)
        if found is not None:
            return found
        fields = fields_of(self.unpack(block))
        if fields is None:
            return None
        head = heads.understand(fields)
        if self.table == key[:6] and len(block) <= LONGEST_KEPT:
            heads.keep(key, head)
        return head

    def unpack(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Return the fields in `block` as they are. Raises Unreadable."""
        if _RESIZED.match(block):
            raise Unreadable
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = Decoder(MOST)
        table = decoder.header_table
        size, entries = table.maxsize, table.dynamic_entries
        before = (size, len(entries), entries[0] if entries else None)
        try:
            found = decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise Unreadable(calm=True) from None
        except HPACKError:
            raise Unreadable from None
        newest = entries[0] if entries else None
        if (table.maxsize, len(entries)) != before[:2] or newest is not before[2]:  # an entry that came is a new object
            self.table = self.heads.table((table.maxsize, *entries) if (entries or table.maxsize != 4096) else ())
        return found


def fields_of(found: Iterable[tuple[bytes, bytes]]) -> Fields | None:
    """Return what counts of a request's fields, or None where they are malformed (RFC 9113, sections 8.2 and 8.3)."""
    pseudo: dict[bytes, bytes] = {}
    media_type, media_types, length = b"", 0, -1
    plain = False
    for name, value in found:
        if not _VALUE.fullmatch(value):
            return None
        if name[:1] == b":":
            if plain or name in pseudo or name not in _PSEUDO:
                return None
            pseudo[name] = value
            continue
        plain = True
        if not _NAME.fullmatch(name) or name in _HOP_BY_HOP or (name == b"te" and value.lower() != b"trailers"):
            return None
        if name == b"content-type":
            media_type, media_types = value, media_types + 1
        elif name == b"content-length":
            if not _LENGTH.fullmatch(value) or length not in (-1, int(value)):
                return None
            length = int(value)
    path = pseudo.get(b":path")
    if not path or not pseudo.get(b":method") or b":scheme" not in pseudo:
        return None
    return Fields(pseudo[b":method"], path, media_type if media_types == 1 else b"", length)
