"""What all connections of one worker's gateway share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from filterproxy.core.model import Verdict
    from filterproxy.core.policy import Policy
    from filterproxy.core.rulings import Door
    from filterproxy.core.targets import Targets
    from filterproxy.notice.seen import Seen
    from filterproxy.settings.gateway import Gateway, GatewayLimits

    from .client import Client
    from .dialling import Dialler
    from .exchange import Exchange
    from .fields import Heads
    from .inspected import Inspector
    from .judging import Judge
    from .memo import Memo
    from .pages import Pages
    from .pipes import Pipes
    from .pool import Pool
    from .requests import Block
    from .responses import Response
    from .seats import Seats
    from .sweeping import Sweeper
    from .tunnel import Tunnel


log = logging.getLogger(__name__)


class Count(Protocol):
    """Who counts what happened."""

    def event(self, name: str, number: int = 1) -> None:
        """Count an event, one of a fixed set."""

    def event_cell(self, name: str) -> int:
        """Return where an event is counted: a number that is not negative."""
        ...

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        """Count a verdict."""

    def cell(self, frontend: str, verdict: Verdict) -> int:
        """Return where such a verdict is counted."""
        ...

    def add(self, cell: int, number: int) -> None:
        """Count there."""


class Waits(NamedTuple):
    """The durations of `[gateway.limits]`, in seconds."""

    head: float
    idle: float
    answer: float
    connect: float
    tunnel: float

    @classmethod
    def of(cls, limits: GatewayLimits) -> Waits:
        """Return those of the settings."""
        return cls(*(getattr(limits, name).total_seconds() for name in cls._fields))


@dataclass(frozen=True)
class House:
    """The rooms of a gateway."""

    loop: asyncio.AbstractEventLoop
    settings: Gateway
    waits: Waits
    opens: Literal["listed", "all", "none"]
    """Which TLS goes to the inspector: that of hosts where URLs are listed to be looked at, all, or none."""
    policy: Callable[[], Policy]
    now: Callable[[], datetime]
    door: Door
    targets: Targets
    judge: Judge
    heads: Heads
    pages: Pages
    seen: Seen
    dialler: Dialler
    pool: Pool
    pipes: Pipes
    sweeper: Sweeper
    seats: Seats
    count: Count
    inspector: Inspector
    blocks: Memo[Block]
    answers: Memo[Response]
    """Heads that were read lately."""
    connect: Callable[[Exchange, Client, Policy], Coroutine[None, None, None]]
    """Answers a CONNECT."""
    allowed: int
    """Where it is counted that no list says anything."""
    tunnels: set[Tunnel] = field(default_factory=set)
    """Those that are open."""

    def failed(self, hook: str, exc: BaseException) -> None:
        """Count and log that our own code failed: where, and the exception's class, for its text may hold a URL."""
        log.error("hook_failed", extra={"fields": {"hook": hook, "error": type(exc).__name__}})
        self.count.event("http_hook_error")
