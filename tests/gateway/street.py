"""A whole gateway in this process, between raw callers and an origin that does as told and keeps what it heard."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.core.model import Verdict
from filterproxy.core.policy import Policy
from filterproxy.gateway import Serving, furnish
from filterproxy.gateway.house import House
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Sealer
from filterproxy.settings import Settings
from tests.policies import NOW, build, table

PRIVATE = X25519PrivateKey.generate()
KEY = b"m" * 32
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nServer: shop\r\n\r\npage"
LISTS = {
    table("pages", "urls", https="inspect", basis="law", mandatory=True): [
        "pages.example/listed", "pages.example/deep/",
    ],
    table("domains", "domains"): ["blocked.example", "192.0.2.66"],
    table("warned", "keywords", action="warn"): ["warnword"],
    table("flagged", "keywords"): ["flagword"],
}  # fmt: skip
FEW = {key: value for key, value in LISTS.items() if key.id in ("pages", "domains")}
"""Without keywords, for these are looked for in every URL."""
type Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[bool | None]]
"""Answers one request, whose head was read; True where the connection is to end."""


class Counts:
    """A counter that keeps everything."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.verdicts: list[Verdict] = []
        self.allowed = 0

    def event(self, name: str, number: int = 1) -> None:
        self.events[name] += number

    def event_cell(self, name: str) -> int:
        return len(name)

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        assert frontend == "http"
        self.verdicts.append(verdict)

    def cell(self, frontend: str, verdict: Verdict) -> int:
        assert (frontend, verdict) == ("http", Verdict())
        return 7

    def add(self, cell: int, number: int) -> None:
        assert cell == 7
        self.allowed += number


class Shop:
    """The origin. It says `page` to everything until it is told otherwise."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.heard: list[bytearray] = []
        """All bytes of each connection."""
        self.handle: Handle | None = None
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self.heard)

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        self._open.add(writer)
        feed = reader.feed_data

        def keep(data: bytes) -> None:
            heard.extend(data)
            feed(data)

        reader.feed_data = keep  # type: ignore[method-assign, assignment]
        heard.extend(reader._buffer)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.handle is not None:
                    if await self.handle(reader, writer, head):
                        break
                else:
                    await body_of(reader, head)
                    writer.write(PAGE)
        self._open.discard(writer)
        with contextlib.suppress(OSError):
            writer.close()


@dataclass(frozen=True)
class Reply:
    """A response as it came over the wire."""

    status: int
    head: bytes
    body: bytes
    trailers: bytes = b""

    def field(self, name: str) -> str | None:
        """Return the value of a field."""
        return fields(self.head).get(name)


class Caller:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *data: bytes) -> None:
        """Send bytes."""
        for piece in data:
            self.writer.write(piece)

    async def ask(self, data: bytes, *, head: bool = False) -> Reply:
        """Send a request and return the response to it."""
        self.send(data)
        return await self.reply(head=head)

    async def get(self, url: str, *more: str) -> Reply:
        """Ask for a URL in absolute form."""
        host = url.split("/")[2]
        lines = [f"GET {url} HTTP/1.1", f"Host: {host}", *more, "", ""]
        return await self.ask("\r\n".join(lines).encode())

    async def reply(self, *, head: bool = False) -> Reply:
        """Return the next response."""
        async with asyncio.timeout(10):
            start = await self.reader.readuntil(b"\r\n\r\n")
            status = int(start.split(b" ", 2)[1])
            found = fields(start)
            if head or status in (204, 304) or status < 200:
                return Reply(status, start, b"")
            if found.get("transfer-encoding") == "chunked":
                return Reply(status, start, *await chunks(self.reader))
            if "content-length" in found:
                return Reply(status, start, await self.reader.readexactly(int(found["content-length"])))
            return Reply(status, start, await self.reader.read())

    async def rest(self) -> bytes:
        """Return all that still comes, until the connection ends, well or not."""
        found = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(10):
                while data := await self.reader.read(65_536):
                    found += data
        return found

    async def rest_or(self, size: int) -> bytes:
        """Return so many bytes, or what comes before the end."""
        try:
            async with asyncio.timeout(10):
                return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError as exc:
            return exc.partial
        except OSError:
            return b""

    async def ended(self) -> bool:
        """Wait until the connection ends; tell whether that was by a reset."""
        try:
            async with asyncio.timeout(10):
                while await self.reader.read(65_536):
                    pass
        except OSError:
            return True
        return False

    def close(self) -> None:
        """End it."""
        self.writer.close()

    def reset(self) -> None:
        """End it as a program that dies does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


@dataclass
class Street:
    """A gateway and who lives there."""

    house: House
    serving: Serving
    shop: Shop
    counts: Counts
    port: int
    policies: list[Policy]
    callers: list[Caller] = field(default_factory=list)

    async def call(self, port: int | None = None) -> Caller:
        """Return a new connection of a client."""
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port or self.port))
        self.callers.append(caller)
        return caller

    def url(self, host: str, path: str = "/") -> str:
        """Return a URL of the shop's under a name."""
        return f"http://{host}:{self.shop.port}{path}"

    async def connect(self, host: str, port: int | None = None) -> Caller:
        """Return a tunnel to the shop under a name."""
        caller, there = await self.call(), f"{host}:{port or self.shop.port}"
        caller.send(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
        head = await caller.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return caller

    async def empty(self) -> None:
        """Wait until nobody is there any more, and nothing is kept for anybody."""
        await until(lambda: not self.house.seats.taken and not self.house.tunnels)
        await until(lambda: len(self.house.sweeper) == len(self.house.pool))


@asynccontextmanager
async def street(
    lists: Mapping[Any, Sequence[str]] = FEW, *, gateway: Mapping[str, object] | None = None,
    inspection: Mapping[str, object] | None = None, portal: Mapping[str, object] | None = None,
    uses: Sequence[str] = ("gateway",),
) -> AsyncIterator[Street]:  # fmt: skip
    """Yield a gateway over these lists; names below `.example` and `.test` lead to the shop, but `nowhere.test`."""
    shop, counts = Shop(), Counts()
    await shop.start()
    settings = Settings.model_validate({
        "gateway": {"allow_targets": ["127.0.0.0/8"], "connect_ports": [shop.port, 443], "trust_local": False}
        | dict(gateway or {}),
        "inspection": {"enabled": False} | dict(inspection or {}),
        "portal": {"url": "http://portal.example:8000"} | dict(portal or {}),
    })  # fmt: skip
    policies = [build(lists)]
    notices = Notices(settings.operator, settings.portal.url, Sealer(PRIVATE.public_key().public_bytes_raw()))

    async def resolve(host: str) -> list[str]:
        if host == "nowhere.test":
            raise OSError
        return ["10.9.9.9"] if host == "inner.test" else ["127.0.0.1"]

    house = furnish(settings, lambda: policies[-1], notices, counts, lambda: NOW, KEY, resolve)
    serving = Serving(house)
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in uses]
    for use, sock in zip(uses, listening, strict=True):
        sock.setblocking(False)
        await serving.listen(use, [sock])
    found = Street(house, serving, shop, counts, listening[0].getsockname()[1], policies)
    try:
        yield found
        for caller in found.callers:
            caller.close()
        await found.empty()
    finally:
        for caller in found.callers:
            caller.close()
        await serving.close(0.05)
        await shop.stop()
        for sock in listening:
            sock.close()
    assert (house.seats.taken, len(house.pool), len(house.sweeper), house.pipes.kept) == (0, 0, 0, 0)


def fields(head: bytes) -> dict[str, str]:
    """Return the fields of a head by their names in lower case."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


async def body_of(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return the body of a request whose head was read."""
    found = fields(head)
    if found.get("transfer-encoding") == "chunked":
        return (await chunks(reader))[0]
    return await reader.readexactly(int(found.get("content-length", "0")))


async def chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return a body in chunks, and its trailers."""
    body, trailers = b"", b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += line
    return body, trailers


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until it is so."""
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")
