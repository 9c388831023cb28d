"""Connections to one upstream: opened when asked, kept for the next question, closed when idle, and never many.

A link is one connection. How questions are laid on it is its kind's matter (`streams.py`, `doh.py`); that each of them
ends in time, whatever becomes of the connection, is settled here.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, cast

from filterproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .exchange import Exchange

LINKS = 8
"""Connections to one upstream at once."""
PIPELINED = 512
"""Questions that wait on one connection; where all have as many, no more are asked."""
IDLE_SECONDS = 10.0
"""How long a connection is kept without a question (RFC 7766, section 6.2.3)."""
AGAIN = 8
"""Kept connections that a question may be lost with: some servers close theirs with each answer."""
LATE = 64
"""Questions given up on a connection, until it is asked no more: it may answer them yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how connections are opened. `name` is what the certificate must be for; no `tls`: it needs none."""

    address: str
    port: int
    timeout: float
    """In seconds, for opening a connection."""
    tls: ssl.SSLContext | None = None
    name: str = ""


def tls_context(ca: Path | None, *protocols: str) -> ssl.SSLContext:
    """Return how upstreams over TLS are checked: against the authorities in the file `ca`, or the system's.

    `protocols` are offered to be spoken within (ALPN).
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as exc:
        raise ConfigError("dns.upstream_ca: no authority can be read from this file") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


class Link(asyncio.Protocol, ABC):
    """One connection and the questions that wait on it: until it is open in `queue`, then in `waiting`, by their id."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.transport: asyncio.Transport | None = None
        self.queue: list[Exchange] = []
        self.waiting: dict[int, tuple[Exchange, bytes]] = {}
        self.late: set[int] = set()
        self.heard_at = float("-inf")
        self.retired = self.ended = False
        """Asked no more; and gone."""
        self._used_at = monotonic()
        self._idle: asyncio.TimerHandle | None = None
        self.opening = asyncio.get_running_loop().create_task(self._open())

    def __len__(self) -> int:
        return len(self.waiting) + len(self.queue)

    @abstractmethod
    def begin(self) -> bool:
        """Say what is said first; return False where the other side cannot be used."""

    @abstractmethod
    def pump(self) -> None:
        """Send what is in the queue, as far as it may be sent now."""

    @abstractmethod
    def received(self, data: bytes) -> bool:
        """Take what arrived; return False where it is not what was agreed on."""

    def dropped(self, ident: int) -> None:
        """Take note that the question `ident`, which was sent, is waited for no more."""
        self.late.add(ident)

    def ask(self, exchange: Exchange) -> None:
        """Send the question when this turn of the loop is over, with all others: one write for all."""
        self._used_at = monotonic()
        self.queue.append(exchange)
        if self.transport is not None and len(self.queue) == 1:
            asyncio.get_running_loop().call_soon(self._pump_open)

    def _pump_open(self) -> None:
        if self.queue and self.transport is not None and not self.transport.is_closing():
            self.pump()

    async def _open(self) -> None:
        target, loop = self.links.target, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(target.timeout):
                await loop.create_connection(
                    lambda: self,
                    target.address,
                    target.port,
                    ssl=target.tls,
                    server_hostname=target.name or target.address if target.tls else None,
                )
        except OSError:  # also of TLS, and of time
            self.end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.ended or not self.begin():
            self.transport.abort()
            self.end()
            return
        self._wait_idle(IDLE_SECONDS)
        self.pump()

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        self.heard_at = monotonic()
        if not self.received(data):
            self.garbled()
        elif self.retired and not len(self):
            self.end()

    def eof_received(self) -> None:
        """Take the end of what the other side says for the end of the connection."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        self.end()

    def garbled(self) -> None:
        """Leave a connection on which nonsense was said: whoever waited has no answer."""
        waiting = [exchange for exchange, _ in self.waiting.values()]
        self.waiting.clear()
        self.end()
        now = monotonic()
        for exchange in waiting:
            exchange.misheard(now)

    def end(self) -> None:
        """Close the connection. What waited on it is asked on another, where this one had been of use."""
        if self.ended:
            return
        self.ended = True
        self.links.gone(self)
        if self._idle is not None:
            self._idle.cancel()
        if not self.opening.done():
            self.opening.cancel()
        if self.transport is not None:
            self.transport.abort()
        left = [exchange for exchange, _ in self.waiting.values()] + self.queue
        self.waiting.clear()
        self.queue.clear()
        now = monotonic()
        for exchange in left:
            if self.heard_at > float("-inf") and exchange.again < AGAIN and exchange.deadline > now:
                exchange.again += 1
                self.links.ask(exchange)
            else:
                exchange.missed(now)

    def give_up(self, now: float) -> None:
        """Let no question wait beyond its time. A connection that says nothing meanwhile is taken for dead."""
        if self._silent(now):
            self.end()
            return
        overdue = [(ident, item) for ident, (item, _) in self.waiting.items() if item.deadline <= now]
        unsent = [item for item in self.queue if item.deadline <= now]
        if not overdue and not unsent:
            return
        dead = any(self.heard_at < item.sent_at for _, item in overdue)
        for ident, _ in overdue:
            del self.waiting[ident]
            self.dropped(ident)
        for item in unsent:
            self.queue.remove(item)
        self.retired |= dead or bool(unsent) or len(self.late) > LATE
        if self.retired and not len(self):
            self.end()
        for item in (*(item for _, item in overdue), *unsent):
            item.missed(now)

    def _silent(self, now: float) -> bool:
        """Tell whether a connection that was of use has fallen silent: a firewall forgot it, perhaps, or the server."""
        since = now - self.links.target.timeout / 3
        kept = self.heard_at > float("-inf")
        return kept and any(self.heard_at < item.sent_at <= since for item, _ in self.waiting.values())

    def _wait_idle(self, after: float) -> None:
        self._idle = asyncio.get_running_loop().call_later(after, self._if_idle)

    def _if_idle(self) -> None:
        left = self._used_at + IDLE_SECONDS - monotonic()
        if len(self):
            self._wait_idle(IDLE_SECONDS)
        elif left > 0:
            self._wait_idle(left)
        else:
            self.end()


class Links:
    """Asks one upstream over connections of one kind."""

    def __init__(self, target: Target, kind: Callable[[Links], Link]) -> None:
        self.target, self._kind = target, kind
        self._links: dict[Link, None] = {}
        self._closed = False

    def ask(self, exchange: Exchange) -> None:
        """Ask on a connection that is open, or on a new one."""
        link = next((item for item in self._links if not item.retired and len(item) < PIPELINED), None)
        if link is None:
            if self._closed or len(self._links) >= LINKS:
                exchange.missed(monotonic())
                return
            link = self._kind(self)
            self._links[link] = None
        exchange.sent_at = monotonic()
        link.ask(exchange)

    def tick(self, now: float) -> bool:
        """Give up what is overdue, and return whether anything waits."""
        for link in list(self._links):
            link.give_up(now)
        return any(len(link) for link in self._links)

    def close(self) -> None:
        """Give up everything at once."""
        self._closed = True
        for link in list(self._links):
            link.end()

    def gone(self, link: Link) -> None:
        """Forget a connection that has ended."""
        self._links.pop(link, None)
