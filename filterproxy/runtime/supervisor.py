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
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from filterproxy import metrics
from filterproxy.errors import FilterproxyError
from filterproxy.keys import Keys
from filterproxy.lists import publish
from filterproxy.settings import Settings

from . import commands, control_socket, status
from .books import Books
from .channel import Body, Channel, ChannelError
from .children import Child, keep
from .counters import Layout
from .httpd import Pages
from .logs import event, failed, loop_exception
from .rotation import Rotations
from .segments import Segments
from .sockets import Sockets
from .worker import now

_log = logging.getLogger(__name__)
_FIRST_BUNDLE = 30.0
"""Seconds that workers wait for the first bundle; then they start with what there is."""
_ADOPT = 120.0
_TICK = 2.0
_SILENT = 60.0
_GRACE = 3.0
_USES = {"edge": ("dns_udp", "dns_tcp"), "control": ("portal", "console"), "inspector": ()}


@dataclass(frozen=True)
class Bound:
    """What was opened before privileges were dropped."""

    sockets: Sockets
    control: Any
    """The listening control socket."""


class Supervisor:
    """The running product."""

    def __init__(self, settings: Settings, roles: frozenset[str], keys: Keys, bound: Bound) -> None:
        """Take what was opened; nothing runs yet."""
        self.settings, self.roles, self.bound = settings, roles, bound
        self.rotations = Rotations(self, keys)
        self.segments = Segments(settings.runtime.state, lambda: self.rotations.keys)
        layout = Layout.of(settings)
        self.children = [Child(role, name, layout) for role, name in places(settings, roles)]
        self.books = Books(settings.runtime.state, self.children)
        self.report: Body = {}
        """What control last said of lists, appeals and the store."""
        self.refused: dict[str, int] = {}
        """How often each list was refused."""
        self.started_at = time.time()
        self.stopping = asyncio.Event()
        self.all_ready = asyncio.Event()
        self._one_client = status.Once()
        self._publishing = asyncio.Lock()
        self._handing = {child.name: asyncio.Lock() for child in self.children}

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, drain, and return when every process has ended."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._refresh)
        await self._last_good()
        async with contextlib.AsyncExitStack() as stack:
            for sock in self.bound.sockets.metrics:
                server = await Pages(status.pages(self)).serve(sock)
                stack.callback(server.close)
            helpers = [
                loop.create_task(control_socket.serve(self.bound.control, partial(commands.answer, self))),
                loop.create_task(self._tick()),
                loop.create_task(self._announce(on_ready)),
            ]
            keepers = [loop.create_task(self._keep(child)) for child in self.children]
            await self.stopping.wait()
            _log.info("stopping")
            await self._drain(keepers)
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self.books.close()
        _log.info("stopped")

    @property
    def control(self) -> Child | None:
        """The control process's place, if this supervisor has one."""
        return next((child for child in self.children if child.role == "control"), None)

    async def ask_control(self, kind: str, body: Body, timeout: float) -> Body:
        """Relay a request to control. Raises ChannelError where it is away or refuses."""
        if self.control is None or self.control.channel is None:
            raise ChannelError("the control process does not run; try again in a moment")
        return await self.control.channel.ask(kind, body, timeout=timeout)

    async def _last_good(self) -> None:
        try:
            await self.segments.load_last_good(now())
        except FilterproxyError as exc:
            event(_log, logging.ERROR, "last_good_bundle_refused", reason=str(exc))
        await self.rotations.resume(self._in_force.keys)

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        await self.all_ready.wait()
        event(_log, logging.INFO, "ready", generation=self.segments.generation)
        on_ready()

    def _refresh(self) -> None:
        """Have every list read again now (SIGHUP)."""
        if self.control is not None and self.control.channel is not None:
            with contextlib.suppress(ChannelError):
                self.control.channel.tell("command", {"request": {"do": "refresh"}, "by": "SIGHUP"})

    # Children

    async def _keep(self, child: Child) -> None:
        sockets = list(self.bound.sockets.named(*_USES[child.role]))
        await keep(child, lambda: child.run(self._setup, sockets, self._handle, self._begin), self.stopping)

    def _setup(self) -> Body:
        """Return what a new process is given: the settings, and the keys as they are now."""
        return {"settings": self.settings.model_dump_json(), "keys": self.rotations.shared().to_json()}

    async def _begin(self, child: Child) -> None:
        """Hand a new process the bundle in force. Control begins without one: it is to make it."""
        if child.role != "control":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.segments.there.wait(), _FIRST_BUNDLE)
        elif self.segments.manifest is None:
            return
        await self._hand_over(child)

    async def _hand_over(self, child: Child) -> bool:
        """Give `child` the bundle in force and return whether it judges by it; one that does not is replaced."""
        async with self._handing[child.name]:
            # Again and again: while a new process adopts one bundle, the next may take force without it.
            while (channel := child.channel) is not None and child.generation != self._in_force.generation:
                if not await self._adopted(child, channel, self._in_force):
                    return False
            return channel is not None

    def digest_key(self, manifest: publish.Manifest) -> bytes:
        """Return the digest key that this bundle was made under."""
        return self.rotations.keys.under(manifest.keys).digest

    @property
    def _in_force(self) -> publish.Manifest:
        return self.segments.manifest or publish.Manifest(0)

    async def _adopted(self, child: Child, channel: Channel, manifest: publish.Manifest) -> bool:
        files = [part.file for part in manifest.parts if part.file not in child.held]
        body = {"manifest": manifest.as_dict(), "files": files, "key": self.digest_key(manifest).hex()}
        try:
            answer = await channel.ask("adopt", body, [self.segments.fd(file) for file in files], timeout=_ADOPT)
        except ChannelError as exc:
            if child.ending:
                return False
            event(_log, logging.ERROR, "bundle_not_adopted", name=child.name, reason=str(exc))
            if child.channel is channel:  # else it has ended, and its replacement is not to blame
                child.signal(signal.SIGKILL)
            return False
        if child.channel is not channel:
            return False
        child.held = {part.file for part in manifest.parts}
        child.generation = int(answer["generation"])
        return True

    async def _handle(self, child: Child, kind: str, body: Body, fds: list[int]) -> Body | None:
        """Take a message of `child`. None of them should carry descriptors."""
        for fd in fds:
            os.close(fd)
        child.last_beat = time.monotonic()
        if kind == "ready":
            child.ready = True
            if all(other.ready for other in self.children):
                self.all_ready.set()
        elif kind == "report" and child.role == "control":
            self._note_refusals(body)
            self.report = body
        elif kind == "publish" and child.role == "control":
            return await self._publish(self.segments.verified(str(body["signed"])))
        elif kind == "rewrap" and child.role == "control":
            return self.rotations.rewrap(body)
        elif kind == "beat":
            child.clients = str(body.get("clients", child.clients))
        else:
            raise ChannelError(f"{kind} is not for {child.name} to ask")
        return None

    def _note_refusals(self, report: Body) -> None:
        """Add up refusals: a list's own number starts again when it is well."""
        before = {item["id"]: item["refused"] for item in self.report.get("lists", ())}
        for item in report["lists"]:
            name, value = item["id"], item["refused"]
            known = before.get(name, 0)
            self.refused[name] = self.refused.get(name, 0) + (value - known if value >= known else value)

    async def _publish(self, manifest: publish.Manifest) -> Body:
        """Put `manifest` in force everywhere; return once every running process judges by it.

        Control, which made it, takes it first: what it cannot adopt no worker ever sees.
        """
        async with self._publishing:
            await self.segments.load(manifest, self._try_on_control)
            running = [child for child in self.children if child.generation >= 0]
            await asyncio.gather(*(self._hand_over(child) for child in running))
            await self.rotations.settle(manifest.keys)
        return {"generation": self.segments.generation}

    async def _try_on_control(self) -> None:
        if self.control is not None and not await self._hand_over(self.control):
            raise ChannelError("the bundle was not adopted; the last one stays in force")

    async def _drain(self, keepers: list[asyncio.Task[None]]) -> None:
        for child in self.children:
            child.end()
        _, late = await asyncio.wait(keepers, timeout=self.settings.runtime.drain.total_seconds() + _GRACE)
        if late:
            for child in self.children:
                if child.pid is not None:
                    event(_log, logging.WARNING, "process_killed", name=child.name)
                child.signal(signal.SIGKILL)
        for result in await asyncio.gather(*keepers, return_exceptions=True):
            if isinstance(result, Exception):
                failed(_log, "process_not_kept", result)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            await self.books.tick(self.ask_control if self.control is not None else None)
            await self.rotations.tick()
            for child in self.children:
                if child.channel is not None and time.monotonic() - child.last_beat > _SILENT:
                    event(_log, logging.ERROR, "process_silent", name=child.name)
                    child.signal(signal.SIGKILL)
            if self._one_client.news(status.one_client(self)):
                _log.warning("all_clients_behind_one_address")

    def snapshot(self) -> metrics.Snapshot:
        """Return what the metrics show now."""
        return status.snapshot(self)


def places(settings: Settings, roles: frozenset[str]) -> list[tuple[str, str]]:
    """Return role and name of every process that `roles` and the settings ask for; control first."""
    found = [("control", "control")] if "control" in roles else []
    if "edge" in roles and settings.dns.enabled:
        found += [("edge", f"edge-{number}") for number in range(settings.runtime.workers)]
    if "inspector" in roles and settings.inspection.enabled and settings.gateway.enabled:
        found.append(("inspector", "inspector"))
    return found
