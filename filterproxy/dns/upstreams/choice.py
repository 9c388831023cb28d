"""Who is asked, and who beside: the fastest first, another where it does not answer in its usual time.

A question is a case of ours until an upstream has answered it, or none is left. One clock ticks while any waits, so
that no question costs a timer of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import deque
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from filterproxy.dns import wire
from filterproxy.dns.answers import EDE_NETWORK_ERROR
from filterproxy.dns.batch import Packets
from filterproxy.dns.cache import FINAL, failure

from .exchange import UNREADABLE, Exchange, Peer
from .health import order
from .links import Links, Target, tls_context
from .message import Question, Randomness
from .streams import Stream
from .udp import Datagrams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from filterproxy.dns.asking import Then
    from filterproxy.dns.cache import Answer
    from filterproxy.dns.wire import Query
    from filterproxy.settings.dns import UpstreamAddress

    from .udp import Packets as AnyPackets

REST_SECONDS = 10.0
"""How long an upstream that could not be reached is asked last, before it is tried again."""
EXPLORES = 64
"""One question in so many is asked of another upstream too, so that one that became fast is noticed."""
HEDGES, HEDGES_SAVED = 1 / 8, 128
"""How many may be asked of another beside one that answers others in time, for each question, and how many are saved
up: where all names are slow, all upstreams must not be asked everything."""
TICKS = 20
"""Looks at the clock in each time-out."""
LONGEST_TICK = 0.025

_ROOT = wire.Query(0, wire.RD, b"\0", (), wire.NS, wire.IN, None)
_UNREACHED = failure(wire.SERVFAIL, EDE_NETWORK_ERROR, lifetime=1)

log = logging.getLogger(__name__)


class _Case:
    """A client's question while it is asked. `left` are upstreams in the order to ask them, `end` when all is over."""

    __slots__ = ("_of", "asked", "done", "end", "failed", "left", "outstanding", "question", "then")

    def __init__(self, of: Upstreams, query: Query, then: Then, left: Sequence[int], end: float) -> None:
        self._of, self.then, self.left, self.end = of, then, left, end
        self.question = Question(query)
        self.asked = self.outstanding = 0  # of `left`, and of all
        self.failed = _UNREACHED
        self.done = False

    def ended(self, exchange: Exchange, answer: Answer | None, now: float) -> None:
        self.outstanding -= 1
        if answer is None:
            self._of.missed(exchange, now)
        if self.done:
            return
        if answer is not None and answer.rcode in FINAL:
            self._of.finish(self, answer)
            return
        if answer is not None and self.failed is _UNREACHED:
            self.failed = answer
        if not exchange.explores:
            self._of.ask_next(self, now)
        if not self.outstanding and not self.done:
            self._of.finish(self, self.failed)


class Upstreams:
    """The resolvers that answer what is not blocked; `timeout`, for each, and `rest` are in seconds.

    `ca` is a PEM file of the authorities that those over TLS are checked against; None: the system's. No question takes
    longer than twice the time-out. Belongs to one loop, on which `close` is called in the end.
    """

    def __init__(
        self,
        addresses: Sequence[UpstreamAddress],
        timeout: float,
        *,
        ca: Path | None = None,
        rest: float = REST_SECONDS,
        count: Callable[[str], None] | None = None,
        packets: AnyPackets | None = None,
    ) -> None:
        self._timeout, self._rest = timeout, rest
        self._count = count or _uncounted
        self._peers = _peers(addresses, timeout, ca, self._count, packets or Packets())
        for peer in self._peers:
            peer.changed = self._reorder
        self._order = tuple(range(len(self._peers)))
        self._doubts = [deque[Exchange]() for _ in self._peers]
        self._waiting = self._asked = 0
        self._hedges = float(HEDGES_SAVED)
        self._next_probe = float("inf")
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return self._waiting

    def ask(self, query: Query, then: Then) -> None:
        """Have `then` called with the first answer that an upstream gives to `query`; a failure where none does."""
        now = monotonic()
        case = _Case(self, query, then, self._order, now + 2 * self._timeout)
        self._waiting += 1
        self._asked += 1
        self._hedges = min(HEDGES_SAVED, self._hedges + HEDGES)
        self.ask_next(case, now)
        if not case.outstanding and not case.done:
            self.finish(case, _UNREACHED)
        if not self._asked % EXPLORES and len(self._peers) > 1 and not case.done:
            self._explore(case, now)
        if now >= self._next_probe:
            self._probe(now)
        if self._ticker is None:
            self._wind()

    def close(self) -> None:
        """Answer all that wait with a failure, and leave nothing open."""
        self._closed = True
        for peer in self._peers:
            peer.close()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def ask_next(self, case: _Case, now: float) -> None:
        """Ask the next upstream of a case, where there is one and time is left for it."""
        if self._closed or case.asked >= len(case.left) or case.end - now < self._timeout / 4:
            return
        number = case.left[case.asked]
        case.asked += 1
        self._ask(case, number, now)

    def _ask(self, case: _Case, number: int, now: float) -> Exchange:
        peer = self._peers[number]
        exchange = Exchange(case.question, peer, case, now, min(now + self._timeout, case.end))
        case.outstanding += 1
        if len(self._peers) > 1:
            self._doubts[number].append(exchange)
        peer.first.ask(exchange)
        return exchange

    def finish(self, case: _Case, answer: Answer) -> None:
        """Hand over the outcome of a case. What else is asked for it still shows how upstreams do."""
        case.done = True
        self._waiting -= 1
        try:
            case.then(answer)
        except Exception as exc:  # noqa: BLE001 - else whoever asked would wait for ever
            log.error("an answer of an upstream could not be handed on: %s", type(exc).__name__)
            self._count("dns_internal_error")
            case.then(UNREADABLE)  # of this there is nothing to read

    def missed(self, exchange: Exchange, now: float) -> None:
        """Let an upstream rest that was not reached."""
        if self._closed:
            return
        health = exchange.peer.health
        if health.missed(exchange.asked_at, now + self._rest):
            log.warning("DNS upstream %d of %d gave no answer", exchange.peer.number, len(self._peers))
        if health.resting:
            self._next_probe = min(self._next_probe, health.rests_until)
            self._reorder()

    def _reorder(self) -> None:
        if len(self._peers) > 1:
            self._order = order([peer.health for peer in self._peers], self._order[0])

    def _explore(self, case: _Case, now: float) -> None:
        """Ask one of the other upstreams too, each in its turn: not those that rest, for they are probed."""
        others = [number for number in case.left[case.asked :] if not self._peers[number].health.resting]
        if others and not self._closed:
            number = others[self._asked // EXPLORES % len(others)]
            case.left = tuple(other for other in case.left if other != number)
            self._ask(case, number, now).explores = True
        self._reorder()

    def _probe(self, now: float) -> None:
        """Try those again whose rest is over: once, beside the questions, so that no client waits for them."""
        self._next_probe = float("inf")
        for number, peer in enumerate(self._peers):
            health = peer.health
            if health.resting and health.rests_until <= now:
                health.rests_until = now + self._rest
                case = _Case(self, _ROOT, _ignored, (), now + self._timeout)
                self._waiting += 1
                self._ask(case, number, now)
            if health.resting:
                self._next_probe = min(self._next_probe, health.rests_until)

    def _tick(self) -> None:
        self._ticker = None
        now = monotonic()
        busy = False
        for number, peer in enumerate(self._peers):
            busy |= peer.tick(now)
            self._doubt(number, peer, now)
        if (busy or self._waiting) and self._ticker is None:  # whoever asked from within an answer has wound it
            self._wind()

    def _wind(self) -> None:
        if not self._closed:
            after = min(LONGEST_TICK, self._timeout / TICKS)
            self._ticker = asyncio.get_running_loop().call_later(after, self._tick)

    def _doubt(self, number: int, peer: Peer, now: float) -> None:
        """Ask another beside this upstream what it has not answered in its usual time."""
        doubts, overdue = self._doubts[number], now - peer.health.patience(self._timeout)
        while doubts and (doubts[0].ended or doubts[0].asked_at <= overdue):
            exchange = doubts.popleft()
            if exchange.ended:
                continue
            if peer.health.doubted(exchange.asked_at):
                self._reorder()
            case = exchange.case
            if not isinstance(case, _Case) or case.done or exchange.explores or case.asked >= len(case.left):
                continue
            if peer.health.silent or self._hedges >= 1:
                self._hedges -= not peer.health.silent
                self._count("dns_upstream_hedged")
                self.ask_next(case, now)


def _peers(
    addresses: Sequence[UpstreamAddress],
    timeout: float,
    ca: Path | None,
    count: Callable[[str], None],
    packets: AnyPackets,
) -> tuple[Peer, ...]:
    random, ways = Randomness(), {item.way for item in addresses}
    tls = {"tls": tls_context(ca)} if "tls" in ways else {}
    if "https" in ways:
        tls["https"] = tls_context(ca, "h2")
    peers = []
    for number, item in enumerate(addresses, 1):
        local = ipaddress.ip_address(item.address.partition("%")[0]).is_loopback
        peer = Peer(number, believed=item.way in tls or local, padded=item.way in tls, count=count)
        target = Target(item.address, item.port, timeout, tls.get(item.way), item.name)
        peer.first = peer.whole = Links(target, partial(Stream, random=random))
        if item.way == "udp":
            peer.first = Datagrams((item.address, item.port), timeout / 3, packets, random, count)
        elif item.way == "https":
            from .doh import Http, Url  # h2 takes its time to import, and few need it

            url = Url(item.name or item.address, item.port, item.path)
            peer.first = peer.whole = Links(target, partial(Http, url=url))
        peers.append(peer)
    return tuple(peers)


def _uncounted(name: str) -> None:
    pass


def _ignored(answer: Answer) -> None:
    pass
