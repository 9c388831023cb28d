"""Sockets of a test: those that the supervisor would hand over, and clients that ask there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta

from dnslib import DNSRecord

from filterproxy.core.policy import Policy
from filterproxy.dns.asking import UDP, Reply, Way
from filterproxy.dns.server import Serving, serve
from filterproxy.settings.dns import Dns
from tests.dns.fakes import DEFAULT, Counts, query
from tests.dns.pairs import NAME, Files, Pair, trusting

STRANGERS = "127.0.9."


class Sockets:
    """A UDP and a TCP socket on one port, and one for TLS, as the supervisor hands them over."""

    def __init__(self) -> None:
        self.tcp, self.dot = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.address, self.dot_address = self.tcp.getsockname(), self.dot.getsockname()
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(self.address)

    def close(self) -> None:
        self.tcp.close()
        self.dot.close()
        self.udp.close()


@contextlib.asynccontextmanager
async def served(
    resolver, files: Files | None = None, choices: frozenset[str] = frozenset(), **settings
) -> AsyncIterator[tuple[Serving, Sockets]]:
    """Serve UDP and TCP, and with the certificate in `files` TLS as well; `settings` are those of the [dns] table."""
    sockets = Sockets()
    if files is not None:
        own = settings.pop("encrypted", {})
        settings["encrypted"] = {
            "name": NAME, "dot": ["127.0.0.1:853"], "certificate": files.certificate, "key": files.key, **own
        }  # fmt: skip
    serving = await serve(resolver, [sockets.udp], [sockets.tcp], Dns(**settings), choices)
    if files is not None:
        serving.add_dot(sockets.dot)
    try:
        yield serving, sockets
    finally:
        await serving.close(1)
        sockets.close()


class Over:
    """A way for streams: TCP, or TLS where there is a certificate."""

    def __init__(self, files: Files | None = None, pair: Pair | None = None) -> None:
        self.files, self.context = files, trusting(pair) if pair is not None else None

    def served(
        self, resolver, *, idle: float = 10, connections: int = 200
    ) -> contextlib.AbstractAsyncContextManager[tuple[Serving, Sockets]]:
        """Serve this way, and bound connections so."""
        seconds = timedelta(seconds=idle)
        if self.files is None:
            return served(resolver, tcp_idle=seconds, tcp_connections=connections)
        return served(resolver, self.files, encrypted={"idle": seconds, "connections": connections})

    def listening(self, sockets: Sockets) -> socket.socket:
        return sockets.dot if self.context is not None else sockets.tcp

    async def to(self, sockets: Sockets, client: str = "127.0.0.1", name: str = NAME) -> Stream:
        """Return a client that has come this way, and over TLS called the server by `name`."""
        return await Stream.to(self.listening(sockets).getsockname(), client, self.context, name)


async def over_udp(address, packet: bytes, wait: float = 2) -> bytes:
    with socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(address)
        sock.send(packet)
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), wait)


class Stream:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(
        cls, address, client: str = "127.0.0.1", context: ssl.SSLContext | None = None, name: str = NAME
    ) -> Stream:
        called = None if context is None else name
        return cls(
            *await asyncio.open_connection(*address, local_addr=(client, 0), ssl=context, server_hostname=called)
        )

    def send(self, packet: bytes) -> None:
        self.writer.write(len(packet).to_bytes(2) + packet)

    async def whole(self) -> bytes:
        """Return the next message."""
        async with asyncio.timeout(5):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2)))

    async def receive(self) -> DNSRecord:
        return DNSRecord.parse(await self.whole())

    async def ended(self) -> bool:
        """Tell whether the other side has closed, within two seconds."""
        try:
            async with asyncio.timeout(2):
                return await self.reader.read() == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


class Echo:
    """Answers with the packet itself, `big` with 60,000 bytes, `slow` a moment later, `never` not. Serves all but
    STRANGERS.
    """

    def __init__(self) -> None:
        self.count = Counts()
        self.clients: list[tuple[str, bool]] = []
        self.busy = self.most = 0
        self.closed = False

    def sharer(self, client: str) -> str | None:
        return None if client.startswith(STRANGERS) else client

    def policy(self) -> Policy:
        return DEFAULT

    def clock(self) -> float:
        return 0.0

    def profile(self, client: str, way: Way = UDP) -> str | None:
        return "default"

    def close(self) -> None:
        self.closed = True

    def answer(self, packet: bytes, client: str, reply: Reply, way: Way = UDP) -> None:
        self.clients.append((client, way.stream))
        self.busy += 1
        self.most = max(self.most, self.busy)
        said = bytes(60_000) if b"big" in packet else None if b"silent" in packet else packet
        if b"never" in packet:
            return
        if b"slow" in packet:
            asyncio.get_running_loop().call_later(0.2, self._say, reply, said)
        else:
            self._say(reply, said)

    def _say(self, reply: Reply, said: bytes | None) -> None:
        self.busy -= 1
        reply(said, None)


def named(name: str, ident: int = 1) -> bytes:
    return bytes(query(name, ident=ident).pack())
