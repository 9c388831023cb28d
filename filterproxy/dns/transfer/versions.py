"""The versions of a zone: what it says now, under which serial, and what changed to come here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .packed import Records
    from .zone import Zone

MAX_DIFFERENCES: Final = 100
"""Differences that are kept of a zone."""
MAX_RECORDS: Final = 100_000
"""Records that these hold together: beyond, a receiver takes the whole zone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two versions."""

    before: int
    """The serial of the older one."""
    serial: int
    removed: Records
    added: Records

    @property
    def size(self) -> int:
        """How many records it holds."""
        return len(self.removed) + len(self.added)


@dataclass(frozen=True, slots=True)
class Version:
    """A zone under its serial. `differences` lead to it, the oldest first, each from where the one before led."""

    zone: Zone
    serial: int
    differences: tuple[Difference, ...] = ()

    def after(self, zone: Zone, serial: int) -> Version:
        """Return the version that follows; for a big zone this takes a second.

        A difference that is too big, or is of more than records, is none: then what went before is forgotten too.
        """
        if serial == self.serial:
            return replace(self, zone=zone)
        if zone.name != self.zone.name or zone.ttl != self.zone.ttl or not newer(serial, self.serial):
            return Version(zone, serial)
        old, new = self.zone.records, zone.records
        removed, added = old.without(new, MAX_RECORDS), new.without(old, MAX_RECORDS)
        if removed is None or added is None:
            return Version(zone, serial)
        kept, room = [Difference(self.serial, serial, removed, added)], MAX_RECORDS
        kept += reversed(self.differences[1 - MAX_DIFFERENCES :])
        for at, difference in enumerate(kept):
            room -= difference.size
            if room < 0:
                del kept[at:]
                break
        return Version(zone, serial, tuple(reversed(kept)))

    def since(self, serial: int) -> tuple[Difference, ...] | None:
        """Return what leads here from `serial`; nothing where that is here; None where it is not known."""
        if serial == self.serial:
            return ()
        for at, difference in enumerate(self.differences):
            if difference.before == serial:
                return self.differences[at:]
        return None


def newer(serial: int, than: int) -> bool:
    """Tell whether a serial comes after another: they go round (RFC 1982, section 3.2)."""
    return 0 < (serial - than) % 2**32 < 2**31
