"""Clients over UDP, and who answers below the resolver: what tests of the sockets share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from dnslib import DNSRecord

from filterproxy.dns import wire
from filterproxy.dns.asking import Then
from filterproxy.dns.server import serve
from filterproxy.settings.dns import Dns
from tests.dns import rooms
from tests.dns.fakes import Below


def below(ttl: int = 300) -> Below:
    """Return what gives every name an address."""
    return Below(lambda query: rooms.said(query, f"{b'.'.join(query.labels).decode()} {ttl} IN A 192.0.2.1"))


class Never:
    """Answers nobody before it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Then] = []

    def ask(self, _query: wire.Query, then: Then) -> None:
        self.waiting.append(then)


@contextlib.asynccontextmanager
async def answering(resolver, *hosts: str, **settings) -> AsyncIterator[list[socket.socket]]:
    """Serve on UDP sockets of `hosts`."""
    socks = []
    for host in hosts or ("127.0.0.1",):
        socks.append(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM))
        socks[-1].bind((host, 0))
    serving = await serve(resolver, socks, [], Dns(**settings))
    try:
        yield socks
    finally:
        await serving.close(0.5)
        for sock in socks:
            sock.close()


def client(host: str, server: socket.socket, to: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    sock.connect((to, server.getsockname()[1]))
    return sock


async def heard(sock: socket.socket, wait: float = 0.1) -> list[bytes]:
    """Return what comes until nothing does for `wait` seconds."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65535), wait))
    return found


async def asked(sock: socket.socket, *packets: bytes) -> list[DNSRecord]:
    for packet in packets:
        sock.send(packet)
    return [DNSRecord.parse(reply) for reply in await heard(sock)]
