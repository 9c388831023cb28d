"""SIGHUP: another configuration takes the place of the one in force, whole or not at all, and no question is lost.

First everything that may fail: the file is read and checked, what only a new start can change is the same, every
address can be had. Then, one place after the other, a process with the new settings is started beside the old one, on
the same sockets, and only when it serves is the old one told to end. Control goes first, for its bundle holds the lists
of the new configuration; there the old one ends before the new one begins, for two would write the same files, and who
asks meanwhile waits in the queue of a socket that stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from filterproxy.errors import ConfigError, FilterproxyError
from filterproxy.settings import Settings

from . import logs
from .children import Child
from .logs import event, failed
from .places import concerns_inspector, fixed, places
from .sockets import Sockets, probe

if TYPE_CHECKING:
    from .supervisor import Supervisor

_log = logging.getLogger(__name__)
_WARM: Final = 20.0
"""Seconds that the old control process stays for the sake of its successor's coming up."""
_WHOLE: Final = 600.0
"""Seconds that workers wait for a bundle of the new lists; then they begin with what there is, as at a start."""
_LOOK: Final = 0.05
_SERVES: Final = 60.0
"""Seconds in which a successor should serve. The old one stays until it does, however long that takes."""


class Reloads:
    """Reloads, one at a time; what is asked for meanwhile is done once more afterwards."""

    def __init__(self, supervisor: Supervisor, read: Callable[[], Settings] | None) -> None:
        """`read` returns the configuration as it is now, checked; None where there is no file."""
        self._supervisor, self._read = supervisor, read
        self._asked = asyncio.Event()
        self._swaps: dict[asyncio.Task[None], Child] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._restarts: dict[str, int] = {}
        self._whole = True
        """Whether everybody works by the configuration in force, as far as is known."""
        self._again = False
        """It was asked for meanwhile, with the file that is being taken."""
        self.running = False
        """Whether one is going on."""

    def ask(self) -> None:
        """Have it done soon."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                self.running = True
                self._supervisor.notifier.reloading()
                try:
                    await self._once()
                finally:
                    self.running = False
                    for child in self._supervisor.children:
                        child.expected = False
                    if self._again:
                        self._again = False
                        self._asked.set()
                if self._supervisor.all_ready.is_set():
                    self._supervisor.notifier.ready()
        finally:
            for task in (*self._swaps, *self._leaving):
                task.cancel()

    async def _once(self) -> None:
        supervisor = self._supervisor
        taken = True
        try:
            settings = await self._wanted()
            if settings == supervisor.settings and self._whole:
                await supervisor.read_lists()
            else:
                async with supervisor.rotations.alone:  # its bundle and its keys belong to the control that began it
                    taken = await self._take(settings)
        except FilterproxyError as exc:
            event(_log, logging.ERROR, "reload_refused", reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - a fault of ours: what is in force stays
            failed(_log, "reload_refused", exc)
        else:
            name = "reloaded" if taken else "reload_overtaken"
            event(_log, logging.INFO, name, workers=settings.runtime.workers, lists=len(settings.lists))

    async def _wanted(self) -> Settings:
        """Return what the file says now. Raises ConfigError."""
        return self._supervisor.settings if self._read is None else await asyncio.to_thread(self._read)

    async def _take(self, settings: Settings) -> bool:
        """Put `settings` in force, and return whether that came to its end: another file may come in between.

        Raises ConfigError before anything is changed.
        """
        supervisor = self._supervisor
        wanted = places(settings, supervisor.roles)
        sockets = self._possible(settings, frozenset(role for role, _ in wanted))
        await self._give_up()
        self._whole = False
        supervisor.settings, supervisor.bound.sockets = settings, sockets
        supervisor.era += 1
        self._keep_inspector()
        logs.set_up(settings.log.level, settings.log.format, "supervisor")
        await supervisor.serve_metrics()
        sockets.grow(settings.runtime.workers)
        supervisor.settle()  # what is new has no worker of its own yet
        await self._control()
        if not await self._bundle():
            return False
        await self._replace("edge", [name for role, name in wanted if role == "edge"])
        behind = "edge" in supervisor.roles  # it binds a port that nobody else has
        await (self._replace if behind else self._single)(
            "inspector", [name for role, name in wanted if role == "inspector"]
        )
        await self._single("transfer", [name for role, name in wanted if role == "transfer"])
        await asyncio.gather(*self._leaving)
        if not self._swaps:  # else somebody still reads what is to go
            supervisor.settle()
            sockets.release()
            self._whole = True
        return True

    def _possible(self, settings: Settings, roles: frozenset[str]) -> Sockets:
        """Return the sockets that these settings need. Raises ConfigError for what cannot be had while it runs."""
        supervisor = self._supervisor
        now, then = fixed(supervisor.settings), fixed(settings)
        for key, value in then.items():
            if value != now[key]:
                raise ConfigError(f"{key}: cannot change while filterproxy runs: restart it, or put back {now[key]}")
        inspects = any(child.role == "inspector" for child in supervisor.children)
        try:
            sockets = supervisor.bound.sockets.rebound(settings, roles)
            same = inspects and settings.gateway.listen == supervisor.settings.gateway.listen
            if "inspector" in roles and "edge" not in supervisor.roles and not same:
                try:
                    probe(settings)
                except BaseException:
                    sockets.close(but=supervisor.bound.sockets)
                    raise
        except ConfigError as exc:
            raise ConfigError(f"{exc}; a restart may have what a running product cannot") from exc
        return sockets

    async def _give_up(self) -> None:
        """End the successors of an earlier reload that do not serve to this day."""
        late = dict(self._swaps)
        for task, child in late.items():
            task.cancel()  # all before the first wait: none of them may take its place meanwhile
            child.end()
        for child in late.values():
            await self._supervisor.ended(child)
        self._swaps.clear()

    # Places

    async def _control(self) -> None:
        """Replace control: the new one is up, but opens nothing until the old one has ended."""
        supervisor, old = self._supervisor, self._supervisor.control
        if old is None:
            return
        new = self._successor(old.role, old.name)
        new.go.clear()
        supervisor.start(new)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(new.warm.wait(), _WARM)
        new.expected = True
        self._place(old, new)
        old.end()
        await supervisor.ended(old)
        new.go.set()

    async def _bundle(self) -> bool:
        """Return once a bundle of the new lists is in force; False where another file is to be taken before that."""
        supervisor, handing = self._supervisor, self._supervisor.handing
        if supervisor.control is None:
            await handing.load_last_good()  # whoever makes it may have made another
            handing.belongs_to(supervisor.era)
            return True
        end = time.monotonic() + _WHOLE
        while handing.whole != supervisor.era:
            if await self._overtaken():
                return False
            if time.monotonic() >= end:
                event(_log, logging.WARNING, "reload_without_new_lists")
                break
            await asyncio.sleep(_LOOK)
        return True

    async def _overtaken(self) -> bool:
        """Return whether it is asked for with another file, as where somebody takes back what takes too long."""
        if not self._asked.is_set():
            return False
        self._asked.clear()
        try:
            if await self._wanted() == self._supervisor.settings:
                self._again = True  # what control has read by now may have changed since
                return False
        except FilterproxyError as exc:
            event(_log, logging.ERROR, "reload_refused", reason=str(exc))
            return False
        self._asked.set()
        return True

    async def _replace(self, role: str, names: list[str]) -> None:
        """Replace the processes of a role one after the other, and end those that are too many."""
        supervisor = self._supervisor
        late = False
        for name in names:
            old = next((child for child in supervisor.children if child.name == name), None)
            if old is not None and old.era == supervisor.era:
                continue
            new = self._successor(role, name)
            supervisor.start(new)
            task = asyncio.create_task(self._swap(old, new))
            self._swaps[task] = new
            task.add_done_callback(lambda task: self._swaps.pop(task, None))
            _, waiting = await asyncio.wait([task], timeout=0.0 if late else _SERVES)
            if waiting and not late:
                late = True  # nor will the others; they all try on, and the old ones serve until they do
                event(_log, logging.ERROR, "reload_waits", name=name)
        for child in [child for child in supervisor.children if child.role == role and child.name not in names]:
            self._leave(child)

    async def _swap(self, old: Child | None, new: Child) -> None:
        await new.served.wait()
        self._place(old, new)
        if old is not None:
            self._leave(old)

    def _keep_inspector(self) -> None:
        """Take an inspector into the new era where nothing that it works by has changed."""
        now = self._supervisor.settings
        for child in self._supervisor.children:
            if child.role == "inspector" and concerns_inspector(child.settings) == concerns_inspector(now):
                child.settings, child.era = now, self._supervisor.era

    async def _single(self, role: str, names: list[str]) -> None:
        """Stop and start the one process of a role of which two would be in each other's way.

        An inspector without a gateway, which binds the proxy's port itself; and the one that transfers zones, which
        keeps their serials in a file.
        """
        supervisor = self._supervisor
        old = next((child for child in supervisor.children if child.role == role), None)
        if old is not None and names and old.era == supervisor.era:
            return
        if old is not None:
            self._leave(old)
            await supervisor.ended(old)
        for name in names:
            new = self._successor(role, name)
            self._place(None, new)
            supervisor.start(new)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(new.served.wait(), _SERVES)

    def _successor(self, role: str, name: str) -> Child:
        """Return who is to take a place, under the new configuration."""
        supervisor = self._supervisor
        new = supervisor.made(role, name)
        self._restarts |= {child.name: child.restarts for child in supervisor.children}
        new.restarts = self._restarts.get(name, 0)
        supervisor.aside.append(new)
        return new

    def _place(self, old: Child | None, new: Child) -> None:
        """Give `new` the place of `old`."""
        supervisor = self._supervisor
        order = [name for _, name in places(supervisor.settings, supervisor.roles)]
        found = [child for child in supervisor.children if child is not old] + [new]
        supervisor.children = sorted(found, key=lambda child: order.index(child.name) if child.name in order else 99)
        supervisor.aside.remove(new)
        if old is not None:
            supervisor.aside.append(old)

    def _leave(self, child: Child) -> None:
        """Have a child finish what it has begun and end, beside everything else."""
        supervisor = self._supervisor
        if child in supervisor.children:
            supervisor.children.remove(child)
            supervisor.aside.append(child)
        child.end()
        supervisor.settle()  # it may have covered another
        task = asyncio.create_task(supervisor.ended(child))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
