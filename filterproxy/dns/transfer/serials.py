"""The serials of zones, kept over a restart: a receiver that has what there is takes nothing again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from filterproxy.lists.files import write_whole

from .versions import newer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from .zone import Zone

FILE: Final = "serials.json"

log = logging.getLogger("filterproxy.dns")


class Serials:
    """The last serial of each zone, and a keyed digest of what it said under it; nothing of it in clear."""

    def __init__(self, state: Path) -> None:
        """Take up what lies in the state folder. Never raises: where it cannot be read, it is said, and time counts."""
        self._state = state
        self._last: dict[str, tuple[int, str]] = {}
        try:
            found = json.loads((state / FILE).read_bytes())
            self._last = {str(name): (int(serial) % 2**32, str(digest)) for name, (serial, digest) in found.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as exc:
            log.error("%s cannot be read: %s; zones are transferred anew", state / FILE, type(exc).__name__)

    def serial(self, zone: Zone, key: bytes, now: datetime) -> int:
        """Return the serial of what a zone says: the last one where it says the same, else one that is newer.

        That is the Unix time, unless there was one under that already (RFC 1982). Not for two threads at once.
        """
        before, digest = self._last.get(zone.name), zone.digest(key)
        if before is not None and before[1] == digest:
            return before[0]
        serial = int(now.timestamp()) % 2**32
        if before is not None and not newer(serial, before[0]):
            serial = (before[0] + 1) % 2**32
        self._last[zone.name] = serial, digest
        try:
            write_whole(self._state, [json.dumps(self._last).encode()], lambda _: FILE)
        except OSError as exc:
            log.error("%s cannot be written: %s", self._state / FILE, exc.strerror or type(exc).__name__)
        return serial
