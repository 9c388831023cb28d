"""The supervisor: keeps sockets, segments and counts; starts a process per role; replaces those that die.

It parses nothing that comes from a network but the metrics' request line, and opens segments, for it alone hands
them on. Everything else happens in its children.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from filterproxy import metrics
from filterproxy.keys import Keys
from filterproxy.settings import Settings

from . import commands, control_socket, status
from .books import Books
from .channel import Body, ChannelError
from .children import Child, keep
from .cover import Cover
from .handing import Handing
from .logs import event, failed, loop_exception
from .metrics_pages import MetricsPages
from .notify import Notifier
from .places import number_of, places
from .reload import Reloads
from .reports import Reports
from .rotation import Rotations
from .sockets import Sockets
from .watch import Watch

_log = logging.getLogger(__name__)
_TICK = 2.0
_GRACE = 3.0
_USES = {"control": ("portal", "console"), "inspector": (), "transfer": ("transfer",)}


@dataclass
class Bound:
    """What was opened before privileges were dropped."""

    sockets: Sockets
    """Others, once a reload has changed addresses."""


class Supervisor:
    """The running product."""

    def __init__(
        self, settings: Settings, roles: frozenset[str], keys: Keys, bound: Bound,
        read: Callable[[], Settings] | None = None,
    ) -> None:  # fmt: skip
        """Take what was opened; nothing runs yet. `read` reads the configuration anew and checks it."""
        self.settings, self.roles, self.bound = settings, roles, bound
        self.era = 0
        """Which configuration this is, counted from the start."""
        self.rotations = Rotations(self, keys)
        self.handing = Handing(self)
        self.segments = self.handing.segments
        self.children: list[Child] = []
        """Who fills each place, or is to."""
        self.aside: list[Child] = []
        """Successors that do not serve yet, and those who finish what they have begun."""
        self.books = Books(settings.runtime.state, ())
        self.reports = Reports()
        self.cover = Cover()
        self.notifier = Notifier()
        self.reloads = Reloads(self, read)
        self.started_at = time.time()
        self.stopping = asyncio.Event()
        self.all_ready = asyncio.Event()
        self._keepers: dict[Child, asyncio.Task[None]] = {}
        self._pages = MetricsPages(status.pages(self))
        self._one_client = status.Once()
        self.children = [self.made(role, name) for role, name in places(settings, roles)]

    async def run(self, control: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, drain, and return when every process has ended.

        `control` is the listening control socket.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reloads.ask)
        await self.handing.load_last_good()
        await self.rotations.resume(self.handing.in_force.keys)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._pages.close)
            await self.serve_metrics()
            helpers = [
                loop.create_task(control_socket.serve(control, partial(commands.answer, self))),
                loop.create_task(self._tick()),
                loop.create_task(Watch(self).run()),
                loop.create_task(self._announce(on_ready)),
            ]
            reloads = loop.create_task(self.reloads.run())
            for child in self.children:
                self.start(child)
            await self.stopping.wait()
            _log.info("stopping")
            self.notifier.stopping()
            reloads.cancel()
            await asyncio.gather(reloads, return_exceptions=True)
            await self._drain()
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self.books.close()
        _log.info("stopped")

    # What others ask

    @property
    def everyone(self) -> list[Child]:
        """All that run or are to run."""
        return [*self.children, *self.aside]

    @property
    def control(self) -> Child | None:
        """The control process's place, if this supervisor has one."""
        return next((child for child in self.children if child.role == "control"), None)

    async def ask_control(self, kind: str, body: Body, timeout: float) -> Body:
        """Relay a request to control. Raises ChannelError where it is away or refuses."""
        control = self.control
        if control is None or control.channel is None or not control.ready:
            raise ChannelError("the control process does not serve; try again in a moment")
        return await control.channel.ask(kind, body, timeout=timeout)

    async def read_lists(self) -> None:
        """Have every list read again now; where no control runs, the bundle on disk."""
        if self.control is None:
            await self.handing.take_up()
        elif self.control.channel is not None:
            with contextlib.suppress(ChannelError):
                self.control.channel.tell("command", {"request": {"do": "refresh"}, "by": "SIGHUP"})

    def snapshot(self) -> metrics.Snapshot:
        """Return what the metrics show now."""
        return status.snapshot(self)

    async def serve_metrics(self) -> None:
        """Serve the metrics on the sockets that are there for them now, and on no others."""
        await self._pages.serve([sock for _, sock in self.bound.sockets.named("metrics")])

    # Children

    def made(self, role: str, name: str) -> Child:
        """Return a place under the configuration as it is now; nothing runs yet."""
        sockets = self.bound.sockets
        if role == "edge":
            given = sockets.of_edge(number_of(name), self.settings.runtime.workers)
        else:
            given = list(sockets.named(*_USES[role]))
        child = Child(role, name, self.settings, era=self.era, sockets=given)
        self.books.open(child)
        return child

    def start(self, child: Child) -> None:
        """Keep a process running for `child`, one of `everyone`, until it is retired."""
        self._keepers[child] = asyncio.get_running_loop().create_task(self._keep(child))

    async def ended(self, child: Child) -> None:
        """Return once the last process of `child`, which was told to end, has; one that takes too long is killed."""
        if (keeper := self._keepers.get(child)) is not None:
            _, late = await asyncio.wait([keeper], timeout=child.settings.runtime.drain.total_seconds() + _GRACE)
            if late:
                if child.pid is not None:
                    event(_log, logging.WARNING, "process_killed", name=child.name)
                child.signal(signal.SIGKILL)
                await asyncio.wait([keeper])
        if child in self.aside:
            self.aside.remove(child)

    def settle(self) -> None:
        """Have every UDP socket read by somebody, and note whether everybody serves."""
        if not self.stopping.is_set():
            if all(child.ready for child in self.children):
                self.all_ready.set()
            self._tell_inspector()
            self.cover.settle(self.everyone, [sock for _, sock in self.bound.sockets.named("dns_udp")])

    def _tell_inspector(self) -> None:
        """Tell each edge worker where the inspector serves, if any does."""
        port = next((child.port for child in self.children if child.role == "inspector" and child.serves), None)
        for child in self.everyone:
            if child.role == "edge" and child.ready and child.channel is not None and child.port != port:
                with contextlib.suppress(ChannelError):
                    child.channel.tell("inspector", {"port": port})
                    child.port = port

    async def _keep(self, child: Child) -> None:
        try:
            await keep(child, partial(self._run_once, child))
        except Exception as exc:  # noqa: BLE001 - one place is lost, the others are kept
            failed(_log, "process_not_kept", exc, name=child.name)
        finally:
            self.books.retire(child)
            child.close()
            if child in self.aside:
                self.aside.remove(child)
            del self._keepers[child]

    async def _run_once(self, child: Child) -> None:
        try:
            await child.run(self._setup, self._handle, self.handing.begin)
        finally:
            self.settle()

    def _setup(self, child: Child) -> Body:
        """Return what a new process is given: its settings, and the keys as they are now."""
        return {
            "settings": child.settings.model_dump_json(),
            "keys": self.rotations.shared().to_json(),
            "whole_first": self.handing.is_old(child),
            "behind": "edge" in self.roles,
        }

    async def _handle(self, child: Child, kind: str, body: Body, fds: list[int]) -> Body | None:
        """Take a message of `child`. None of them should carry descriptors."""
        for fd in fds:
            os.close(fd)
        child.beat()
        in_charge = child is self.control
        if kind == "ready":
            child.ready, child.expected = True, False
            if child.role == "inspector":
                child.port = int(body["port"])
            child.served.set()
            self.settle()
        elif kind == "report" and child.role == "control":
            if in_charge:  # its successor knows better
                self.reports.take(body)
        elif kind == "publish" and in_charge:
            return await self.handing.publish(child, self.segments.verified(str(body["signed"])))
        elif kind == "rewrap" and in_charge:
            return self.rotations.rewrap(body)
        elif kind == "enumeration" and child.role == "edge":
            self._warn(body)
        elif kind == "beat":
            child.clients = str(body.get("clients", child.clients))
            child.zones = str(body.get("zones", child.zones))
        else:
            raise ChannelError(f"{kind} is not for {child.name} to ask")
        return None

    def _warn(self, body: Body) -> None:
        """Have control raise an alarm of a worker's; where none runs here, it stands in the log."""
        if self.control is None:
            event(_log, logging.WARNING, "enumeration", network=str(body["network"]), entries=str(body["entries"]))
        elif self.control.channel is not None:
            with contextlib.suppress(ChannelError):
                self.control.channel.tell("enumeration", body)

    async def _drain(self) -> None:
        for child in self.everyone:
            child.end()
        await asyncio.gather(*(self.ended(child) for child in list(self._keepers)))

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        await self.all_ready.wait()
        event(_log, logging.INFO, "ready", generation=self.segments.generation)
        self.notifier.ready()
        on_ready()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            await self.books.tick(self.ask_control if self.control is not None else None)
            await self.rotations.tick()
            self.notifier.status(status.line(self))
            if self._one_client.news(status.one_client(self)):
                _log.warning("all_clients_behind_one_address")
