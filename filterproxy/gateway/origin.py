"""A connection to an origin: one request at a time, and what comes back goes to who asked.

It knows nothing of clients. What an origin sends without being asked ends the connection, for a response that lies
ready for the next request would answer somebody else's.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, cast

from .responses import BrokenError, Responses
from .sweeping import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .memo import Memo
    from .requests import Fields
    from .responses import Response
    from .sweeping import Sweeper

log = logging.getLogger(__name__)

SILENT: Final = 300.0
"""Seconds that an origin may take for its answer, and within it."""
IDLE: Final = 50.0
"""Seconds that a connection is kept unused: less than most origins do, so that few requests meet one that closes."""


class Asker(Protocol):
    """Who put a request. After `ended`, `switched` or `lost` it is told nothing more of it."""

    def answered(self, response: Response) -> None:
        """Take the head of a response."""

    def body(self, piece: bytes) -> None:
        """Take a piece of its body."""

    def ended(self, trailers: Fields) -> None:
        """Take note that it is whole: the connection may be used again where `Origin.fit` says so."""

    def switched(self, rest: bytes) -> None:
        """Take note that the connection speaks another protocol, of which `rest` was read."""

    def lost(self) -> None:
        """Take note that the response is not whole and never will be."""

    def flush(self) -> None:
        """Pass on what was told: all that was read together has been."""

    def choked(self, *, yes: bool) -> None:
        """Send no more of the request's body, or again."""


class Origin(asyncio.Protocol):
    """One connection. `gone` is told once it is no more, also while nobody asks."""

    __slots__ = ("_asker", "_gone", "_held", "_keep", "_reader", "_sweeper", "_transport", "deadline", "key", "used")

    def __init__(
        self, key: Hashable, sweeper: Sweeper, gone: Callable[[Origin], None], heads: Memo[Response] | None = None
    ) -> None:
        """`key` says for which requests it may be used; `heads` are known already."""
        self.key, self.used = key, 0
        """How many requests were put."""
        self.deadline = NEVER
        self._sweeper, self._gone = sweeper, gone
        self._reader = Responses(self) if heads is None else Responses(self, heads)
        self._asker: Asker | None = None
        self._keep = self._held = False
        self._transport: asyncio.Transport | None = None

    @property
    def fit(self) -> bool:
        """Whether another request may be put."""
        transport = self._transport
        return self._keep and self._asker is None and transport is not None and not transport.is_closing()

    def ask(self, asker: Asker, head: bytes, *, is_head: bool) -> None:
        """Put a request, of which `head` is all but the body; `is_head` where its method is HEAD."""
        transport = self._transport
        if transport is None or transport.is_closing():
            asyncio.get_running_loop().call_soon(asker.lost)
            return
        self._asker, self.used = asker, self.used + 1
        self._reader.ask(head=is_head)
        self.send(head)

    def send(self, data: bytes) -> None:
        """Send a piece of the request's body, framed."""
        if self._transport is not None:
            self.deadline = self._sweeper.clock() + SILENT
            self._transport.write(data)

    def rest(self) -> None:
        """Wait for another request."""
        if self._held:
            self.hold(yes=False)
        self.deadline = self._sweeper.clock() + IDLE

    def hold(self, *, yes: bool) -> None:
        """Read no more for now, or again: who asked cannot take it. A wait for that is not the origin's."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._held = yes
        if yes:
            transport.pause_reading()
            self.deadline = NEVER
        else:
            transport.resume_reading()
            self.deadline = self._sweeper.clock() + SILENT

    def leave(self) -> None:
        """End the connection at once. Who asked is told nothing."""
        self._asker = None
        if self._transport is not None:
            self._transport.abort()

    def taken(self) -> asyncio.Transport:
        """Return the transport, which from now on is the caller's: it speaks another protocol."""
        self._asker = None
        self._sweeper.leave(self)
        assert self._transport is not None  # noqa: S101 - it has just answered
        return self._transport

    def idle_for(self, allowed: float) -> float:
        """Return for how many seconds it has waited for another request, of which `allowed` are left at `rest`."""
        return self._sweeper.clock() + allowed - self.deadline

    def overdue(self) -> None:
        """End a wait that is too long."""
        self._fail()

    def retire(self) -> None:
        """End where nobody asked anything."""
        if self._asker is None:
            self.leave()

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._keep = True
        self._sweeper.join(self)

    def data_received(self, data: bytes) -> None:
        asker = self._asker
        if asker is None:
            self._keep = False
            self.leave()
            return
        self.deadline = self._sweeper.clock() + SILENT
        try:
            rest = self._reader.feed(data)
        except BrokenError:
            self._fail()
            return
        except Exception as exc:  # noqa: BLE001 - its text may hold a URL
            log.error("hook_failed", extra={"fields": {"hook": "response", "error": type(exc).__name__}})
            self._fail()
            return
        if rest is not None:
            asker.switched(rest)
        asker.flush()

    def eof_received(self) -> None:
        self._keep = False
        asker = self._asker
        if asker is not None and self._reader.close():
            asker.flush()
        elif asker is not None:
            self._fail()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - what is missing is missing
        self._keep = False
        self._sweeper.leave(self)
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.lost()
        self._gone(self)
        self._reader.forget()
        self._transport = None

    def pause_writing(self) -> None:
        if self._asker is not None:
            self._asker.choked(yes=True)

    def resume_writing(self) -> None:
        if self._asker is not None:
            self.deadline = self._sweeper.clock() + SILENT
            self._asker.choked(yes=False)

    # What the reader tells

    def answered(self, response: Response) -> None:
        if self._asker is not None:
            if not response.interim:
                self._keep = self._keep and response.keep
            self._asker.answered(response)

    def body(self, piece: bytes) -> None:
        if self._asker is not None:
            self._asker.body(piece)

    def ended(self, trailers: Fields) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.ended(trailers)

    def _fail(self) -> None:
        self._keep = False
        asker = self._asker
        self.leave()
        if asker is not None:
            asker.lost()
