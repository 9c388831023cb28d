"""The entry of every child process: `python -P -m filterproxy.runtime.child ROLE NAME DESCRIPTOR PARENT`.

It inherits one end of a channel and nothing else. Settings, keys, sockets, counters and segments come through it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
from typing import Any, Protocol, cast

from filterproxy.errors import FilterproxyError

from . import capabilities, logs, process
from .worker import Worker, receive

_UVLOOP = frozenset({"edge", "control", "transfer"})  # mitmproxy's master dies on it


class Role(Protocol):
    """A module of this package named after its role."""

    async def main(self, worker: Worker) -> None:
        """Serve until `worker.stop` is set, then finish what was begun."""
        ...


def main(arguments: list[str]) -> int:
    """Run the role named by `arguments` until the supervisor ends it."""
    role, name, descriptor, parent = arguments
    if role != "edge":
        capabilities.give_up()  # what an edge worker may keep, nobody else needs
    process.harden()
    process.die_with(int(parent))
    for number in (signal.SIGINT, signal.SIGHUP):  # they may reach the whole group; the supervisor says when
        signal.signal(number, signal.SIG_IGN)
    logs.set_up("info", "text", name)
    sock = socket.socket(fileno=int(descriptor))
    sock.set_inheritable(False)
    with asyncio.Runner(loop_factory=_loop_factory(role)) as runner:
        runner.run(_serve(role, name, sock))
        # What was begun is finished, but for what nobody waits for: control's thread may read a list for minutes yet.
        # Like a kill, which it stands at any moment, this leaves the last bundle as it is.
        os._exit(0)


def _loop_factory(role: str) -> Any:
    if role not in _UVLOOP:
        return None
    import uvloop

    return uvloop.new_event_loop


async def _serve(role: str, name: str, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_exception)
    module = cast("Role", importlib.import_module(f"filterproxy.runtime.{role}"))  # it takes longest: before all else
    async with receive(name, sock) as worker:
        loop.add_signal_handler(signal.SIGTERM, worker.stop.set)  # until now nothing is begun, and it just ends
        try:
            await module.main(worker)
        except Exception as exc:  # noqa: BLE001 - told by class and place; a traceback may hold an address
            reason = str(exc) if isinstance(exc, FilterproxyError) else ""  # ours hold no address
            logs.failed(logging.getLogger(__name__), "role_failed", exc, logging.CRITICAL, reason=reason)
            raise SystemExit(1) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
