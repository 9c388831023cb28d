"""The supervisor's side of a process: start it, hand it what it needs, replace it when it dies, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import site
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import filterproxy
from filterproxy.dns.crowd import NOBODY
from filterproxy.settings import Settings

from .channel import Body, Channel, ChannelError, pair
from .counters import Counters, Layout
from .logs import event, failed
from .memfd import shared
from .notify import VARIABLES

_log = logging.getLogger(__name__)
_HEALTHY = 30.0
_SLOWEST = 10.0
_FIRST = 0.25
_SET_UP = 60.0


class Child:
    """A place that a process of one role fills, under one configuration.

    It keeps the counts and descriptors that every replacement gets. Another configuration makes another one, which
    takes the place once its process serves.
    """

    def __init__(
        self, role: str, name: str, settings: Settings, *, era: int = 0,
        sockets: Sequence[tuple[str, socket.socket]] = (),
    ) -> None:  # fmt: skip
        """Prepare the place `name` (such as edge-0); nothing runs yet."""
        self.role, self.name, self.settings, self.era, self.sockets = role, name, settings, era, list(sockets)
        layout = Layout.of(settings)
        self._memory: int | None = shared(f"counters-{name}", layout.size)
        self.counters = Counters(layout, self._memory)
        self.channel: Channel | None = None
        self.pid: int | None = None
        self.restarts = 0
        self.started_at = 0.0
        """Unix time; 0 while down."""
        self.ready = False
        self.served = asyncio.Event()
        """Set once it was ready for the first time."""
        self.warm, self.go = asyncio.Event(), asyncio.Event()
        """Its first process is there; it may be set up, which a successor that must wait for the end of another is not
        at first."""
        self.go.set()
        self.over = asyncio.Event()
        """It is not to be replaced when it ends."""
        self.ending = False
        """It was told to end: what it leaves undone is no fault."""
        self.expected = False
        """It takes over in the course of a reload, and is about to serve."""
        self.doubted = False
        """It has been silent for so long that others read its sockets."""
        self.generation = -1
        """The bundle it has adopted; -1 for none."""
        self.held: set[str] = set()
        """Segments it was given."""
        self.handing = asyncio.Lock()
        """Held while it is handed a bundle."""
        self.last_beat = 0.0
        self.clients = NOBODY
        """What it has seen of clients; see filterproxy.dns.crowd."""
        self.port: int | None = None
        """Where an inspector serves; of an edge, where it was told that one does."""
        self.zones = "{}"
        """How the zones stand that it gives; see filterproxy.runtime.zones."""

    @property
    def serves(self) -> bool:
        """Whether it takes questions now, as far as is known."""
        return self.ready and self.channel is not None and not self.ending and not self.doubted

    async def run(
        self,
        setup: Callable[[Child], Body],
        handle: Callable[[Child, str, Body, list[int]], Awaitable[Body | None]],
        begun: Callable[[Child], Awaitable[None]],
    ) -> None:
        """Start one process, have it set up, call `begun`, and return when it has ended, however far that came.

        `setup` is asked once the process can be told of changes, so that none is lost in between.
        """
        ours, theirs = pair()
        process = await self._spawn(theirs)
        theirs.close()
        self.pid, self.started_at, self.last_beat = process.pid, time.time(), time.monotonic()
        self.channel = channel = Channel(ours, lambda kind, body, fds: handle(self, kind, body, fds))
        event(_log, logging.INFO, "process_started", name=self.name, pid=process.pid)
        if self.ending:  # told so while it was being started
            self.end()
        beginning = asyncio.create_task(self._begin(channel, setup, begun))
        try:
            code = await process.wait()
        finally:
            self.ready = self.doubted = False
            beginning.cancel()
            (result,) = await asyncio.gather(beginning, return_exceptions=True)
            channel.close()
            self.channel, self.pid, self.started_at, self.generation, self.clients = None, None, 0.0, -1, NOBODY
            self.zones, self.port = "{}", None
            self.held.clear()
        well = code == 0 or (self.ending and code == -signal.SIGTERM)  # so it ends before it has begun anything
        event(_log, logging.INFO if well else logging.WARNING, "process_ended", name=self.name, code=code)
        if isinstance(result, Exception):
            raise result

    async def _begin(
        self,
        channel: Channel,
        setup: Callable[[Child], Body],
        begun: Callable[[Child], Awaitable[None]],
    ) -> None:
        await self.go.wait()
        memory = [] if self._memory is None else [self._memory]
        fds = [*memory, *(sock.fileno() for _, sock in self.sockets)]
        body = {**setup(self), "name": self.name, "sockets": [use for use, _ in self.sockets]}
        try:
            await channel.ask("setup", body, fds, timeout=_SET_UP)
            await begun(self)
        except ChannelError as exc:
            if not self.ending:
                event(_log, logging.ERROR, "process_not_set_up", name=self.name, reason=str(exc))
                self.signal(signal.SIGKILL)

    def beat(self) -> None:
        """Take a sign of life."""
        self.last_beat = time.monotonic()
        self.doubted = False
        self.warm.set()

    def retire(self) -> None:
        """Let what runs go on, and replace it no more."""
        self.over.set()

    def end(self) -> None:
        """Tell it to finish what it has begun and end, for good."""
        self.retire()
        self.ending = True
        self.signal(signal.SIGTERM)

    def close(self) -> None:
        """Let go of what its processes shared, once the last has ended."""
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _spawn(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        # -P: neither the working directory nor a script's folder is searched for modules; its `addons/` or
        # `lists/` would shadow packages of that name. exec, not fork: a child inherits no memory of ours.
        command = [sys.executable, "-P", "-m", "filterproxy.runtime.child", self.role, self.name]
        ends = [str(theirs.fileno()), str(os.getpid())]
        return await asyncio.create_subprocess_exec(
            *command, *ends, stdin=asyncio.subprocess.DEVNULL, pass_fds=(theirs.fileno(),), env=environment()
        )


async def keep(child: Child, run_once: Callable[[], Awaitable[None]]) -> None:
    """Keep `child` running until it is retired: the first replacement comes at once, the next ones ever later."""
    pause = 0.0
    while not child.over.is_set():
        begun = time.monotonic()
        try:
            await run_once()
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from starting, it is tried again
            failed(_log, "process_not_started", exc, name=child.name)
        if child.over.is_set():
            return
        if time.monotonic() - begun >= _HEALTHY:
            pause = 0.0
        if pause:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.over.wait(), pause)
        pause = min(_SLOWEST, pause * 2 or _FIRST)
        child.restarts += 1


def environment() -> dict[str, str]:
    """Return the environment of a child: ours, but for what is the supervisor's alone.

    And where this package lies if it is not installed.
    """
    found = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    root = str(Path(filterproxy.__file__).resolve().parent.parent)
    if root not in site.getsitepackages():
        found["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [found.get("PYTHONPATH")])])
    return found


def describe(child: Child) -> dict[str, Any]:
    """Return what `status` says of a process."""
    return {
        "name": child.name,
        "role": child.role,
        "pid": child.pid,
        "ready": child.ready,
        "restarts": child.restarts,
        "uptime": round(time.time() - child.started_at, 1) if child.started_at else 0,
        "generation": child.generation,
    }
