"""Messages between the supervisor and a child: JSON objects with descriptors, over a SOCK_SEQPACKET pair.

A message is {"kind", "id"?, "body"}; an answer {"re", "body"} or {"re", "error"}. What is larger than a packet
travels in sealed memory whose descriptor comes first, marked {"blob": true}. Anything malformed closes the channel:
both ends are ours, so it means a broken process, and the supervisor starts another.
Works on plain asyncio and on uvloop (a raw socket with add_reader; a transport would not pass descriptors).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from filterproxy.errors import FilterproxyError, SegmentError

from .logs import failed
from .memfd import mapped, sealed

_log = logging.getLogger(__name__)

_PACKET = 64 * 1024
_LIMIT = 64 * 1024 * 1024
_MAX_FDS = 250  # the kernel takes 253 in one message
_QUEUE = 1000
_ANCILLARY = socket.CMSG_SPACE(_MAX_FDS * 4)

Body = dict[str, Any]
Handler = Callable[[str, Body, list[int]], Awaitable[Body | None]]
"""Takes kind, body and descriptors (which it owns), and returns the answer's body."""


class ChannelError(FilterproxyError):
    """The other process is gone, too slow, or refused a request. The supervisor replaces a child that is."""


class Channel:
    """One end of the pair. Requests are answered out of order; each handler runs as a task of its own."""

    def __init__(self, sock: socket.socket, handle: Handler, closed: Callable[[], None] = lambda: None) -> None:
        """Serve `sock` on the running loop until either side closes; then `closed` is called once."""
        sock.setblocking(False)
        self._sock, self._handle, self._closed = sock, handle, closed
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Body]] = {}
        self._queue: deque[tuple[bytes, list[int]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self.open = True
        self._loop.add_reader(sock.fileno(), self._readable)

    async def ask(self, kind: str, body: Body, fds: Sequence[int] = (), *, timeout: float = 30.0) -> Body:
        """Send a request and return its answer. Raises ChannelError when it is refused, late, or the peer is gone."""
        self._next += 1
        number, future = self._next, self._loop.create_future()
        self._waiting[number] = future
        try:
            self._send({"kind": kind, "id": number, "body": body}, fds)
            return await asyncio.wait_for(future, timeout)
        except TimeoutError as exc:
            raise ChannelError(f"no answer to {kind} within {timeout:.0f} s") from exc
        finally:
            self._waiting.pop(number, None)

    def tell(self, kind: str, body: Body, fds: Sequence[int] = ()) -> None:
        """Send a message that nobody answers. Raises ChannelError when the peer is gone."""
        self._send({"kind": kind, "body": body}, fds)

    def close(self) -> None:
        """Close this end; whoever waits for an answer gets ChannelError."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChannelError("the process is gone"))
        for _, fds in self._queue:
            _close(fds)
        self._queue.clear()
        self._closed()

    def _send(self, message: Body, fds: Sequence[int]) -> None:
        if not self.open:
            raise ChannelError("the process is gone")
        data = json.dumps(message, separators=(",", ":")).encode()
        own = [os.dup(fd) for fd in fds]  # the caller may close its own while ours wait in the queue
        if len(data) > _PACKET:
            own.insert(0, sealed("message", [data]))
            data = b'{"blob":true}'
        if len(own) > _MAX_FDS or len(self._queue) >= _QUEUE:
            _close(own)
            self.close()
            raise ChannelError("more was sent than the process takes")
        self._queue.append((data, own))
        self._flush()

    def _flush(self) -> None:
        while self._queue:
            data, fds = self._queue[0]
            try:
                socket.send_fds(self._sock, [data], fds, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self.close()
                return
            _close(self._queue.popleft()[1])
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(64):  # then let others have the loop
            if not self.open:
                return
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(_PACKET + 1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary, flags = b"", [], 0
            fds = _descriptors(ancillary)
            try:
                if not data:
                    raise EOFError
                if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                    raise ValueError("cut short")
                self._take(json.loads(data), fds)
            except EOFError:
                self.close()
            except (ValueError, TypeError, KeyError, RecursionError, SegmentError) as exc:
                _close(fds)
                failed(_log, "channel_malformed", exc)
                self.close()

    def _take(self, message: Any, fds: list[int]) -> None:
        if isinstance(message, dict) and message.get("blob"):
            message = _blob(fds)
        if not isinstance(message, dict) or not isinstance(body := message.get("body", {}), dict):
            raise ValueError("no message")
        if "re" in message:
            future = self._waiting.get(int(message["re"]))
            _close(fds)
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(ChannelError(str(message["error"])))
                else:
                    future.set_result(body)
            return
        task = self._loop.create_task(self._serve(str(message["kind"]), body, fds, message.get("id")))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, kind: str, body: Body, fds: list[int], number: int | None) -> None:
        answer: Body
        try:
            answer = {"re": number, "body": await self._handle(kind, body, fds) or {}}
        except FilterproxyError as exc:
            answer = {"re": number, "error": str(exc)}
        except Exception as exc:  # noqa: BLE001 - the peer is told that it failed, and this process goes on
            failed(_log, "channel_request_failed", exc, kind=kind)
            answer = {"re": number, "error": f"internal error ({type(exc).__name__})"}
        if number is not None:
            with contextlib.suppress(ChannelError):  # who asked is gone
                self._send(answer, ())


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel: ours, and the child's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _blob(fds: list[int]) -> Any:
    if not fds:
        raise ValueError("no memory with it")
    fd = fds.pop(0)
    try:
        with mapped(fd) as memory:
            if len(memory) > _LIMIT:
                raise ValueError("larger than a message may be")
            return json.loads(memory[:])
    finally:
        os.close(fd)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
