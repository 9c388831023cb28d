"""A connection's client: what it asks is answered from the replies that streams were given, or by the resolver.

Streams have a memo of their own, for what fits no datagram is given to them whole; and so have those that are
encrypted, for they may be told more. What no memo holds waits for its turn, so that a flood of names nobody asked for
before, on many connections at once, keeps no one from the answers that are known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from .memo import Memos

if TYPE_CHECKING:
    from collections.abc import Callable

    from .asking import Way
    from .memo import Memo, Template
    from .resolver import Resolver

    Told = Callable[[bytes | None], None]
    """Takes a reply, or None where silence is the answer; perhaps before `answer` has returned. It raises nothing."""

STRANGERS: Final = "strangers"
"""Under what those are counted who are not served: one share for all of them."""
LAST_SECONDS: Final = 0.1
"""How long a connection is still read once we close: what its client has sent by then, nobody else can answer."""
ROOM: Final = 65_536
"""Bytes that are read of one connection at once."""
WORKED_AT_ONCE: Final = 64
"""Questions without a known reply that are begun before other work gets its turn."""


class Back:
    """What all connections of a process share: the replies that were given, and the queue of what is not among them."""

    def __init__(self, resolver: Resolver, entries: int) -> None:
        """`entries` bounds the replies that are remembered. The queue is bounded by what connections may have open."""
        self.resolver, self.count, self._entries = resolver, resolver.count, entries
        self.says: object = None
        """What the policy says under which the memos hold (`Policy.says`)."""
        self.cells: list[int] = []
        """What was answered from memos and is not counted yet; see `tally`."""
        self.room = memoryview(bytearray(ROOM))
        """Where connections read to, each what it has done with before it returns to the loop."""
        self._memos = Memos(entries)
        self._queue: deque[tuple[Guest, bytes, Told]] = deque()

    def begin(self) -> float:
        """Return the time, and forget all that was said where the policy in force says otherwise."""
        policy = self.resolver.policy()
        if policy.says is not self.says:
            self.says, self._memos = policy.says, Memos(self._entries, host=policy.bundle.host)
        return self.resolver.clock()

    def memo(self, client: str, way: Way) -> Memo | None:
        """Return what those were told who are judged alike and came alike, or None where `client` is not served."""
        profile = self.resolver.profile(client, way)
        if profile is None:
            return None
        return self._memos.of(f"tls:{profile}" if way.encrypted else profile)

    def take(self, guest: Guest, packet: bytes, reply: Told) -> None:
        """Queue a question that no memo answers."""
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._work)
        self._queue.append((guest, packet, reply))

    def _work(self) -> None:
        queue = self._queue
        for _ in range(min(len(queue), WORKED_AT_ONCE)):
            guest, packet, reply = queue.popleft()
            if guest.gone:
                continue
            if guest.choked:
                guest.waiting.append((packet, reply))
            else:
                answered = partial(self._answered, guest, packet, self.says, reply)
                self.resolver.answer(packet, guest.client, answered, guest.way)
        if queue:
            asyncio.get_running_loop().call_soon(self._work)

    def _answered(
        self,
        guest: Guest,
        packet: bytes,
        says: object,
        told: Told,
        reply: bytes | None,
        template: Template | None,
    ) -> None:
        if template is not None and says is self.says:
            memo = self.memo(guest.client, guest.way)
            if memo is not None:
                memo.learn(packet[2:], template, self.resolver.clock())
        told(reply)

    def tally(self) -> None:
        """Count what memos answered. Call it before those replies leave: what was told is counted, whoever kills us."""
        cells, count, cached = self.cells, self.count, 0
        if not cells:
            return
        for cell in set(cells):
            number = cells.count(cell)
            if cell < 0:
                cached += number
            count.add(~cell if cell < 0 else cell, number)
        count.event("dns_queries", len(cells))
        count.event("dns_memo", len(cells))
        if cached:
            count.event("dns_cache_hit", cached)
        cells.clear()


class Guest:
    """One connection's client."""

    __slots__ = ("_back", "_memo", "_says", "choked", "client", "gone", "served", "sharer", "waiting", "way")

    def __init__(self, back: Back, client: str, way: Way) -> None:
        """Take an IP address that came this way."""
        back.begin()
        sharer = back.resolver.sharer(client)
        self.client, self.way = client, way
        self.served, self.sharer = sharer is not None, sharer or STRANGERS
        self.gone = False
        """Whether it has left: then what of its questions waits is not begun, and not replied to."""
        self.choked = False
        """Whether it has to read first what it was told: until `resume` none of its questions is begun."""
        self.waiting: list[tuple[bytes, Told]] = []
        """Those that wait for that."""
        self._back, self._says, self._memo = back, back.says, back.memo(client, way)

    def answer(self, packet: bytes, reply: Told) -> None:
        """Have `reply` called with the reply to `packet`, at once where it is known."""
        known = self.known(packet[2:], self.begin())
        if known is None:
            self._back.take(self, packet, reply)
        else:
            self._back.tally()
            reply(packet[:2] + known)

    # The same in parts, for those who read many questions at once

    def begin(self) -> float:
        """Return the time, for `known`. Call it for each batch of questions."""
        back = self._back
        now = back.begin()
        if back.says is not self._says:
            self._says, self._memo = back.says, back.memo(self.client, self.way)
        return now

    def known(self, packet: bytes, now: float) -> bytes | None:
        """Return the reply to `packet`, both less their ids, where it is known; else put the whole packet to `ask`."""
        memo = self._memo
        if memo is None:
            return None
        given = memo.young.get(packet)
        if given is None or given[0] <= now:
            given = memo.again(packet, now)
            if given is None:
                return None
        self._back.cells.append(given[2])
        return given[1]

    def tally(self) -> None:
        """Count what was known. Call it before those replies leave."""
        self._back.tally()

    def ask(self, packet: bytes, reply: Told) -> None:
        """Have `reply` called with the reply to `packet`, later."""
        self._back.take(self, packet, reply)

    def resume(self) -> None:
        """Begin its questions again."""
        self.choked = False
        waiting, self.waiting = self.waiting, []
        for packet, reply in waiting:
            self._back.take(self, packet, reply)
