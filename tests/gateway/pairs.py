"""Real connections for the tests of tunnels: a client, an origin, and a tunnel between them; and loops to run it on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from filterproxy.gateway.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from filterproxy.gateway.pipes import Pipes

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def run[T](loop: str, story: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run `story` on the loop of that name; fail where it leaves a descriptor open, or takes more than 60 seconds."""

    async def within() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strange.append(context))
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        server.close()
        await asyncio.sleep(0.02)  # from its first listener on libuv keeps a spare descriptor
        before = descriptors()
        result = await asyncio.wait_for(story(), 60)
        await asyncio.sleep(0.02)
        assert descriptors() == before
        return result

    strange: list[dict[str, object]] = []
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(within())
    assert strange == []
    return result


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def connection(send: int = 0, receive: int = 0) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection, that do not block; the first with that send buffer, the second with that
    receive buffer, where given.
    """
    with socket.socket() as listener:
        if receive:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        if send:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        far = socket.socket()
        if receive:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        far.connect(listener.getsockname())
        near, _ = listener.accept()
    for end in (near, far):
        end.setblocking(False)
    return near, far


class Between:
    """A tunnel between `client` and `origin`, which are what a test has in its hands."""

    def __init__(self, pipes: Pipes, idle: float = 30, *, send: int = 0, receive: int = 0) -> None:
        near, self.client = connection(send, receive)
        beyond, self.origin = connection(send, receive)
        self.ended: list[Tunnel] = []
        self.tunnel = Tunnel(asyncio.get_running_loop(), pipes, near, beyond, idle, self.ended.append)

    async def over(self, seconds: float = 10) -> str | None:
        """Return how the tunnel ended, and see that it is told once."""
        for _ in range(int(seconds / 0.01)):
            if self.ended:
                break
            await asyncio.sleep(0.01)
        assert self.ended == [self.tunnel]
        return self.tunnel.ending

    def close(self) -> None:
        """Close what is open."""
        self.tunnel.close()
        self.client.close()
        self.origin.close()


async def sent(sock: socket.socket, data: bytes, pieces: Callable[[], int] | None = None) -> None:
    """Send `data`, in pieces of such sizes, and then end."""
    loop, view = asyncio.get_running_loop(), memoryview(data)
    while view:
        size = pieces() if pieces else len(view)
        await loop.sock_sendall(sock, view[:size])
        view = view[size:]
    sock.shutdown(socket.SHUT_WR)


async def received(sock: socket.socket, size: int = 1 << 18) -> bytes:
    """Return all that comes until the other side ends."""
    loop, parts = asyncio.get_running_loop(), []
    while part := await loop.sock_recv(sock, size):
        parts.append(part)
    return b"".join(parts)
