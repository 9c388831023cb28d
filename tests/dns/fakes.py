"""What the tests of the DNS filter share: policies, a client's packets, and an upstream that can be lame."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from dnslib import EDNS0, QTYPE, RCODE, RR, DNSQuestion, DNSRecord, EDNSOption

from filterproxy.core.bundle import Bundle
from filterproxy.core.model import DnsAnswer, Entry, Kind, Listing, Scope, Verdict
from filterproxy.core.policy import Policy, Profile
from filterproxy.dns import wire
from filterproxy.dns.asking import TCP, UDP, Asks, Then
from filterproxy.dns.cache import Answer
from filterproxy.dns.forward import Forwarder
from filterproxy.dns.memo import Template
from filterproxy.dns.resolver import Resolver
from filterproxy.lists.compile import compile_segment
from filterproxy.runtime.counters import EVENTS
from filterproxy.settings.dns import Dns

KEY = bytes(range(32))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLIENT = "192.168.1.5"


def tree(*hosts: str) -> list[Entry]:
    return [Entry(Kind.DOMAIN, host, Scope.TREE) for host in hosts]


def exact(*hosts: str) -> list[Entry]:
    return [Entry(Kind.DOMAIN, host, Scope.EXACT) for host in hosts]


def policy_of(*lists: tuple[Listing, Iterable[Entry] | None], profiles: tuple[Profile, ...] = ()) -> Policy:
    """Return a policy over real segments; a list whose entries are None never loaded."""
    segments = [
        compile_segment(f"list:{listing.id}", entries, KEY, listing, loaded_at=NOW).segment()
        for listing, entries in lists
        if entries is not None
    ]
    return Policy(Bundle(segments, KEY), [listing for listing, _ in lists], profiles)


DEFAULT = policy_of(
    (Listing("law", dns=DnsAnswer.NXDOMAIN, ede=16, mandatory=True), tree("blocked.example")),
    (Listing("exact", dns=DnsAnswer.NXDOMAIN, ede=15), exact("only.example")),
    (Listing("null", dns=DnsAnswer.NULL, ede=17), tree("null.example")),
    (Listing("nodata", dns=DnsAnswer.NODATA), tree("nodata.example")),
    (Listing("refused", dns=DnsAnswer.REFUSED), tree("refused.example")),
    (Listing("notice", dns=DnsAnswer.NOTICE), tree("notice.example")),
)


class Counts:
    """A counter that keeps everything."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.verdicts: list[Verdict] = []
        self._cells: list[Verdict | str] = []

    def cell(self, frontend: str, verdict: Verdict) -> int:
        assert frontend == "dns"
        if verdict not in self._cells:
            self._cells.append(verdict)
        return self._cells.index(verdict)

    def add(self, cell: int, number: int) -> None:
        assert cell >= 0
        assert number > 0
        what = self._cells[cell]
        if isinstance(what, str):
            self.event(what, number)
        else:
            self.verdicts += [what] * number

    def event_cell(self, name: str) -> int:
        if name not in self._cells:
            self._cells.append(name)
        return self._cells.index(name)

    def event(self, name: str, number: int = 1) -> None:
        assert name in EVENTS
        self.events[name] += number


class Clock:
    """A clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def answered(resolver: Resolver, packet: bytes, client: str = CLIENT, *, tcp: bool = False) -> bytes | None:
    """Return the reply to `packet` when it comes, asserting that there is but one."""
    came: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def take(reply: bytes | None, template: Template | None) -> None:
        came.set_result(reply)  # a second one raises

    resolver.answer(packet, client, take, TCP if tcp else UDP)
    return await came


async def fetched(forwarder: Forwarder, query: wire.Query, sharer: str) -> Answer:
    """Return what `forwarder` answers when it does, asserting that it says so once."""
    came: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    forwarder.fetch(query, sharer, came.set_result)
    return await came


class Below:
    """What a resolver asks, in place of rooms and upstreams: says `answer` at once, or what it makes of a query."""

    def __init__(self, answer: Answer | Callable[[wire.Query], Answer]) -> None:
        self.answer = answer
        self.asked: list[wire.Query] = []

    def ask(self, query: wire.Query, then: Then) -> None:
        self.asked.append(query)
        then(self.answer if isinstance(self.answer, Answer) else self.answer(query))


@dataclass
class Bench:
    """A resolver with its surroundings."""

    resolver: Resolver
    counts: Counts
    clock: Clock
    policies: list[Policy]
    now: datetime = NOW

    async def ask(self, query: DNSRecord, client: str = CLIENT, *, tcp: bool = False) -> DNSRecord:
        reply = await answered(self.resolver, bytes(query.pack()), client, tcp=tcp)
        assert reply is not None
        return DNSRecord.parse(reply)


def bench(*upstreams: str, policy: Policy = DEFAULT, rest: Asks | None = None, **settings: Any) -> Bench:
    """Return a resolver over `policy` that asks `upstreams` or `rest`; `settings` are those of the [dns] table."""
    counts, clock, policies = Counts(), Clock(), [policy]
    table = Dns(upstreams=upstreams or ("127.0.0.1:9",), **{"timeout": timedelta(seconds=0.3), **settings})
    resolver = Resolver(table, lambda: policies[0], counts, lambda: here.now, rest=rest, clock=clock, key=KEY)
    here = Bench(resolver, counts, clock, policies)
    return here


def query(name: Any, rtype: str = "A", *, edns: int | None = 1232, do: bool = False, ident: int = 4711) -> DNSRecord:
    """Return a client's question; `edns` is its UDP size, None for a client without EDNS."""
    record = DNSRecord(q=DNSQuestion(name, getattr(QTYPE, rtype)))
    record.header.id = ident
    if edns is not None:
        record.add_ar(EDNS0(udp_len=edns, flags="do" if do else ""))
    return record


def ede(reply: DNSRecord) -> int | None:
    """Return the extended error of a reply, asserting that it carries no text."""
    for record in reply.ar:
        if record.rtype == QTYPE.OPT:
            for option in record.rdata:
                if isinstance(option, EDNSOption) and option.code == 15:
                    assert len(option.data) == 2
                    return int.from_bytes(option.data)
    return None


def opt(reply: DNSRecord) -> Any:
    """Return the OPT record of a reply, or None."""
    found = [record for record in reply.ar if record.rtype == QTYPE.OPT]
    assert len(found) <= 1
    return found[0] if found else None


Lame = Callable[[DNSRecord, bytes], "list[bytes] | None"]


@dataclass
class Upstream:
    """A small real resolver on loopback, over UDP and TCP on one port.

    `zone` holds text records by (name, type), or an RCODE's name. `lame` sees each UDP query and its honest reply and
    returns the datagrams to send instead; None means the honest one. `delay` is in seconds.
    """

    zone: dict[tuple[str, str], str] = field(default_factory=dict)
    lame: Lame | None = None
    lame_tcp: Lame | None = None
    delay: float = 0.0
    udp_limit: int = 1232
    seen: list[DNSRecord] = field(default_factory=list)
    tcp_seen: int = 0
    ports: set[int] = field(default_factory=set)
    address: str = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._udp = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._udp.bind(("127.0.0.1", port))
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(self._udp.fileno(), self._readable)
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        asyncio.get_running_loop().remove_reader(self._udp.fileno())
        self._udp.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def honest(self, asked: DNSRecord) -> bytes:
        reply = asked.reply(aa=0)
        name = str(asked.q.qname).lower().rstrip(".")
        found = self.zone.get((name, QTYPE[asked.q.qtype]), "NXDOMAIN")
        if found in {"NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR"}:
            reply.header.rcode = getattr(RCODE, found)
            found = ""
        lines = found.splitlines()
        authority = [line.removeprefix("authority ") for line in lines if line.startswith("authority ")]
        reply.add_answer(*RR.fromZone("\n".join(line for line in lines if not line.startswith("authority "))))
        reply.add_auth(*RR.fromZone("\n".join(authority)))
        reply.header.ad = 1
        return bytes(reply.pack())

    def _readable(self) -> None:
        packet, client = self._udp.recvfrom(4096)
        task = asyncio.create_task(self._datagram(packet, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _datagram(self, packet: bytes, client: Any) -> None:
        asked = DNSRecord.parse(packet)
        self.seen.append(asked)
        self.ports.add(client[1])
        await asyncio.sleep(self.delay)
        reply = self.honest(asked)
        if len(reply) > self.udp_limit:
            cut = asked.reply(aa=0)
            cut.header.tc = 1
            reply = bytes(cut.pack())
        lame = self.lame(asked, reply) if self.lame else None
        for datagram in [reply] if lame is None else lame:
            self._udp.sendto(datagram, client)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                self.tcp_seen += 1
                asked = DNSRecord.parse(packet)
                reply = self.honest(asked)
                lame = self.lame_tcp(asked, reply) if self.lame_tcp else None
                for message in [reply] if lame is None else lame:
                    writer.write(len(message).to_bytes(2) + message)
                    await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()
