"""What an upstream sends, over UDP, TCP and HTTPS: each question has one outcome, and what is believed answers it.

The first byte of the data says the way, the second how what follows arrives: in one piece, or in two.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer
from filterproxy.dns.upstreams.doh import Http, Url
from filterproxy.dns.upstreams.exchange import Exchange, Peer
from filterproxy.dns.upstreams.links import Link, Links, Target
from filterproxy.dns.upstreams.message import Question, Randomness
from filterproxy.dns.upstreams.streams import Stream
from filterproxy.dns.upstreams.udp import Datagrams
from tests.dns.fakes import query
from tests.dns.fuzzing import hidden

WAYS = ("udp", "tcp", "https")
_ASKED = (query("zqwanted.example"), query("a.zqwanted", "TXT"))
ASKED = [wire.read_query(bytes(item.pack())) for item in _ASKED]
_RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
LOOP = asyncio.new_event_loop()


class Foreseen(Randomness):
    """Counts, so that a seed can answer: ids are 0x6101, 0x6102 and so on, and letters change their case."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def take(self, size: int) -> bytes:
        self._number += 1
        return (b"a" + bytes([self._number & 0xFF]) + b"\x20\0" * (size // 2))[:size]


class Case:
    """Keeps the outcome of its exchange."""

    def __init__(self) -> None:
        self.said: list[Answer | None] = []

    def ended(self, exchange: Exchange, answer: Answer | None, now: float) -> None:
        assert exchange.ended
        self.said.append(answer)


class Transport:
    """Takes what is written; speaks HTTP/2 over TLS, as far as it is asked."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        """Nothing is open."""

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> Any:
        return self

    def selected_alpn_protocol(self) -> str:
        return "h2"


class QuietStream(Stream):
    async def _open(self) -> None:
        """Connect to nobody."""


class QuietHttp(Http):
    async def _open(self) -> None:
        """Connect to nobody."""


class NoPackets:
    """A socket's datagrams: keeps what is sent, and has received what a test says."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.came: list[bytes] = []

    def send(self, fd: int, packets: Any) -> int:
        self.sent += packets
        return 0

    def receive(self, fd: int) -> list[bytes]:
        return self.came


class World:
    """Questions on their way to one upstream, which is asked in one of the ways."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.peer = Peer(1, believed=True, padded=way == "https", count=_uncounted)
        self.packets, self.transport = NoPackets(), Transport()
        random, target = Foreseen(), Target("127.0.0.1", 9, 1.0)
        self.links: Links = Links(target, partial(QuietStream, random=random))
        self.peer.first = self.peer.whole = self.links
        if way == "https":
            self.links._kind = partial(QuietHttp, url=Url("zqwanted.example", 443, "/"))
        elif way == "udp":
            self.peer.first = Datagrams(("127.0.0.1", 9), 0.3, self.packets, random, _uncounted)
        self.cases = [Case() for _ in ASKED]
        self.exchanges = [
            Exchange(Question(asked), self.peer, case, 0.0, 1e12) for asked, case in zip(ASKED, self.cases, strict=True)
        ]

    async def begin(self) -> None:
        for exchange in self.exchanges:
            self.peer.first.ask(exchange)
        if self.way == "udp":
            cast("Datagrams", self.peer.first)._flush()
        else:
            self.link.connection_made(cast("asyncio.Transport", self.transport))

    @property
    def link(self) -> Link:
        return next(iter(self.links._links))

    def take(self, pieces: list[bytes]) -> None:
        """Let what the upstream sends arrive."""
        if self.way == "udp":
            self.packets.came = pieces
            datagrams = cast("Datagrams", self.peer.first)
            for volley in list(datagrams._volleys.values()):
                datagrams._readable(volley)
            return
        link = self.link
        for piece in pieces:
            link.data_received(piece)
        link.connection_lost(None)

    async def end(self) -> None:
        self.peer.close()
        for _ in range(3):
            await asyncio.sleep(0)


def _uncounted(name: str) -> None:
    """Count nothing."""


def seeds() -> list[bytes]:
    """Return answers that fit, by every way, and some that are wrong in one thing."""
    found = []
    replies = [_reply(number) for number in range(len(ASKED))]
    wrong = [replies[0][:2] + b"\x83" + replies[0][3:], replies[0][:3] + b"\x81" + replies[0][4:], replies[0].lower(),
             b"x" + replies[0][1:], replies[0][:2] + b"\x81\x85" + bytes(8), replies[0][:30]]  # fmt: skip
    for said in (replies, *([item] for item in wrong), replies * 2):
        found.append(b"\0\0" + b"".join(len(item).to_bytes(2) + item for item in said))
        found.append(b"\1\x07" + b"".join(len(item).to_bytes(2) + item for item in said))
    bodies = [b"\0\0" + _reply(number, lower=True)[2:] for number in (0, 1)]
    for status, kind in ((b"200", b"application/dns-message"), (b"404", b"text/plain"), (b"200", b"text/plain")):
        found.append(b"\2\x1e" + _http(status, kind, bodies))
    return found


def _reply(number: int, *, lower: bool = False) -> bytes:
    asked = Question(ASKED[number])
    section = asked.name + asked.tail if lower else asked.spelled((b"\x20\0" * 128)[: len(asked.name)])
    return b"a" + bytes([number + 1]) + wire.HEADER.pack(0, 0x81A0, 1, 1, 0, 0)[2:] + section + _RECORD


def _http(status: bytes, kind: bytes, bodies: list[bytes]) -> bytes:
    """Return what a server sends to a client that asked once for each of `bodies`."""
    world = World("https")
    LOOP.run_until_complete(world.begin())
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(world.transport.written)
    for number, body in enumerate(bodies):
        server.send_headers(2 * number + 1, [(b":status", status), (b"content-type", kind)])
        server.send_data(2 * number + 1, body, end_stream=True)
    LOOP.run_until_complete(world.end())
    return server.data_to_send()


def run(data: bytes) -> None:
    """Let `data` arrive for two questions that wait, then give up."""
    if len(data) >= 2:
        LOOP.run_until_complete(_story(WAYS[data[0] % 3], data[1], data[2:]))


async def _story(way: str, cut: int, data: bytes) -> None:
    world = World(way)
    await world.begin()
    world.take(_datagrams(data) if way == "udp" else [data[:cut], data[cut:]])
    await world.end()
    for asked, exchange, case in zip(ASKED, world.exchanges, world.cases, strict=True):
        hidden(exchange)
        assert len(case.said) == 1
        answer = case.said[0]
        if answer is not None and not answer.failed:
            hidden(answer)
            assert asked.name in data.lower()
            assert answer.body in data


def _datagrams(data: bytes) -> list[bytes]:
    found, at = list[bytes](), 0
    while at + 2 <= len(data) and len(found) < 64:
        size = int.from_bytes(data[at : at + 2]) % 4096
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return found
