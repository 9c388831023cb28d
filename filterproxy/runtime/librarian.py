"""Keeps the lists of this installation in force: reads them when due, and publishes what changed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from filterproxy.alerts import Alert, Alerts
from filterproxy.alerts.alert import licence_ended
from filterproxy.core.appeals import sufficient
from filterproxy.core.policy import Override
from filterproxy.core.quarantine import Decision
from filterproxy.errors import ConfigError, ControlError, FilterproxyError, StoreError
from filterproxy.keys import Keys
from filterproxy.lists import difference, sources
from filterproxy.lists.publish import Manifest, Status
from filterproxy.lists.refresh import Refresher, Released
from filterproxy.lists.resealing import Anew
from filterproxy.lists.seals import Seals
from filterproxy.settings.lists import List
from filterproxy.store import Store

from .alarms import standing
from .channel import ChannelError
from .logs import event, failed
from .process import give_back
from .quarantine import Tally, tally
from .turns import after_others
from .worker import Worker, now

_log = logging.getLogger(__name__)
_AGAIN = 60.0
"""Seconds after which a refused list is read again, if it is not due before; twice as many with each refusal."""
_OVERRIDES = 15.0
"""Seconds between two looks at the store for overrides that another machine made."""
_ALARMS = 60.0
_PUBLISH = 120.0
_LANES = 4
"""Lists that come over a network and are fetched at once; they are compiled one at a time all the same."""
_SLOW = 20.0
"""Seconds that the first bundle waits for lists that come over a network."""


class Librarian:
    """Owns the refresher. All methods are called on the control process's loop."""

    def __init__(self, worker: Worker, keys: Keys, store: Store, alerts: Alerts) -> None:
        """Take up the bundle on disk; nothing is read yet."""
        self._worker, self._keys, self._store, self._alerts = worker, keys, store, alerts
        self._refresher: Refresher | None = None
        self._due = {table.id: 0.0 for table in worker.settings.lists}
        self._unread = set(self._due)
        self._publishing, self._overriding = asyncio.Lock(), asyncio.Lock()
        self._published = -1
        self._complete = asyncio.Event()
        """Set once the first bundle may be published: every list was read, or those that are slow waited for."""
        self._overrides: frozenset[str] | None = None
        self._loop = asyncio.get_running_loop()
        # Of its own: sources that stall must not hold the threads that the store and the portal wait for.
        self._threads = ThreadPoolExecutor(_LANES + 3, "lists", after_others)
        # And one for overrides alone: no source holds it, however often people ask for one that stalls.
        self._overlay = ThreadPoolExecutor(1, "overlay")
        self.disk_error = ""
        """Why the last bundle could not be written; empty where it could."""

    @property
    def manifest(self) -> Manifest:
        """What is in force on disk, and how the last reading of each list went."""
        return self._refresher.manifest if self._refresher is not None else Manifest(0)

    @property
    def statuses(self) -> dict[str, Status]:
        """How the last reading of each list went, by its id."""
        return {status.list_id: status for status in self.manifest.statuses}

    async def run(self) -> None:
        """Keep the lists in force until cancelled. Whatever goes wrong, the last good bundle stays."""
        await self._insist(self._open)
        tables = self._worker.settings.lists
        remote = [table for table in tables if sources.is_remote(table.source)]
        local = [table for table in tables if table not in remote]
        # Apart: a source that stalls keeps no file waiting, and few others. Each reads its lists one after the other.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(local))
            for lane in range(_LANES):
                group.create_task(self._keep(remote[lane::_LANES]))
            group.create_task(self._begin())
            group.create_task(self._again(_OVERRIDES, self.look_for_overrides))
            group.create_task(self._again(_ALARMS, self._look_around))

    async def _keep(self, tables: Sequence[List]) -> None:
        """Read each of these lists whenever it is due."""
        while True:
            for table in tables:
                if time.monotonic() >= self._due[table.id]:
                    await self._tried(self.refresh([table]))
            await asyncio.sleep(1)

    async def _begin(self) -> None:
        """Publish the first bundle: once every list was read, but for those that keep it waiting too long."""
        end = float("inf")
        while self._unread and time.monotonic() < end:
            if end == float("inf") and all(sources.is_remote(self._table(name).source) for name in self._unread):
                end = time.monotonic() + _SLOW
            await asyncio.sleep(0.05)
        self._complete.set()
        await self._insist(self._publish)

    async def _insist(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            if await self._tried(work()):
                return
            await asyncio.sleep(1)

    async def _again(self, every: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._tried(look())
            await asyncio.sleep(every)

    async def _tried(self, work: Awaitable[None]) -> bool:
        """Await `work`; say what went wrong and return whether nothing did. The last good bundle stays."""
        try:
            await work
        except FilterproxyError as exc:
            event(_log, logging.ERROR, "bundle_not_published", reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - it is tried again
            failed(_log, "refresh_failed", exc)
        else:
            return True
        return False

    def _table(self, list_id: str) -> List:
        return next(table for table in self._worker.settings.lists if table.id == list_id)

    async def _open(self) -> None:
        settings, keys = self._worker.settings, self._keys
        if self._refresher is None:
            self._refresher = await asyncio.to_thread(Refresher, settings, Seals.of(keys), self._alerts.raise_)
        try:
            await self._write(lambda refresher: refresher.refresh_own(now()))
        except ConfigError as exc:  # `run` has checked them; a file of entries may have changed since
            event(_log, logging.ERROR, "own_entries_refused", reason=str(exc))

    async def refresh(self, tables: Iterable[List], *, accept: bool = False) -> None:
        """Read `tables` now and put what changed in force. Raises ControlError where it could not be."""
        tables = await self._licensed(tables)
        for table in tables:
            begun = time.monotonic()
            # First, also where it fails: a disk that is full is not tried every second.
            self._due[table.id] = begun + _AGAIN
            released = await self._released()
            try:
                await self._write(partial(_refreshed, table, released, accept=accept))
            finally:
                self._due[table.id] = begun + self._pause(table)
                self._unread.discard(table.id)
        await self._publish()

    def _pause(self, table: List) -> float:
        """Return the seconds until a list is due again: its interval, less after a refusal, never at the same beat."""
        wait = table.refresh.total_seconds()
        status = self.statuses.get(table.id)
        if status is None or status.state != "ok":
            wait = min(wait, _AGAIN * 2 ** min(status.refused if status else 0, 6))
        return wait * random.uniform(0.95, 1.05)

    async def _licensed(self, tables: Iterable[List]) -> list[List]:
        """Return the tables whose licence has not ended; the others are wiped."""
        tables, today = list(tables), now().date()
        over = [table for table in tables if table.licence_until is not None and table.licence_until < today]
        fresh = [table for table in over if (status := self.statuses.get(table.id)) is None or status.state != "ended"]
        if fresh:
            await self._write(lambda refresher: refresher.end(fresh, now()))
            for table in fresh:
                if table.licence_until is not None:
                    self.alert(licence_ended(table.id, table.licence_until))
        for table in over:
            self._due[table.id] = time.monotonic() + _ALARMS
            self._unread.discard(table.id)
        return [table for table in tables if table not in over]

    async def _released(self) -> dict[str, frozenset[str]] | None:
        """Return what people have released from quarantine; None where the store is away: what was known holds on."""
        needed = {table.id: 2 if table.mandatory else 1 for table in self._worker.settings.lists}
        try:
            return dict(await asyncio.to_thread(self._store.quarantine_released, needed))
        except StoreError:
            return None

    def alert(self, alert: Alert) -> None:
        """Tell people."""
        self._alerts.raise_(alert)

    async def _look_around(self) -> None:
        """Raise an alarm for what has stood too long."""
        settings, policy = self._worker.settings, self._worker.live.policy()
        if not self._unread and policy.generation:
            self._alerts.raise_all(standing(settings, policy, self.statuses, now(), await self._decisions()))

    async def _decisions(self) -> Sequence[Decision]:
        """Return what people decided of what is held back; while the store is away, as if nobody had."""
        try:
            return await asyncio.to_thread(self._store.quarantine_decisions)
        except StoreError:
            return ()

    async def tallies(self) -> dict[str, Tally]:
        """Return by list how many entries are held back, and how many of them wait too long."""
        return tally(self._worker.settings, self.statuses, await self._decisions(), now())

    async def differ(self, table: List, names: int) -> dict[str, Any]:
        """Return what reading `table` now would change, with up to `names` names each where the list is open.

        Nothing is put in force. Raises ControlError.
        """
        refresher = self._open_refresher()
        released, status = await self._released(), refresher.status(table.id)
        known = status.released if status is not None else ()
        free = frozenset(known if released is None else released.get(table.id, ()))
        return await self._loop.run_in_executor(self._threads, difference.of, refresher, table, now(), free, names)

    async def look_for_overrides(self, *, force: bool = False) -> None:
        """Put the store's overrides in force if they changed; a store that is away changes nothing.

        Raises ControlError where they could not be put in force; where `force` is set also for a store that is away.
        """
        async with self._overriding:  # or what was read first could be written last
            await self._take_overrides(force=force)

    async def _take_overrides(self, *, force: bool) -> None:
        moment = now()
        try:
            stored = await self._loop.run_in_executor(self._overlay, self._store.overrides, moment)
            found = self._sufficient(stored)
        except StoreError as exc:
            if force:
                raise ControlError(str(exc)) from exc
            return
        ids = frozenset(override.id for override in found)
        if ids == self._overrides and not force:
            return
        await self._write(lambda refresher: refresher.override(found, moment), self._overlay)
        await self._publish()
        self._overrides = ids
        if force and self._published < 0:
            raise ControlError("the lists are still being read for the first time; it is in force once they are")

    def overrides(self) -> list[Override]:
        """Return the overrides that are to be in force now. For other threads. Raises StoreError."""
        return self._sufficient(self._store.overrides(now()))

    async def rotate(self, anew: Callable[[Seals], Anew]) -> None:
        """Put in force what is in force, under other keys: `anew` tells how, from those so far.

        Raises FilterproxyError; where the bundle was written and not put in force, the next publication does that.
        """
        if not self._something:
            raise ControlError("the lists are still being read for the first time; try again once they are")
        refresher = self._open_refresher()
        how = anew(refresher.seals)
        if how.seals != refresher.seals:  # else it was written before, and not put in force
            await self._write(lambda refresher: refresher.rotate(how, now()))
        await self._publish()

    def _sufficient(self, found: Iterable[Override]) -> list[Override]:
        """Return those that enough people approved for their list as it is now: it may have become mandatory."""
        listings = {listing.id: listing for listing in self._worker.settings.listings}
        return [
            item for item in found
            if item.list_id in listings and sufficient(listings[item.list_id], item.approved_by, item.reference)
        ]  # fmt: skip

    def put_in_force(self) -> None:
        """Put the store's overrides in force, and return when every process judges by them. For other threads."""
        asyncio.run_coroutine_threadsafe(self.look_for_overrides(force=True), self._loop).result(_PUBLISH)

    def _open_refresher(self) -> Refresher:
        if self._refresher is None:
            raise ControlError("the lists are not open yet; try again in a moment")
        return self._refresher

    async def _write(self, change: Callable[[Refresher], Manifest], threads: ThreadPoolExecutor | None = None) -> None:
        refresher = self._open_refresher()
        try:
            await self._loop.run_in_executor(threads or self._threads, change, refresher)
        except OSError as exc:
            self.disk_error = exc.strerror or type(exc).__name__
            raise ControlError(f"the bundle cannot be written: {self.disk_error}; the last one stays in force") from exc
        self.disk_error = ""

    @property
    def _something(self) -> bool:
        """Whether there is, or was before, a whole bundle to judge by."""
        return self._complete.is_set() or (self._worker.live.manifest.generation > 0 and not self._worker.whole_first)

    async def _publish(self) -> None:
        """Have the supervisor put the newest bundle in force everywhere.

        The very first time only once it is complete: workers that wait for lists must not begin with none.
        """
        async with self._publishing:
            if self._refresher is None or not self._something or self._refresher.manifest.generation == self._published:
                return
            manifest = self._refresher.manifest
            signed = self._refresher.signed(manifest)
            try:
                await self._worker.channel.ask("publish", {"signed": signed}, timeout=_PUBLISH)
            except ChannelError as exc:
                # While it was opened, a newer one may have replaced its files: then that one is published instead.
                if self._refresher.manifest.generation == manifest.generation:
                    raise ControlError(str(exc)) from exc
            else:
                self._published = manifest.generation
                return
        await self._publish()


def _refreshed(table: List, released: Released | None, refresher: Refresher, *, accept: bool) -> Manifest:
    try:
        return refresher.refresh([table], now(), accept=accept, released=released)
    finally:
        give_back()
