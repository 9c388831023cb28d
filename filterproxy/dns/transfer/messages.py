"""What is said of a zone, as messages (RFC 5936, RFC 1995, RFC 1996).

Every message repeats the question: there the zone's name stands to which the records point. The messages are whole but
for OPT and TSIG.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from filterproxy.dns import wire

from .packed import Records
from .versions import newer
from .zone import APEX

if TYPE_CHECKING:
    from .versions import Version

SIZE: Final = 16_384
"""Bytes of a message. A pointer reaches no further, and 64 KB would hold up others for four times as long."""
SMALLEST: Final = 2048
"""Bytes of a message at least: any record fits beside any question and signature."""

_NOTIFY: Final = 4 << 11
_TYPE_CLASS: Final = struct.Struct("!HH")


def soa(version: Version, ident: int, question: bytes) -> bytes:
    """Return the answer to a question for the zone's SOA, or to one of a receiver that has what there is."""
    return _message(ident, question, 1, version.zone.soa(version.serial))


def axfr(version: Version, ident: int, question: bytes, *, room: int, size: int = SIZE) -> Iterator[bytes]:
    """Yield the whole zone (RFC 5936, section 2.2). `room` bytes of the `size` of each message are left."""
    apex = Records.of((version.zone.soa(version.serial),))
    return _messages((apex, APEX, version.zone.records, apex), ident, question, room, size)


def ixfr(
    version: Version, ident: int, question: bytes, serial: int, *, room: int, size: int = SIZE
) -> Iterator[bytes]:  # fmt: skip
    """Yield what changed since `serial`, the oldest first (RFC 1995, section 4).

    To a receiver that has this version, or a newer one, the SOA alone; the whole zone where it is not known how to come
    here.
    """
    differences = () if newer(serial, version.serial) else version.since(serial)
    if differences is None:
        return axfr(version, ident, question, room=room, size=size)
    if not differences:
        return iter((soa(version, ident, question),))
    said = version.zone.soa
    parts = [Records.of((said(version.serial),))]
    for step in differences:
        parts += (Records.of((said(step.before),)), step.removed, Records.of((said(step.serial),)), step.added)
    return _messages([*parts, parts[0]], ident, question, room, size)


def count(version: Version, serial: int | None = None) -> int:
    """Return how many records, SOA and NS aside, one takes who asks for what changed since `serial`, or for all."""
    differences = None if serial is None else version.since(serial)
    return len(version.zone) if differences is None else sum(step.size for step in differences)


def notify(version: Version, ident: int) -> bytes:
    """Return word that there is another version (RFC 1996, section 3)."""
    question = version.zone.wire_name + _TYPE_CLASS.pack(wire.SOA, wire.IN)
    head = wire.HEADER.pack(ident, _NOTIFY | wire.AA, 1, 1, 0, 0)
    return head + question + version.zone.soa(version.serial)


def _messages(parts: Iterable[Records], ident: int, question: bytes, room: int, size: int) -> Iterator[bytes]:
    """Yield messages that hold these records, in this order."""
    space = max(size, SMALLEST) - wire.HEADER.size - len(question) - room
    pieces: list[bytes | memoryview] = []
    left, held = space, 0
    for part in parts:
        at = 0
        while at < len(part):
            end = part.fitting(at, left)
            if end == at:
                yield _message(ident, question, held, *pieces)
                pieces, left, held = [], space, 0
                continue
            run = part.run(at, end)
            pieces.append(run)
            left, held, at = left - len(run), held + end - at, end
    yield _message(ident, question, held, *pieces)


def _message(ident: int, question: bytes, answers: int, *pieces: bytes | memoryview) -> bytes:
    return b"".join((wire.HEADER.pack(ident, wire.QR | wire.AA, 1, answers, 0, 0), question, *pieces))
