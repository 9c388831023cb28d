"""The control socket: a line of JSON asks, a line answers; only root and the product's own user may connect.

{"do": "status"} → {"ok": true, …}, or {"ok": false, "error": "one line"}. An answer may carry descriptors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from filterproxy.errors import FilterproxyError

from .logs import event, failed

_log = logging.getLogger(__name__)
_LINE = 1024 * 1024
_IDLE = 30.0
_CLIENTS = 64
_NO_LOGIN = 0xFFFFFFFF


@dataclass(frozen=True)
class Reply:
    """An answer, with descriptors that are closed once they are sent."""

    body: dict[str, Any]
    fds: Sequence[int] = ()


Answer = Callable[[dict[str, Any], str], Awaitable[Reply]]
"""Takes the request and who asks; FilterproxyError becomes an error line."""


async def serve(sock: socket.socket, answer: Answer) -> None:
    """Serve the listening Unix socket `sock` until cancelled."""
    loop = asyncio.get_running_loop()
    clients: set[asyncio.Task[None]] = set()
    try:
        while True:
            client, _ = await loop.sock_accept(sock)
            by = _peer(client)
            if by is None or len(clients) >= _CLIENTS:
                event(_log, logging.WARNING, "control_socket_refused", full=by is not None)
                client.close()
                continue
            task = loop.create_task(_client(client, by, answer))
            clients.add(task)
            task.add_done_callback(clients.discard)
    finally:
        for task in clients:
            task.cancel()


async def _client(sock: socket.socket, by: str, answer: Answer) -> None:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    rest = b""
    try:
        while True:
            while b"\n" not in rest:
                more = await asyncio.wait_for(loop.sock_recv(sock, 65536), _IDLE)
                if not more or len(rest) > _LINE:
                    return
                rest += more
            line, _, rest = rest.partition(b"\n")
            reply = await _reply(line, by, answer)
            data = json.dumps(reply.body, separators=(",", ":"), default=str).encode() + b"\n"
            # Descriptors ride on the first byte; the socket's buffer is empty then, for each answer is awaited.
            try:
                sent = socket.send_fds(sock, [data[:1]], list(reply.fds), socket.MSG_NOSIGNAL) if reply.fds else 0
            finally:
                for fd in reply.fds:
                    os.close(fd)
            await asyncio.wait_for(loop.sock_sendall(sock, data[sent:]), _IDLE)
    except (OSError, TimeoutError):
        return
    finally:
        sock.close()


async def _reply(line: bytes, by: str, answer: Answer) -> Reply:
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            raise ValueError
    except ValueError:
        return Reply({"ok": False, "error": 'write one JSON object a line, with "do"'})
    try:
        reply = await answer(request, by)
        return Reply({"ok": True, **reply.body}, reply.fds)
    except FilterproxyError as exc:
        return Reply({"ok": False, "error": str(exc)})
    except Exception as exc:  # noqa: BLE001 - who asked is told, without its text
        failed(_log, "control_request_failed", exc)
        return Reply({"ok": False, "error": f"internal error ({type(exc).__name__})"})


def _peer(sock: socket.socket) -> str | None:
    """Return the name of the person behind `sock`, or None where they may not ask.

    The login's name where the kernel knows one (so that two people who both became root are two), else the user's.
    """
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        return None
    try:
        with open(f"/proc/{pid}/loginuid") as file:
            login = int(file.read())
    except (OSError, ValueError):
        login = _NO_LOGIN
    number = uid if login == _NO_LOGIN else login
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
