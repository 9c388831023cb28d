"""What the tests of upstreams share: asking and waiting, and whether anything is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

from dnslib import DNSRecord

from filterproxy.dns import wire
from filterproxy.dns.cache import Answer
from filterproxy.dns.upstreams import Upstreams
from filterproxy.dns.wire import Query
from filterproxy.settings.dns import split_upstream
from tests.dns import fakes
from tests.dns.fakes import query

ZONE = {("fine.example", "A"): "fine.example 300 IN A 192.0.2.80"}
UNREACHED = (wire.SERVFAIL, 23)
USELESS = (wire.SERVFAIL, 22)


def named(name: str, rtype: str = "A", **more: Any) -> Query:
    return wire.read_query(bytes(query(name, rtype, **more).pack()))


FINE = named("fine.example")


class Upstream(fakes.Upstream):
    """An upstream over UDP whose TCP takes many questions on a connection, as a real one does."""

    async def __aenter__(self) -> Self:
        for _ in range(50):
            try:
                return await super().__aenter__()
            except OSError:  # somebody has the port of the same number over UDP
                self._udp.close()
                self._server.close()
        raise RuntimeError("no free port")

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                self.tcp_seen += 1
                asked = DNSRecord.parse(packet)
                reply = self.honest(asked)
                said = self.lame_tcp(asked, reply) if self.lame_tcp else None
                for message in [reply] if said is None else said:
                    writer.write(len(message).to_bytes(2) + message)
        writer.transport.abort()


class Asking:
    """Asks upstreams and waits; knows whether every question was answered once. `way` is how the first is asked."""

    def __init__(self, upstreams: Upstreams, counts: Counter[str]) -> None:
        self.upstreams, self.counts = upstreams, counts
        self.way: Any = upstreams._peers[0].first if upstreams._peers else None
        self.said: list[list[Answer]] = []

    @property
    def down(self) -> bool:
        """Whether the first upstream is taken to be out of reach."""
        health = self.upstreams._peers[0].health
        return health.resting or health.silent

    def begin(self, asked: Query = FINE) -> asyncio.Future[Answer]:
        future = asyncio.get_running_loop().create_future()
        said: list[Answer] = []
        self.said.append(said)

        def then(answer: Answer) -> None:
            said.append(answer)
            if not future.done():
                future.set_result(answer)

        self.upstreams.ask(asked, then)
        return future

    async def ask(self, asked: Query = FINE) -> Answer:
        async with asyncio.timeout(10):
            return await self.begin(asked)

    async def failure(self) -> tuple[int, int | None]:
        """Return the response code and the extended error of an answer that is none, asserting that it is none."""
        answer = await self.ask()
        assert (answer.body, answer.chain) == (b"", ())
        assert 1 <= answer.lifetime <= 5
        return answer.rcode, answer.ede


def _open() -> Counter[str]:
    """Return what is open, by kind: sockets and timers change their numbers, so they are counted."""
    found: Counter[str] = Counter()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[str(path.readlink()).partition(":")[0]] += 1
    loop: Any = asyncio.get_running_loop()
    found["tasks"] = len(asyncio.all_tasks())
    if hasattr(loop, "_scheduled"):  # of asyncio's own loop
        found["timers"] = sum(not item.cancelled() for item in loop._scheduled)
        found["readers"] = len(loop._selector.get_map())
    return found


@contextlib.asynccontextmanager
async def tidy() -> AsyncIterator[None]:
    """Assert that nothing is left behind: no descriptor, reader, task or timer; and that no error reached the loop."""
    loop, errors = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    before = _open()
    yield
    for _ in range(200):
        if not _open() - before:
            break
        await asyncio.sleep(0.01)
    assert _open() - before == Counter()
    assert [item.get("exception") or item for item in errors] == []
    loop.set_exception_handler(None)


@contextlib.asynccontextmanager
async def asking(
    *upstreams: Upstream | str, timeout: float = 0.3, rest: float = 10, ca: Path | None = None
) -> AsyncIterator[Asking]:
    """Ask `upstreams`; in the end each question has had one answer, and nothing is left open."""
    addresses = [split_upstream(item if isinstance(item, str) else item.address) for item in upstreams]
    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        counts[name] += 1

    async with tidy():
        found = Asking(Upstreams(addresses, timeout, ca=ca, rest=rest, count=count), counts)
        try:
            yield found
        finally:
            found.upstreams.close()
        assert [len(item) for item in found.said] == [1] * len(found.said)
        assert found.upstreams.waiting == 0


def lie_id(asked: DNSRecord, honest: bytes) -> bytes:
    return bytes([honest[0] ^ 1]) + honest[1:]


def lie_question(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:12] + b"\4mine" + honest[17:]


def lie_type(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:26] + b"\0\x1c" + honest[28:]


def lie_query(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:2] + bytes([honest[2] & 0x7F]) + honest[3:]


def lie_stub(asked: DNSRecord, honest: bytes) -> bytes:
    return honest[:11]


LIES = [lie_id, lie_question, lie_type, lie_query, lie_stub]


def losing(*lost: int) -> Iterator[list[bytes] | None]:
    """Yield what to send for one datagram after the other: nothing for those whose number is in `lost`."""
    number = 0
    while True:
        yield [] if number in lost else None
        number += 1
