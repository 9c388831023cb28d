"""UDP sockets of clients: what was answered before is answered at once, the rest is handed to the front's queue."""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .batch import MOST, NAME, ROOM, Batch, tell_addresses
from .front import MAX_CLIENTS, Front, Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .limits import Address

ROUNDS: Final = 8
"""Batches that are read at once from one socket before other work gets its turn."""

_text = lru_cache(maxsize=MAX_CLIENTS)(socket.inet_ntop)

_ALONE: Final = (bytes(10) + b"\xff\xff", b"\xfe\x80")
"""How those IPv6 addresses begin that are one client's each: IPv4 as such, and link-local ones."""


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
        self._slices = [slice(at + first.start, at + first.stop) for at in range(0, MOST * NAME, NAME)]
        self._words = memoryview(self._in.names).cast("I")[1 :: NAME // 4]
        self._replies: list[tuple[bytes, bytes, bytes]] = []

    def open(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Read no more. What was taken is still answered."""
        asyncio.get_running_loop().remove_reader(self._fd)

    def client_in(self, name: bytes) -> str:
        """Return the client's IP address in the socket address `name`."""
        return _text(self._sock.family, name[self._address])

    def address_in(self, name: bytes) -> Address:
        """Return the same as `front` and `limits` know it."""
        address = name[self._address]
        return address if self._six else int.from_bytes(address, sys.byteorder)

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
        memos, data, cuts_of, most = front.memos, batch.data, batch.cuts, len(batch.cuts[0])
        clients = self._clients(len(lengths))
        if front.limits.counting:
            front.limits.count(clients)
            if front.limits.wide:  # else who asks from one address after the other has the memo of each for a while
                for client in front.limits.watches(set(clients) & memos.keys()):
                    del memos[client]
        sizes: list[int] = []
        cells: list[int] = []
        missed: list[int] = []
        for place, (length, client, cuts) in enumerate(zip(lengths, clients, cuts_of, strict=False)):
            memo = memos.get(client)
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

    def _clients(self, count: int) -> Sequence[Address]:
        """Return whom the first `count` datagrams come from."""
        if self._six:
            return list(map(self._in.names.__getitem__, self._slices[:count]))
        return self._words[:count].tolist()  # numbers are read at once, and cost less to look up than bytes

    def _question(self, place: int, length: int) -> Question:
        batch, at = self._in, place * ROOM
        name = batch.names[place * NAME : place * NAME + self._name_length]
        return Question(self, batch.data[at : at + length], name, batch.control(place, six=self._six))

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
