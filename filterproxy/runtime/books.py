"""The supervisor's bookkeeping: counts of all processes into the day's journal, and from there into the store."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .channel import Body, ChannelError
from .children import Child
from .counters import Counts
from .journal import Journal, as_lists

_TO_STORE = 60.0

AskControl = Callable[[str, Body, float], Awaitable[Body]]


class Books:
    """What was counted, over restarts."""

    def __init__(self, state: Path, children: Sequence[Child]) -> None:
        """Read the journal that earlier runs left below `state`."""
        self._state = state
        # One value, replaced whole: the journal is written on another thread.
        self._slots: tuple[Counts, tuple[Child, ...]] = (Counts.total(()), tuple(children))
        self.journal = Journal(state / "journal")
        self._next_store = time.monotonic() + _TO_STORE
        self.free_bytes: int | None = None

    def counts(self) -> Counts:
        """Return what all processes counted since the supervisor started."""
        retired, children = self._slots
        return Counts.total([retired, *(child.counters.read() for child in children)])

    def open(self, child: Child) -> None:
        """Count what the processes of `child` count, too."""
        retired, children = self._slots
        self._slots = retired, (*children, child)

    def retire(self, child: Child) -> None:
        """Keep what was counted by a child whose last process has ended."""
        retired, children = self._slots
        if child in children:
            total = Counts.total([retired, child.counters.read()])
            self._slots = total, tuple(other for other in children if other is not child)

    async def tick(self, ask_control: AskControl | None) -> None:
        """Write the journal, and now and then have control put into the store what it has not got."""
        await asyncio.to_thread(self._write)
        if ask_control is not None and time.monotonic() >= self._next_store:
            self._next_store = time.monotonic() + _TO_STORE
            await self._to_store(ask_control)

    async def close(self) -> None:
        """Write the journal a last time."""
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        today = datetime.now(UTC).date()
        self.journal.observe(self.counts(), today)
        self.journal.write(today)
        try:
            self.free_bytes = shutil.disk_usage(self._state).free
        except OSError:
            self.free_bytes = None

    async def _to_store(self, ask_control: AskControl) -> None:
        batches = self.journal.outgoing()
        await asyncio.to_thread(self._write)
        if self.journal.failing:
            return  # without a note of what is on its way, it could count twice
        for batch in batches:
            body = {"batch": batch.name, "day": batch.day.isoformat(), "rows": as_lists(batch.rows)}
            try:
                await ask_control("totals", body, 30.0)
            except ChannelError:
                return  # it stays in the journal until the store takes it
            self.journal.stored(batch)
