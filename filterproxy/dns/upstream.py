"""Asking upstreams: a new socket, a random port and a random id for each question, TCP where an answer is cut.

Whoever would forge an answer must guess both numbers before the true answer comes (RFC 5452). A reply that does not
repeat them, or the question, is passed over, and the wait goes on.

Only one that cannot be reached rests; what it says, however useless, is about the question and not about itself. Else
whoever asks for a name of his own could choose which upstream serves the others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from typing import TYPE_CHECKING

from . import wire
from .answers import EDE_NETWORK_ERROR, EDE_NO_AUTHORITY, TCP_SIZE, opt_record
from .cache import failure, read_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cache import Answer
    from .wire import Query

REST_SECONDS = 10.0
"""How long an upstream that could not be reached is asked last, before it is tried again."""

_FINAL = (wire.NOERROR, wire.NXDOMAIN, wire.YXDOMAIN)
_ROOT = wire.Query(0, wire.RD, b"\0", (), wire.NS, wire.IN, None)

_UNREACHED = failure(wire.SERVFAIL, EDE_NETWORK_ERROR, lifetime=1)
_UNREADABLE = failure(wire.SERVFAIL, EDE_NO_AUTHORITY)

log = logging.getLogger(__name__)


class Upstreams:
    """The resolvers that answer what is not blocked, in order of preference; `timeout`, for each, is in seconds."""

    def __init__(self, addresses: Sequence[tuple[str, int]], timeout: float, rest: float = REST_SECONDS) -> None:
        self._addresses = tuple(addresses)
        self._timeout, self._rest = timeout, rest
        self._rests_until: dict[int, float] = {}  # those that could not be reached and have not answered since
        self._probes: set[asyncio.Task[Answer | None]] = set()

    async def ask(self, query: Query) -> Answer:
        """Return the first answer that an upstream gives to `query`; a failure only when no other knows better."""
        self._probe_rested()
        failed = _UNREACHED
        for number in sorted(range(len(self._addresses)), key=self._rests_until.__contains__):
            answer = await self._try(number, query)
            if answer is not None and answer.rcode in _FINAL:
                return answer
            if answer is not None and failed is _UNREACHED:
                failed = answer
        return failed

    def _probe_rested(self) -> None:
        """Try those again whose rest is over: once, beside the questions, so that no client waits for them."""
        loop = asyncio.get_running_loop()
        for number, until in self._rests_until.items():
            if until <= loop.time():
                self._rests_until[number] = loop.time() + self._rest
                probe = loop.create_task(self._try(number, _ROOT))
                self._probes.add(probe)
                probe.add_done_callback(self._probes.discard)

    async def _try(self, number: int, query: Query) -> Answer | None:
        """Return what one upstream answers, or None where it cannot be reached: then it rests until it answers."""
        try:
            answer = await self._ask(self._addresses[number], query)
        except (OSError, EOFError, TimeoutError):
            if number not in self._rests_until:
                log.warning("DNS upstream %d of %d gave no answer", number + 1, len(self._addresses))
            self._rests_until[number] = asyncio.get_running_loop().time() + self._rest
            return None
        except wire.Malformed:
            answer = _UNREADABLE
        self._rests_until.pop(number, None)
        return answer

    async def _ask(self, address: tuple[str, int], query: Query) -> Answer:
        reply = await self._exchange(address, query, opt_record(do=query.do))
        if reply[3] & wire.RCODE == wire.FORMERR:  # from before EDNS, perhaps (RFC 6891, section 7)
            reply = await self._exchange(address, query, b"")
        rcode = reply[3] & wire.RCODE
        if rcode in _FINAL:
            return read_answer(reply)
        return failure(rcode, None if rcode == wire.SERVFAIL else EDE_NO_AUTHORITY)

    async def _exchange(self, address: tuple[str, int], query: Query, opt: bytes) -> bytes:
        first = self._timeout / 3
        message = _message(query, opt)
        try:
            reply = await asyncio.wait_for(_over_udp(address, *message), first)
        except TimeoutError:  # a datagram can get lost; the next one seldom does too
            message = _message(query, opt)
            reply = await asyncio.wait_for(_over_udp(address, *message), self._timeout - first)
        if not reply[2] & 0x02:  # TC
            return reply
        reply = await asyncio.wait_for(_over_tcp(address, message[0]), self._timeout)
        if not _answers(reply, *message) or reply[2] & 0x02:
            raise wire.Malformed("another answer than to what was asked")
        return reply


def _message(query: Query, opt: bytes) -> tuple[bytes, bytes]:
    """Return the message that asks an upstream for what `query` asks, with an id of its own, and its question."""
    question = query.question[: len(query.name)].lower() + query.question[len(query.name) :]
    flags = wire.RD | query.flags & wire.CD
    header = wire.HEADER.pack(secrets.randbelow(0x10000), flags, 1, 0, 0, bool(opt))
    return header + question + opt, question


async def _over_udp(address: tuple[str, int], packet: bytes, question: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(address)  # the system chooses a random port and drops what comes from elsewhere
        sock.send(packet)
        while True:
            reply = await loop.sock_recv(sock, TCP_SIZE)
            if _answers(reply, packet, question):
                return reply


async def _over_tcp(address: tuple[str, int], packet: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(len(packet).to_bytes(2) + packet)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.transport.abort()


def _answers(reply: bytes, packet: bytes, question: bytes) -> bool:
    """Tell whether `reply` has the id and question of `packet`. A refusal may leave the question out."""
    if len(reply) < wire.HEADER.size or reply[:2] != packet[:2]:
        return False
    _, flags, questions, *_ = wire.HEADER.unpack_from(reply)
    if not flags & wire.QR or flags & wire.OPCODE:
        return False
    if questions == 0:
        return flags & wire.RCODE not in _FINAL and not flags & wire.TC
    said = reply[wire.HEADER.size : wire.HEADER.size + len(question)]
    return questions == 1 and said[:-4].lower() == question[:-4] and said[-4:] == question[-4:]
