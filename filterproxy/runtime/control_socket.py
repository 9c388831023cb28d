"""The control socket: a line of JSON asks, a line answers; only root and the product's own user may connect.

{"do": "status"} → {"ok": true, …}, or {"ok": false, "error": "one line"}. An answer may carry descriptors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import select
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
_SO_PEERPIDFD = 77


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
            try:
                client, _ = await loop.sock_accept(sock)
            except OSError as exc:  # no descriptor is left, say: those who wait are heard when there is one
                event(_log, logging.WARNING, "control_socket_failed", reason=exc.strerror or type(exc).__name__)
                await asyncio.sleep(1)
                continue
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
    except (ValueError, RecursionError):
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

    The login's name where the kernel knows one (so that two people who both became root are two, and one who became
    root is one), else the user's.
    """
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        return None
    try:
        with open(f"/proc/{pid}/loginuid") as file:
            login = int(file.read())
    except (OSError, ValueError):
        login = _NO_LOGIN
    if _gone(sock, pid):
        return None  # who ended before we looked could be anybody's login, and pass for a second person
    number = uid if login == _NO_LOGIN else login
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _gone(sock: socket.socket, pid: int) -> bool:
    """Tell whether the process that connected has ended; its number may be another's by now."""
    try:
        (fd,) = struct.unpack("i", sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, struct.calcsize("i")))
    except OSError:  # before Linux 6.5, or it is gone for good
        return not _lives(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(fd)


def _lives(pid: int) -> bool:
    """Tell whether there is a process of this number; 0 stands for one that we cannot see, as from a container."""
    try:
        if pid > 0:
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
