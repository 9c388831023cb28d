"""What was counted on each day, kept on disk: a file a day below state/journal, replaced whole every few seconds.

Counts only: a list's id, a frontend, an outcome and a number. Each file also tells how much of it the store has
taken, and what is on its way there under which batch name: so a store that was away gets the rest later, and nothing
twice, whoever dies in between. A full disk is told once, counted, and harms nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from filterproxy.core.bundle import CANARY

from .counters import Counts, Row
from .logs import failed

_log = logging.getLogger(__name__)
_KEEP = timedelta(days=35)


@dataclass(frozen=True)
class Batch:
    """What goes to the store at once: counts of one day, under a name by which the store knows them again."""

    name: str
    day: date
    rows: dict[Row, int]


@dataclass
class _Day:
    counted: dict[Row, int] = field(default_factory=dict)
    stored: dict[Row, int] = field(default_factory=dict)
    outgoing: Batch | None = None
    dirty: bool = False


class Journal:
    """Day totals. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Read what earlier runs left in `folder`. A damaged file is put aside, never a reason not to start."""
        self._folder = folder
        self._days: dict[date, _Day] = {}
        self._before: dict[Row, int] = {}
        self.errors = 0
        """How often the disk refused."""
        self.failing = False
        """Whether it refused the last time."""
        for path in sorted(folder.glob("????-??-??.json")) if folder.is_dir() else ():
            self._read(path)

    def observe(self, counts: Counts, today: date) -> None:
        """Add to `today` what has been counted since the last call, but for what a self-test asked."""
        day = self._days.setdefault(today, _Day())
        for row, value in counts.verdicts.items():
            more = value - self._before.get(row, 0)
            if more > 0 and not row[0].startswith(CANARY):
                day.counted[row] = day.counted.get(row, 0) + more
                day.dirty = True
        self._before = dict(counts.verdicts)

    def write(self, today: date) -> None:
        """Write the days that changed, and drop old ones that the store has. Never raises for the disk's sake."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for when, day in self._days.items():
                if day.dirty:
                    self._replace(self._folder / f"{when.isoformat()}.json", when, day)
                    day.dirty = False
            for when in [when for when, day in self._days.items() if when < today - _KEEP and not _rest(day)]:
                (self._folder / f"{when.isoformat()}.json").unlink(missing_ok=True)
                del self._days[when]
        except OSError as exc:
            self.errors += 1
            if not self.failing:
                failed(_log, "journal_not_written", exc, reason=os.strerror(exc.errno or 0))
            self.failing = True
        else:
            if self.failing:
                _log.info("journal_written_again")
            self.failing = False

    def pending(self) -> int:
        """Return how many counts the store has not taken yet."""
        return sum(sum(_rest(day).values()) for day in self._days.values())

    def outgoing(self) -> list[Batch]:
        """Return what is to go to the store. Write the journal before sending it, or it could count twice."""
        for when, day in self._days.items():
            if day.outgoing is None and (rows := _rest(day)):
                day.outgoing = Batch(secrets.token_hex(16), when, rows)
                day.dirty = True
        return [day.outgoing for day in self._days.values() if day.outgoing is not None]

    def stored(self, batch: Batch) -> None:
        """Note that the store has taken `batch`."""
        day = self._days[batch.day]
        for row, value in batch.rows.items():
            day.stored[row] = day.stored.get(row, 0) + value
        day.outgoing, day.dirty = None, True

    def totals(self, today: date) -> dict[Row, int]:
        """Return what was counted on the day `today`, over restarts."""
        return dict(self._days.get(today, _Day()).counted)

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_bytes())
            when = date.fromisoformat(path.stem)
            batch = Batch(str(found["batch"]), when, _rows(found["outgoing"])) if found["batch"] else None
            self._days[when] = _Day(_rows(found["counted"]), _rows(found["stored"]), batch)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            failed(_log, "journal_file_damaged", exc, logging.WARNING, day=path.stem)
            path.replace(path.with_suffix(".damaged"))

    def _replace(self, path: Path, when: date, day: _Day) -> None:
        text = json.dumps({
            "day": when.isoformat(),
            "counted": as_lists(day.counted),
            "stored": as_lists(day.stored),
            "batch": day.outgoing.name if day.outgoing else "",
            "outgoing": as_lists(day.outgoing.rows) if day.outgoing else [],
        })  # fmt: skip
        fresh = path.with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


def _rest(day: _Day) -> dict[Row, int]:
    return {row: value - day.stored.get(row, 0) for row, value in day.counted.items() if value > day.stored.get(row, 0)}


def as_lists(rows: dict[Row, int]) -> list[list[Any]]:
    """Return counts as JSON holds them: list, frontend, outcome, count."""
    return [[*row, value] for row, value in sorted(rows.items())]


def _rows(found: list[list[Any]]) -> dict[Row, int]:
    return {(str(row[0]), str(row[1]), str(row[2])): int(row[3]) for row in found}
