"""What was told already, so that a refresh every hour tells nothing twice. Bounded; survives a restart in a file.

The file is written when nothing waits to be sent: what a crash kept from being sent is raised again.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Final

from .alert import KINDS, Alert

MOST: Final = 20_000
"""Alerts that are remembered at most; the one not met for longest is forgotten first."""
_DAY: Final = 86_400.0
_LASTING: Final = frozenset({"domain", "quarantine"})
"""Kinds that say what a list holds: told once, and again only after a month without it. Others remind once a day."""


class Memory:
    """Not thread-safe: who owns it holds a lock."""

    def __init__(self, path: Path | None) -> None:
        """Begin with what `path` holds; with nothing where it is missing or damaged. None is no file."""
        self._path = path
        self._until = _read(path) if path is not None else {}
        self._dirty = False

    def __len__(self) -> int:
        """Return how many alerts are remembered."""
        return len(self._until)

    def is_new(self, alert: Alert, now: float) -> bool:
        """Return whether `alert` is to be told at `now` (Unix time), and remember it."""
        key = f"{alert.kind}:{alert.key}"
        until = self._until.pop(key, 0.0)
        lasts = alert.kind in _LASTING
        span = 30 * _DAY if lasts else _DAY
        known = now < until <= now + span  # a clock that was ahead must not silence it for years
        self._until[key] = until if known and not lasts else now + span  # at the end: the first is the oldest
        if len(self._until) > MOST:
            del self._until[next(iter(self._until))]
        self._dirty = True
        return not known

    def unwritten(self) -> bytes | None:
        """Return what the file should hold, or None where it does."""
        if self._path is None or not self._dirty:
            return None
        self._dirty = False
        return json.dumps(self._until).encode()

    def write(self, content: bytes) -> None:
        """Replace the file. Raises OSError. May be called without the lock."""
        if self._path is None:
            return
        new = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
        new.replace(self._path)


def _read(path: Path) -> dict[str, float]:
    """Return what the file remembers; a damaged one is forgotten, for an alert told twice does no harm."""
    try:
        data = json.loads(path.read_bytes())
        known = {str(key): float(until) for key, until in data.items() if key.partition(":")[0] in KINDS}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return dict(list(known.items())[-MOST:])
