"""What a role is given: settings, its keys, sockets, counters and the live policy; and how the child gets them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from filterproxy.errors import ControlError
from filterproxy.notice.token import Sealer
from filterproxy.settings import Settings

from . import logs
from .channel import Body, Channel, ChannelError
from .counters import Counters, Layout
from .live import Live

BEAT = 1.0
"""Seconds between two signs of life; filterproxy.runtime.watch says what follows where they stay away."""

Command = Callable[[Body], Awaitable[Body]]
Taking = Callable[[Body, list[int]], None]
"""Takes a message and its descriptors, which it owns."""


@dataclass(frozen=True)
class Shared:
    """The keys that a worker has. What opens tokens or sealed entries is not among them.

    The digest key comes with each bundle, for it is the one that this bundle was made under.
    """

    token_public: bytes = field(repr=False)
    patterns_public: bytes = field(repr=False)
    patterns_next: bytes = field(repr=False)
    """The one that is to follow it; empty where none is."""
    mac: bytes = field(repr=False)

    def to_json(self) -> dict[str, str]:
        """Return what travels over the channel, which only these two processes hold."""
        return {name: getattr(self, name).hex() for name in ("token_public", "patterns_public", "patterns_next", "mac")}

    @classmethod
    def from_json(cls, found: dict[str, str]) -> Shared:
        """Return the keys that `to_json` wrote."""
        return cls(**{name: bytes.fromhex(value) for name, value in found.items()})


class Worker:
    """A role's surroundings."""

    def __init__(self, name: str, body: Body, fds: list[int], stop: asyncio.Event, channel: Channel) -> None:
        """Take over what a `setup` message brought."""
        self.name, self.stop, self.channel = name, stop, channel
        self.settings = Settings.model_validate_json(body["settings"])
        self.whole_first = bool(body["whole_first"])
        """The bundle that is handed to it was made for another configuration: control publishes its own once that is
        complete, and not list by list."""
        logs.set_up(self.settings.log.level, self.settings.log.format, name)
        self.behind = bool(body["behind"])
        """Whether the gateway runs beside an inspector, so that it serves nobody else."""
        self.keys = Shared.from_json(body["keys"])
        self.counters = Counters(Layout.of(self.settings), fds[0])
        os.close(fds[0])
        self.sockets: dict[str, list[socket.socket]] = {}
        for use, fd in zip(body["sockets"], fds[1:], strict=True):
            sock = socket.socket(fileno=fd)
            sock.setblocking(False)
            self.sockets.setdefault(use, []).append(sock)
        self.sealer = Sealer(self.keys.token_public)
        """Seals the tokens of notices, under another key as soon as the supervisor says so."""
        self.live = Live(self.settings)
        self.commands: dict[str, Command] = {}
        """What this role answers when the supervisor asks."""
        self.takes: dict[str, Taking] = {}
        """What this role does when the supervisor tells it something that may bring descriptors."""
        self.says: dict[str, Callable[[], str]] = {}
        """What this role tells with every sign of life."""

    def ready(self, **body: Any) -> None:
        """Tell the supervisor that this process serves, and what else there is to tell."""
        with contextlib.suppress(ChannelError):
            self.channel.tell("ready", body)

    async def wait_for_bundle(self) -> bool:
        """Wait until there is something to judge by; False where the process is to stop before."""
        waits = [asyncio.ensure_future(self.live.adopted.wait()), asyncio.ensure_future(self.stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self.stop.is_set()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def receive(name: str, sock: socket.socket) -> AsyncIterator[Worker]:
    """Wait for the `setup` message on `sock`, and yield the worker; its channel is served for as long."""
    stop = asyncio.Event()
    arrived: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    channel: Channel

    async def handle(kind: str, body: Body, fds: list[int]) -> Body | None:
        if kind == "setup":
            arrived.set_result(Worker(name, body, fds, stop, channel))
            return None
        worker = await arrived
        if kind == "adopt":
            return await worker.live.adopt(body, fds)
        if (take := worker.takes.get(kind)) is not None:
            take(body, fds)
            return None
        for fd in fds:
            os.close(fd)
        if kind == "seal":
            worker.sealer.use(bytes.fromhex(body["token_public"]))
            return {}
        if kind == "stop":
            stop.set()
            return None
        command = worker.commands.get(kind)
        if command is None:
            raise ControlError(f"{name} does not know {kind}")
        return await command(body)

    def closed() -> None:  # a supervisor that is gone ends us too
        stop.set()
        arrived.cancel()

    channel = Channel(sock, handle, closed=closed)
    beating = asyncio.create_task(_beat(channel, arrived))
    try:
        yield await arrived
    finally:
        beating.cancel()
        channel.close()


async def _beat(channel: Channel, arrived: asyncio.Future[Worker]) -> None:
    """Tell that this loop still turns, and what the role has to say."""
    with contextlib.suppress(ChannelError):
        while True:
            says = arrived.result().says if arrived.done() and not arrived.cancelled() else {}
            channel.tell("beat", {name: say() for name, say in says.items()})
            await asyncio.sleep(BEAT)
