"""Sockets of clients: UDP datagrams, of which `udp` takes care, and connections, which `streams` and `doh` serve.

The sockets are handed in, bound and listening, and are never closed here: the supervisor keeps them, so that what waits
in them when a worker stops is read by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from .asking import TCP, Way
from .doh import Doh
from .doh_words import Site
from .front import Front
from .guest import STRANGERS, Back
from .http2.heads import Heads
from .streams import Connection, Seats, Stream
from .tls import Certificate, Named
from .udp import Door

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from filterproxy.settings.dns import Dns

    from .doh_words import Request
    from .resolver import Resolver

HANDSHAKE_SECONDS: Final = 5.0
"""How long a client may take to agree on encryption."""
GOODBYE_SECONDS: Final = 2.0
"""How long it may take to end that."""

Connected = Stream | Doh
Make = Callable[[str, Callable[[], None]], Connected]
"""Makes what serves the connection of an IP address; the second is called whenever questions came on it."""


class Service(NamedTuple):
    """How the connections of a listening socket are served."""

    make: Make
    seats: Seats
    event: str
    """What counts them."""
    certificate: Certificate | None = None


class Serving:
    """What is being served, until it is closed."""

    def __init__(self, resolver: Resolver, settings: Dns, choices: frozenset[str] = frozenset()) -> None:
        """`choices` are the profiles that any client may choose, where it comes encrypted."""
        self._resolver, self._settings, self._choices = resolver, settings, choices
        # Twice as many may wait as may be asked of upstreams, so that what is too much gets its SERVFAIL.
        self._front = Front(resolver, 2 * settings.cache_entries, 2 * settings.max_inflight, settings.limits)
        self._back = Back(resolver, 2 * settings.cache_entries)
        self._udp: dict[int, Door] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: set[asyncio.Task[None]] = set()
        self._connected: set[Connected] = set()
        self._seats = Seats(settings.tcp_connections)
        self._encrypted_seats = Seats(settings.encrypted.connections)
        self._services: dict[str, Service] = {}
        self._closing = False

    def add_udp(self, sock: socket.socket) -> None:
        """Take questions from `sock`, which is bound."""
        door = self._udp[sock.fileno()] = Door(sock, self._front)
        door.open()

    def remove_udp(self, sock: socket.socket) -> None:
        """Take no more questions from `sock`. Those already taken are answered, so it must stay open for a while."""
        self._udp.pop(sock.fileno()).close()

    def add_tcp(self, sock: socket.socket) -> None:
        """Take connections from `sock`, which is listening."""
        self._add(sock, "tcp", self._plain)

    def add_dot(self, sock: socket.socket) -> None:
        """Take connections of DNS over TLS from `sock`, which is listening."""
        self._add(sock, "dot", self._dot)

    def add_doh(self, sock: socket.socket) -> None:
        """Take connections of DNS over HTTPS from `sock`, which is listening."""
        self._add(sock, "doh", self._doh)

    async def close(self, drain_seconds: float) -> None:
        """Take no more questions, and give those already taken `drain_seconds` to be answered."""
        self._closing = True
        for door in self._udp.values():
            door.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connected in self._connected:
            connected.finish()
        drained = _start(self._front.drained(), self._streams)
        _, late = await asyncio.wait(self._streams | {drained}, timeout=drain_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._resolver.close()
        await asyncio.sleep(0)  # what that answered leaves before the sockets may be closed

    # How connections are served

    def _plain(self) -> Service:
        idle = self._settings.tcp_idle.total_seconds()

        def make(client: str, asked: Callable[[], None]) -> Stream:
            return Stream(self._back, client, lambda _: TCP, idle, asked)

        return Service(make, self._seats, "dns_tcp_connections")

    def _dot(self) -> Service:
        idle, site = self._settings.encrypted.idle.total_seconds(), self._settings.encrypted.name
        names = {f"{profile}.{site}": profile for profile in self._choices}

        def way(transport: asyncio.Transport) -> Way:
            """Return the profile whose name the client called, of any other name or none that of its address."""
            connection = transport.get_extra_info("ssl_object")
            called = connection.name if isinstance(connection, Named) else None
            return Way(stream=True, encrypted=True, profile=None if called is None else names.get(called))

        def make(client: str, asked: Callable[[], None]) -> Stream:
            return Stream(self._back, client, way, idle, asked)

        return Service(make, self._encrypted_seats, "dns_dot_connections", self._certificate("dot", named=bool(names)))

    def _doh(self) -> Service:
        idle, site = self._settings.encrypted.idle.total_seconds(), Site(self._settings.encrypted.path, self._choices)
        heads: Heads[Request] = Heads(site.understand)

        def make(client: str, asked: Callable[[], None]) -> Doh:
            return Doh(self._back, client, heads, idle, asked)

        return Service(make, self._encrypted_seats, "dns_doh_connections", self._certificate("h2"))

    def _certificate(self, alpn: str, *, named: bool = False) -> Certificate:
        """Return our certificate, which from now on is renewed as its files are."""
        table = self._settings.encrypted
        assert table.certificate is not None  # noqa: S101 - the settings see to it, where anything is served so
        assert table.key is not None  # noqa: S101
        found = Certificate(table.certificate, table.key, (alpn,), self._resolver.count.event, named=named)
        self._tasks.append(asyncio.get_running_loop().create_task(found.keep()))
        return found

    # Connections

    def _add(self, sock: socket.socket, kind: str, service: Callable[[], Service]) -> None:
        sock.setblocking(False)
        if kind not in self._services:
            self._services[kind] = service()
        self._tasks.append(asyncio.get_running_loop().create_task(self._accept(sock, self._services[kind])))

    async def _accept(self, sock: socket.socket, service: Service) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, or the client has gone before we came
                continue
            self._resolver.count.event(service.event)
            sharer = self._resolver.sharer(address[0])
            task = _start(self._connection(connection, address[0], service), self._streams)
            service.seats.take(task, sharer or STRANGERS)
            await asyncio.sleep(0)  # it begins, and so closes its socket, before another can take its place

    async def _connection(self, sock: socket.socket, client: str, service: Service) -> None:
        """Serve a connection until it is lost."""
        asked = partial(service.seats.asked, cast("Connection", asyncio.current_task()))
        serves = service.make(client, asked)
        try:
            transport = await self._connect(sock, serves, service.certificate)
        except OSError:  # the client has gone, or does not agree on encryption
            sock.close()
            if service.certificate is not None:
                self._resolver.count.event("dns_tls_failed")
            return
        self._connected.add(serves)
        if self._closing:
            serves.finish()
        try:
            await serves.done
        finally:
            self._connected.discard(serves)
            transport.abort()

    async def _connect(
        self, sock: socket.socket, serves: Connected, certificate: Certificate | None
    ) -> asyncio.Transport:
        """Hand a connection to who serves it, once it is encrypted where it is to be. Raises OSError."""
        connect = partial(asyncio.get_running_loop().connect_accepted_socket, lambda: serves, sock)
        if certificate is None:
            return (await connect())[0]
        if certificate.context is None:
            raise ConnectionRefusedError
        transport, _ = await connect(
            ssl=certificate.context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=GOODBYE_SECONDS,
        )
        return transport


def _start(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    """Run `work`, held in `tasks` while it runs."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def serve(
    resolver: Resolver,
    udp_sockets: Sequence[socket.socket],
    tcp_sockets: Sequence[socket.socket],
    settings: Dns,
    choices: frozenset[str] = frozenset(),
) -> Serving:
    """Start to answer on sockets that are bound, and listening where they are TCP."""
    serving = Serving(resolver, settings, choices)
    for sock in udp_sockets:
        serving.add_udp(sock)
    for sock in tcp_sockets:
        serving.add_tcp(sock)
    return serving
