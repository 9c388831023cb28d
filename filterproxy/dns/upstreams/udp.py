"""Asking one upstream over UDP: all questions of one turn of the loop leave in one volley, from a port of its own.

The kernel chooses the port at random and drops what comes from elsewhere; ids are random, and letters in random case.
A reply that does not repeat them is passed over, and the wait goes on. At light load each question is its own volley,
and so has its own port; under a flood of them up to `MOST` share one, for a port costs more than a question.
"""

from __future__ import annotations

import asyncio
import select
import socket
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from filterproxy.dns.batch import MOST, ROOM

from .message import Fit, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .exchange import Exchange
    from .message import Randomness

VOLLEYS = 256
"""Ports of one upstream at once; beyond, or without a descriptor for one more, questions join the youngest volley."""
CROWDED = 4096
"""Questions of one volley; beyond, none is asked: its ids would soon be no riddle."""


class Packets(Protocol):
    """What reads and sends many datagrams at once, such as batch.Packets."""

    def receive(self, fd: int) -> list[bytes]: ...
    def send(self, fd: int, packets: Sequence[bytes]) -> int: ...


class Volley:
    """Questions that were sent from one port, by their ids, each as it was spelled; `due` is when one is overdue."""

    __slots__ = ("due", "fd", "sock", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.waiting: dict[bytes, tuple[Exchange, bytes]] = {}
        self.due = float("inf")


class Datagrams:
    """Asks one upstream over UDP. A question without an answer after `again` seconds is asked once more."""

    def __init__(
        self, address: tuple[str, int], again: float, packets: Packets, random: Randomness, count: Callable[[str], None]
    ) -> None:
        self._address, self._again, self._packets, self._count = address, again, packets, count
        self._family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._take = random.take
        self._queue: list[Exchange] = []
        self._volleys: dict[int, Volley] = {}  # by descriptor, the oldest first
        self._poll: select.epoll | None = None

    def ask(self, exchange: Exchange) -> None:
        """Send the question when this turn of the loop is over, with all others."""
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        if not exchange.queued:
            exchange.queued = True
            self._queue.append(exchange)

    def tick(self, now: float) -> bool:
        """Ask again, or give up, what is overdue; return whether anything waits."""
        for volley in [item for item in self._volleys.values() if item.due <= now]:
            self._overdue(volley, now)
        return bool(self._volleys or self._queue)

    def close(self) -> None:
        """Give up everything at once."""
        now = monotonic()
        left = {exchange for volley in self._volleys.values() for exchange, _ in volley.waiting.values()}
        queue, self._queue = self._queue, []
        for exchange in (*left, *(item for item in queue if item.queued)):
            self._forget(exchange)
            exchange.missed(now)
        if self._poll is not None:
            asyncio.get_running_loop().remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None

    def _flush(self) -> None:
        queue, self._queue = [item for item in self._queue if item.queued], []
        for start in range(0, len(queue), MOST):
            self._send(queue[start : start + MOST])

    def _send(self, exchanges: list[Exchange]) -> None:
        now, take = monotonic(), self._take
        volley = self._open()
        if volley is None:
            for exchange in exchanges:
                self._forget(exchange)
                exchange.missed(now)
            return
        waiting, packets = volley.waiting, []
        for exchange in exchanges:
            question = exchange.question
            random = take(2 + len(question.name))
            ident = random[:2]
            while ident in waiting:
                ident = take(2)
            section = question.spelled(random[2:])
            waiting[ident] = exchange, section
            exchange.places.append((volley, ident))
            exchange.queued, exchange.sent_at = False, now
            packets.append(exchange.message(ident, section))
        volley.due = min(volley.due, now + self._again)
        if self._packets.send(volley.fd, packets):
            self._find_out(volley, packets[0])

    def _open(self) -> Volley | None:
        """Return the volley that the next questions belong to; None where they cannot be sent."""
        if len(self._volleys) >= VOLLEYS:
            return self._youngest()
        try:
            poll = self._poll or self._watch()
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            return self._youngest()  # no descriptors are left: slow names may hold them all, and others must not wait
        try:
            sock.connect(self._address)
            poll.register(sock, select.EPOLLIN)
        except OSError:
            sock.close()
            return None
        volley = Volley(sock)
        self._volleys[volley.fd] = volley
        return volley

    def _youngest(self) -> Volley | None:
        youngest = next(reversed(self._volleys.values()), None)
        return youngest if youngest is not None and len(youngest.waiting) < CROWDED else None

    def _watch(self) -> select.epoll:
        """Return what watches all volleys. The loop watches that: to have it watch each costs as much as a socket."""
        self._poll = select.epoll()
        asyncio.get_running_loop().add_reader(self._poll.fileno(), self._arrived)
        return self._poll

    def _arrived(self) -> None:
        for fd, _ in self._poll.poll(0) if self._poll is not None else ():
            volley = self._volleys.get(fd)  # None where what arrived just now closed it
            if volley is not None:
                self._readable(volley)

    def _find_out(self, volley: Volley, packet: bytes) -> None:
        """Ask once more what the kernel did not send: a refusal is told to the next that sends, and then forgotten."""
        try:
            volley.sock.send(packet)
        except BlockingIOError:
            pass  # there is much to send; what was lost is asked again
        except OSError:
            self._refused(volley)

    def _readable(self, volley: Volley) -> None:
        try:
            replies = self._packets.receive(volley.fd)
        except OSError:
            self._refused(volley)
            return
        now, waiting = monotonic(), volley.waiting
        for reply in replies:
            found = waiting.get(reply[:2])
            if found is None:
                self._count("dns_upstream_spoofed")
                continue
            exchange, section = found
            # The usual reply first: one question, repeated letter by letter.
            exact = reply[12 : 12 + len(section)] == section and reply[2] & 0xF8 == 0x80 and reply[4:6] == b"\0\1"
            if not exact:
                fits = fit(reply, section)
                if fits is Fit.NONE:
                    self._count("dns_upstream_spoofed")
                    continue
                exact = fits is Fit.EXACT or exchange.peer.folds
            self._forget(exchange)
            exchange.heard_datagram(reply, now, exact=exact, cut=len(reply) >= ROOM)

    def _refused(self, volley: Volley) -> None:
        """Give up what was asked there: the system tells that nobody listens."""
        now = monotonic()
        for exchange, _ in list(volley.waiting.values()):
            self._forget(exchange)
            exchange.missed(now)

    def _overdue(self, volley: Volley, now: float) -> None:
        volley.due = float("inf")
        for exchange, _ in list(volley.waiting.values()):
            if exchange.deadline <= now:
                self._forget(exchange)
                exchange.missed(now)
                continue
            if exchange.tries == 1 and exchange.sent_at + self._again <= now:
                exchange.tries = 2  # a datagram can get lost; the next one seldom does too
                self.ask(exchange)
            next_look = exchange.deadline
            if exchange.tries == 1:
                next_look = min(next_look, exchange.sent_at + self._again)
            volley.due = min(volley.due, next_look)

    def _forget(self, exchange: Exchange) -> None:
        """Await no reply to it any more; a volley of which none is awaited is closed."""
        exchange.queued = False
        for volley, ident in exchange.places:
            del volley.waiting[ident]
            if not volley.waiting:
                volley.sock.close()
                del self._volleys[volley.fd]
        exchange.places.clear()
