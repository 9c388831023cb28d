"""Keeps the lists of this installation in force: reads them when due, and publishes what changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from filterproxy.core.appeals import sufficient
from filterproxy.core.policy import Override
from filterproxy.errors import ConfigError, ControlError, StoreError
from filterproxy.keys import Keys
from filterproxy.lists.publish import Manifest, Status
from filterproxy.lists.refresh import Refresher
from filterproxy.settings.lists import List
from filterproxy.store import Store

from .channel import ChannelError
from .logs import event, failed
from .worker import Worker, now

_log = logging.getLogger(__name__)
_AGAIN = 300.0
"""Seconds after which a refused list is read again, if it is not due before."""
_OVERRIDES = 15.0
"""Seconds between two looks at the store for overrides that another machine made."""
_PUBLISH = 120.0


class Librarian:
    """Owns the refresher. All methods are called on the control process's loop."""

    def __init__(self, worker: Worker, keys: Keys, store: Store) -> None:
        """Take up the bundle on disk; nothing is read yet."""
        self._worker, self._keys, self._store = worker, keys, store
        self._refresher: Refresher | None = None
        self._due = {table.id: 0.0 for table in worker.settings.lists}
        self._publishing, self._overriding = asyncio.Lock(), asyncio.Lock()
        self._published = -1
        self._opened = self._all_read = False
        self._overrides: frozenset[str] | None = None
        self._loop = asyncio.get_running_loop()
        self.disk_error = ""
        """Why the last bundle could not be written; empty where it could."""

    @property
    def statuses(self) -> dict[str, Status]:
        """How the last reading of each list went."""
        manifest = self._refresher.manifest if self._refresher is not None else Manifest(0)
        return {status.list_id: status for status in manifest.statuses}

    async def run(self) -> None:
        """Keep the lists in force until cancelled. Whatever goes wrong, the last good bundle stays."""
        settings = self._worker.settings
        looked = float("-inf")
        while True:
            try:
                if not self._opened:
                    await self._open()
                if time.monotonic() - looked >= _OVERRIDES:
                    looked = time.monotonic()
                    await self.look_for_overrides()
                if self._published < 0 or self._is_due():
                    await self.refresh(table for table in settings.lists if time.monotonic() >= self._due[table.id])
            except ControlError as exc:
                event(_log, logging.ERROR, "bundle_not_published", reason=str(exc))
            except Exception as exc:  # noqa: BLE001 - the last good bundle stays, and it is tried again
                failed(_log, "refresh_failed", exc)
            await asyncio.sleep(1)

    async def _open(self) -> None:
        settings, keys = self._worker.settings, self._keys
        if self._refresher is None:
            self._refresher = await asyncio.to_thread(Refresher, settings, keys.digest, keys.patterns)
        try:
            await self._write(lambda refresher: refresher.refresh_own(now()))
        except ConfigError as exc:  # `run` has checked them; a file of entries may have changed since
            event(_log, logging.ERROR, "own_entries_refused", reason=str(exc))
        self._opened = True

    def _is_due(self) -> bool:
        return any(time.monotonic() >= due for due in self._due.values())

    async def refresh(self, tables: Iterable[List], *, accept: bool = False) -> None:
        """Read `tables` now and put what changed in force. Raises ControlError where it could not be."""
        tables = list(tables)
        begun = time.monotonic()
        for table in tables:  # also where it fails: a disk that is full is not tried every second
            self._due[table.id] = begun + min(_AGAIN, table.refresh.total_seconds())
        await self._write(lambda refresher: refresher.refresh(tables, now(), accept=accept))
        self._all_read = self._all_read or len(tables) == len(self._due)
        for table in tables:
            status = self.statuses.get(table.id)
            if status is not None and status.state == "ok":
                self._due[table.id] = begun + table.refresh.total_seconds()
        await self._publish()

    async def look_for_overrides(self, *, force: bool = False) -> None:
        """Put the store's overrides in force if they changed; a store that is away changes nothing.

        Raises ControlError where they could not be put in force; where `force` is set also for a store that is away.
        """
        async with self._overriding:  # or what was read first could be written last
            await self._take_overrides(force=force)

    async def _take_overrides(self, *, force: bool) -> None:
        moment = now()
        try:
            found = self._sufficient(await asyncio.to_thread(self._store.overrides, moment))
        except StoreError as exc:
            if force:
                raise ControlError(str(exc)) from exc
            return
        ids = frozenset(override.id for override in found)
        if ids == self._overrides and not force:
            return
        await self._write(lambda refresher: refresher.override(found, moment))
        await self._publish()
        self._overrides = ids
        if force and self._published < 0:
            raise ControlError("the lists are still being read for the first time; it is in force once they are")

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

    async def _write(self, change: Callable[[Refresher], Manifest]) -> None:
        if self._refresher is None:
            raise ControlError("the lists are not open yet; try again in a moment")
        try:
            await asyncio.to_thread(change, self._refresher)
        except OSError as exc:
            self.disk_error = exc.strerror or type(exc).__name__
            raise ControlError(f"the bundle cannot be written: {self.disk_error}; the last one stays in force") from exc
        self.disk_error = ""

    async def _publish(self) -> None:
        """Have the supervisor put the newest bundle in force everywhere.

        The very first time only once every list was read: workers that wait for lists must not begin with none.
        """
        async with self._publishing:
            something = self._all_read or self._worker.live.manifest.generation > 0
            if self._refresher is None or not something or self._refresher.manifest.generation == self._published:
                return
            manifest = self._refresher.manifest
            try:
                await self._worker.channel.ask("publish", {"manifest": manifest.as_dict()}, timeout=_PUBLISH)
            except ChannelError as exc:
                # While it was opened, a newer one may have replaced its files: then that one is published instead.
                if self._refresher.manifest.generation == manifest.generation:
                    raise ControlError(str(exc)) from exc
            else:
                self._published = manifest.generation
                return
        await self._publish()
