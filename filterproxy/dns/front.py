"""Before the resolver: the replies that were given, and a bounded queue of the questions that are not among them.

All that has arrived is read before anything is worked on that takes longer than a look-up, so that a flood of names
nobody asked for before keeps no one from the answers that are known. What the queue cannot hold is dropped, of each
client no more than its share is in it: silence, and the client asks again.

A client that asks more than `limits` allows loses its memo for a while, so that each of its questions is looked at
here; all others pay nothing for that.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from filterproxy.settings.service import Limits as Table

from . import answers, wire
from .clients import share
from .limits import Address, Limits
from .memo import Memo, Memos

if TYPE_CHECKING:
    from .memo import Template
    from .resolver import Resolver
    from .udp import Door

WORKED_AT_ONCE: Final = 64
"""Questions of the queue that are begun before other work gets its turn."""
MAX_CLIENTS: Final = 65_536
"""Clients whose profile is remembered."""

UNLIMITED: Final = Table(rate=0)

_COOKIE: Final = wire.COOKIE.to_bytes(2) + b"\0"
"""What is in every packet with a cookie, and in few others."""


class Front:
    """What all UDP sockets of a process share: the replies that were given, and the queue of what is not among them."""

    def __init__(self, resolver: Resolver, entries: int, queue: int, limits: Table = UNLIMITED) -> None:
        """`entries` bounds the replies that are remembered, `queue` the questions that may wait to be begun."""
        self.resolver, self.count, self._entries = resolver, resolver.count, entries
        self._most, self._share = queue, share(queue)
        self._queue: deque[Question] = deque()
        self._waiting_of = Counter[bytes]()
        self._scheduled = False
        self.says: object = None
        """What the policy says under which the memos hold (`Policy.says`)."""
        self._memos = Memos(entries)
        self.memos: dict[Address, Memo] = {}
        """The memo of each client that is served and within its limits."""
        self.limits = Limits(limits)
        self._now = 0.0
        self._open = 0  # questions that were begun and are not answered yet
        self._waited: asyncio.Future[None] | None = None

    def begin(self) -> float:
        """Return the time, and forget all that was said where the policy in force says otherwise. Call it per batch."""
        policy = self.resolver.policy()
        if policy.says is not self.says:
            self.says, self._memos, self.memos = policy.says, Memos(self._entries, host=policy.bundle.host), {}
        self._now = now = self.resolver.clock()
        if now >= self.limits.due:
            for address in self.limits.look(now):
                self.memos.pop(address, None)
        return now

    def take(self, question: Question) -> None:
        """Queue a question that no memo answers."""
        if self.limits.counting and not self._allows(question):
            self.count.event("dns_limited")
            if random.getrandbits(1):  # half of them: what a victim is sent is less than what came in its name
                self._turn_away(question)
            return
        sharer = question.sharer
        if len(self._queue) >= self._most or self._waiting_of[sharer] >= self._share:
            self.count.event("dns_overload")
            return
        self._waiting_of[sharer] += 1
        self._queue.append(question)

    def _allows(self, question: Question) -> bool:
        """Tell whether a question is within the limits of its client, or shows by a cookie that it is from there."""
        limits, packet = self.limits, question.packet
        if _COOKIE in packet and self.resolver.cookies.shown(packet, question.client):
            limits.spare(question.address)
            return True
        return not limits.watched or limits.allows(question.address, self._now)

    def _turn_away(self, question: Question) -> None:
        """Say how to come instead: with the cookie that is given here where the client has one, else over TCP.

        Strangers are told nothing, nor is who sent what cannot be read.
        """
        resolver, packet = self.resolver, question.packet
        if len(packet) < wire.HEADER.size or packet[2] & 0xF8 or resolver.profile(question.client) is None:
            return
        try:
            query = wire.read_query(packet)
        except wire.Malformed:
            return
        resolver.cookies.give(query, question.client)
        reply = answers.bad_cookie(query) if query.answered else answers.cut(query)
        question.door.say(reply, question.name, question.control)

    def work(self) -> None:
        """Begin what waits in the queue, or as much of it as is fair to others; the rest at the loop's next turn."""
        if not self._scheduled:  # else it has its turn already, and a second would come again with each batch
            self._work()

    def _work(self) -> None:
        self._scheduled = False
        queue, waiting_of = self._queue, self._waiting_of
        for _ in range(min(len(queue), WORKED_AT_ONCE)):
            question = queue.popleft()
            sharer = question.sharer
            waiting_of[sharer] -= 1
            if not waiting_of[sharer]:
                del waiting_of[sharer]
            self._open += 1
            self.resolver.answer(question.packet, question.client, question.answered)
        self.schedule()

    def schedule(self) -> None:
        """See that what waits is begun."""
        if self._queue and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    async def drained(self) -> None:
        """Wait until everything that was taken is answered."""
        while self._queue or self._open:
            self._waited = asyncio.get_running_loop().create_future()
            await self._waited
        await asyncio.sleep(0)  # what was answered last leaves at the loop's next turn

    def answered(self, question: Question, reply: bytes | None, template: Template | None) -> None:
        """Send a reply, and learn it where it may be given again."""
        self._open -= 1
        if self._waited is not None and not self._open and not self._waited.done():
            self._waited.set_result(None)
        if reply is None:
            return
        question.door.say(reply, question.name, question.control)
        if template is not None and question.says is self.says:
            self._learn(question, template)

    def _learn(self, question: Question, template: Template) -> None:
        address = question.address
        memo = self.memos.get(address)
        if memo is None:
            if self.limits.watched and self.limits.network(address) in self.limits.watched:
                return
            profile = self.resolver.profile(question.client)
            if profile is None:
                return
            if len(self.memos) >= MAX_CLIENTS:
                self.memos.clear()
            memo = self.memos[address] = self._memos.of(profile)
        memo.learn(question.packet[2:], template, self.resolver.clock())


class Question:
    """A packet on its way to the resolver, and what its reply needs to find back."""

    __slots__ = ("address", "client", "control", "door", "name", "packet", "says", "sharer")

    def __init__(self, door: Door, packet: bytes, name: bytes, control: bytes) -> None:
        self.door, self.packet, self.name, self.control = door, packet, name, control
        self.client, self.says, self.sharer = door.client_in(name), door.front.says, door.sharer_in(name)
        self.address = door.address_in(name)

    def answered(self, reply: bytes | None, template: Template | None) -> None:
        """Take the reply."""
        self.door.front.answered(self, reply, template)
