"""UDP sockets of clients: what was answered before is answered at once, the rest waits in a bounded queue.

All that has arrived is read before anything is worked on that takes longer than a look-up, so that a flood of names
nobody asked for before keeps no one from the answers that are known. What the queue cannot hold is dropped, of each
client no more than its share is in it: silence, and the client asks again.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .batch import MOST, NAME, ROOM, Batch, tell_addresses
from .clients import share
from .memo import Memo, Memos

if TYPE_CHECKING:
    from filterproxy.core.policy import Policy

    from .memo import Template
    from .resolver import Resolver

ROUNDS: Final = 8
"""Batches that are read at once from one socket before other work gets its turn."""
WORKED_AT_ONCE: Final = 64
"""Questions of the queue that are begun before other work gets its turn."""
MAX_CLIENTS: Final = 65_536
"""Clients whose profile is remembered."""


_text = lru_cache(maxsize=MAX_CLIENTS)(socket.inet_ntop)

_ALONE: Final = (bytes(10) + b"\xff\xff", b"\xfe\x80")
"""How those IPv6 addresses begin that are one client's each: IPv4 as such, and link-local ones."""


class Front:
    """What all UDP sockets of a process share: the replies that were given, and the queue of what is not among them."""

    def __init__(self, resolver: Resolver, entries: int, queue: int) -> None:
        """`entries` bounds the replies that are remembered, `queue` the questions that may wait to be begun."""
        self.resolver, self.count, self._entries = resolver, resolver.count, entries
        self._most, self._share = queue, share(queue)
        self._queue: deque[_Question] = deque()
        self._waiting_of = Counter[bytes]()
        self._scheduled = False
        self._policy: Policy | None = None
        self._memos = Memos(entries)
        self.memos: dict[bytes, Memo] = {}
        """The memo of each client that is served, by its address in network order."""
        self._open = 0  # questions that were begun and are not answered yet
        self._waited: asyncio.Future[None] | None = None

    def begin(self) -> float:
        """Return the time, and forget all that was said under another policy than is in force. Call it per batch."""
        policy = self.resolver.policy()
        if policy is not self._policy:
            self._policy, self._memos, self.memos = policy, Memos(self._entries, host=policy.bundle.host), {}
        return self.resolver.clock()

    def take(self, question: _Question) -> None:
        """Queue a question that no memo answers."""
        sharer = question.sharer
        if len(self._queue) >= self._most or self._waiting_of[sharer] >= self._share:
            self.count.event("dns_overload")
            return
        self._waiting_of[sharer] += 1
        self._queue.append(question)

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

    def answered(self, question: _Question, reply: bytes | None, template: Template | None) -> None:
        """Send a reply, and learn it where it may be given again."""
        self._open -= 1
        if self._waited is not None and not self._open and not self._waited.done():
            self._waited.set_result(None)
        if reply is None:
            return
        question.door.say(reply, question.name, question.control)
        if template is not None and question.policy is self._policy:
            self._learn(question, template)

    def _learn(self, question: _Question, template: Template) -> None:
        address = question.door.address_in(question.name)
        memo = self.memos.get(address)
        if memo is None:
            profile = self.resolver.profile(question.client)
            if profile is None:
                return
            if len(self.memos) >= MAX_CLIENTS:
                self.memos.clear()
            memo = self.memos[address] = self._memos.of(profile)
        memo.learn(question.packet[2:], template, self.resolver.clock())

    @property
    def policy(self) -> Policy | None:
        """The policy under which the memos hold."""
        return self._policy


class _Question:
    """A packet on its way to the resolver, and what its reply needs to find back."""

    __slots__ = ("client", "control", "door", "name", "packet", "policy", "sharer")

    def __init__(self, door: Door, packet: bytes, name: bytes, control: bytes) -> None:
        self.door, self.packet, self.name, self.control = door, packet, name, control
        self.client, self.policy, self.sharer = door.client_in(name), door.front.policy, door.sharer_in(name)

    def answered(self, reply: bytes | None, template: Template | None) -> None:
        """Take the reply."""
        self.door.front.answered(self, reply, template)


class Door:
    """One UDP socket. It is handed in bound, and never closed here."""

    def __init__(self, sock: socket.socket, front: Front) -> None:
        sock.setblocking(False)
        self.front, self._sock, self._fd = front, sock, sock.fileno()
        self._six = sock.family == socket.AF_INET6
        told = tell_addresses(sock)
        self._in, self._out = Batch(told=told), Batch(told=told)
        # In `sockaddr_in` the address follows family and port; in `sockaddr_in6` also what is called flow information.
        self._name_length = 28 if self._six else 16
        self._address = slice(8, 24) if self._six else slice(4, 8)
        first = self._address
        self._addresses = [slice(at + first.start, at + first.stop) for at in range(0, MOST * NAME, NAME)]
        self._replies: list[tuple[bytes, bytes, bytes]] = []

    def open(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Read no more. What was taken is still answered."""
        asyncio.get_running_loop().remove_reader(self._fd)

    def client_in(self, name: bytes) -> str:
        """Return the client's IP address in the socket address `name`."""
        return _text(self._sock.family, self.address_in(name))

    def address_in(self, name: bytes) -> bytes:
        """Return the same in network order."""
        return name[self._address]

    def sharer_in(self, name: bytes) -> bytes:
        """Return under what the share of the queue is counted: an address, or for IPv6 a /56, as in `clients`."""
        address = name[self._address]
        return address if not self._six or address.startswith(_ALONE) else address[:7]

    # Questions

    def _readable(self) -> None:
        front = self.front
        now = front.begin()
        for _ in range(ROUNDS):
            try:
                lengths = self._in.receive(self._fd)
            except OSError:
                continue  # an ICMP error about an earlier reply: nothing that concerns this socket
            if lengths:
                self._answer(lengths, now)
            if len(lengths) < MOST:
                break
        front.work()

    def _answer(self, lengths: list[int], now: float) -> None:
        """Answer from the memos what they hold, and queue the rest. Long and flat: it runs once for every packet.

        A look-up of the whole packet instead of reading it is what makes this cost less than entering the kernel does.
        """
        front, batch, told = self.front, self._in, self._in.told
        memos, data, names, cuts_of, most = front.memos, batch.data, batch.names, batch.cuts, len(batch.cuts[0])
        sizes: list[int] = []
        cells: list[int] = []
        missed: list[int] = []
        for place, (length, address, cuts) in enumerate(zip(lengths, self._addresses, cuts_of, strict=False)):
            memo = memos.get(names[address])
            if memo is not None and length < most:
                packet = data[cuts[length]]
                given = memo.young.get(packet)
                if given is None or given[0] <= now:
                    given = memo.again(packet, now)
                if given is not None:
                    _, reply, cell, _ = given
                    size = len(reply) + 2
                    if size < most:
                        data[cuts[size]] = reply
                    else:
                        data[place * ROOM + 2 : place * ROOM + size] = reply
                    sizes.append(size)
                    cells.append(cell)
                    if told:
                        batch.forget_interface(place, six=self._six)
                    continue
            sizes.append(0)
            missed.append(place)
            front.take(self._question(place, length))
        if cells:
            self._tally(cells)  # before they leave: what was answered is counted, whoever kills us
            if lost := batch.reply(self._fd, sizes, missed):
                front.count.event("dns_unsent", lost)

    def _question(self, place: int, length: int) -> _Question:
        batch, at = self._in, place * ROOM
        name = batch.names[place * NAME : place * NAME + self._name_length]
        return _Question(self, batch.data[at : at + length], name, batch.control(place, six=self._six))

    def _tally(self, cells: list[int]) -> None:
        count, cached, answered = self.front.count, 0, len(cells)
        for cell in set(cells):  # two or three, as a rule
            number = cells.count(cell)
            if cell < 0:
                cached += number
            count.add(~cell if cell < 0 else cell, number)
        count.event("dns_queries", answered)
        count.event("dns_memo", answered)
        if cached:
            count.event("dns_cache_hit", cached)

    # Replies that took longer

    def say(self, reply: bytes, name: bytes, control: bytes) -> None:
        """Send a reply to the socket address `name`, together with others of this turn of the loop."""
        replies = self._replies
        if not replies:
            asyncio.get_running_loop().call_soon(self._flush)
        replies.append((reply, name, control))

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        for start in range(0, len(replies), MOST):
            part = replies[start : start + MOST]
            for place, (reply, name, control) in enumerate(part):
                self._out.put(place, reply, name, control)
            if lost := self._out.send(self._fd, len(part)):
                self.front.count.event("dns_unsent", lost)
