"""Asking upstreams: a new socket, a random port and a random id for each question, TCP where an answer is cut.

Whoever would forge an answer must guess both numbers before the true answer comes (RFC 5452). A reply that does not
repeat them, or the question, is passed over, and the wait goes on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from typing import TYPE_CHECKING

from . import wire
from .answers import TCP_SIZE, opt_record
from .cache import Answer, read_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .wire import Query

REST_SECONDS = 10.0
"""How long an upstream that did not answer is asked last."""

_FINAL = (wire.NOERROR, wire.NXDOMAIN, wire.YXDOMAIN)
_FAILED = Answer(wire.SERVFAIL, b"", 0, 0, (), (), 0)

log = logging.getLogger(__name__)


class Upstreams:
    """The resolvers that answer what is not blocked, in order of preference. `timeout` is in seconds for each."""

    def __init__(self, addresses: Sequence[tuple[str, int]], timeout: float) -> None:
        self._addresses = tuple(addresses)
        self._timeout = timeout
        self._rests_until: dict[int, float] = {}

    async def ask(self, query: Query) -> Answer | None:
        """Return the first answer that an upstream gives to `query`, or None where none of them gave any.

        SERVFAIL is handed on only when no other upstream knows better. One that is silent or refuses rests for a while.
        """
        answer: Answer | None = None
        for number in self._in_order():
            try:
                answer = await self._ask(self._addresses[number], query)
            except (OSError, EOFError, TimeoutError, wire.Malformed):
                self._rest(number)
                continue
            self._rests_until.pop(number, None)
            if answer is not _FAILED:
                break
        return answer

    def _in_order(self) -> list[int]:
        now = asyncio.get_running_loop().time()
        return sorted(range(len(self._addresses)), key=lambda number: self._rests_until.get(number, 0.0) > now)

    def _rest(self, number: int) -> None:
        if number not in self._rests_until:
            log.warning("DNS upstream %d of %d gave no answer", number + 1, len(self._addresses))
        self._rests_until[number] = asyncio.get_running_loop().time() + REST_SECONDS

    async def _ask(self, address: tuple[str, int], query: Query) -> Answer:
        ident = secrets.randbelow(0x10000)
        question = query.question[: len(query.name)].lower() + query.question[len(query.name) :]
        flags = wire.RD | query.flags & wire.CD
        packet = wire.HEADER.pack(ident, flags, 1, 0, 0, 1) + question + opt_record(do=query.do)
        async with asyncio.timeout(self._timeout):
            reply = await _over_udp(address, packet, question)
        if reply[2] & 0x02:  # TC
            async with asyncio.timeout(self._timeout):
                reply = await _over_tcp(address, packet)
            if not _answers(reply, packet, question) or reply[2] & 0x02:
                raise wire.Malformed("another answer than to what was asked")
        rcode = reply[3] & wire.RCODE
        if rcode == wire.SERVFAIL:
            return _FAILED
        if rcode not in _FINAL:
            raise wire.Malformed("an upstream that does not serve us")
        return read_answer(reply)


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
