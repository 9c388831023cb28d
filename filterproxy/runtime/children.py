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

from .channel import Body, Channel, ChannelError, pair
from .counters import Counters, Layout
from .logs import event, failed
from .memfd import shared

_log = logging.getLogger(__name__)
_HEALTHY = 30.0
_SLOWEST = 10.0
_FIRST = 0.25
_SET_UP = 60.0


class Child:
    """A place that a process of one role fills. It keeps the counts and descriptors that every replacement gets."""

    def __init__(self, role: str, name: str, layout: Layout) -> None:
        """Prepare the place `name` (such as edge-0); nothing runs yet."""
        self.role, self.name = role, name
        self._memory = shared(f"counters-{name}", layout.size)
        self.counters = Counters(layout, self._memory)
        self.channel: Channel | None = None
        self.pid: int | None = None
        self.restarts = 0
        self.started_at = 0.0
        """Unix time; 0 while down."""
        self.ready = False
        self.ending = False
        """It was told to end: what it leaves undone is no fault."""
        self.generation = -1
        """The bundle it has adopted; -1 for none."""
        self.held: set[str] = set()
        """Segments it was given."""
        self.last_beat = 0.0
        self.clients = NOBODY
        """What it has seen of clients; see filterproxy.dns.crowd."""

    async def run(
        self,
        setup: Callable[[], Body],
        sockets: Sequence[tuple[str, socket.socket]],
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
        beginning = asyncio.create_task(self._begin(channel, setup, sockets, begun))
        try:
            code = await process.wait()
        finally:
            beginning.cancel()
            (result,) = await asyncio.gather(beginning, return_exceptions=True)
            channel.close()
            self.channel, self.pid, self.started_at, self.ready, self.generation = None, None, 0.0, False, -1
            self.clients = NOBODY
            self.held.clear()
        well = code == 0 or (self.ending and code == -signal.SIGTERM)  # so it ends before it has begun anything
        event(_log, logging.INFO if well else logging.WARNING, "process_ended", name=self.name, code=code)
        if isinstance(result, Exception):
            raise result

    async def _begin(
        self,
        channel: Channel,
        setup: Callable[[], Body],
        sockets: Sequence[tuple[str, socket.socket]],
        begun: Callable[[Child], Awaitable[None]],
    ) -> None:
        names = [use for use, _ in sockets]
        fds = [self._memory, *(sock.fileno() for _, sock in sockets)]
        try:
            await channel.ask("setup", {**setup(), "name": self.name, "sockets": names}, fds, timeout=_SET_UP)
            await begun(self)
        except ChannelError as exc:
            if not self.ending:
                event(_log, logging.ERROR, "process_not_set_up", name=self.name, reason=str(exc))
                self.signal(signal.SIGKILL)

    def end(self) -> None:
        """Tell it to finish what it has begun and end."""
        self.ending = True
        self.signal(signal.SIGTERM)

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


async def keep(child: Child, run_once: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Keep `child` running until `stopping`: the first replacement comes at once, the next ones ever later."""
    pause = 0.0
    while not stopping.is_set():
        begun = time.monotonic()
        try:
            await run_once()
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from starting, it is tried again
            failed(_log, "process_not_started", exc, name=child.name)
        if stopping.is_set():
            return
        if time.monotonic() - begun >= _HEALTHY:
            pause = 0.0
        if pause:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
        pause = min(_SLOWEST, pause * 2 or _FIRST)
        child.restarts += 1


def environment() -> dict[str, str]:
    """Return the environment of a child: ours, and where this package lies if it is not installed."""
    found = dict(os.environ)
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
