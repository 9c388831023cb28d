"""Questions on a TCP or TLS connection, many at once, answered in any order (RFC 7766, RFC 7858)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from filterproxy.dns import wire

from .links import Link
from .message import Fit, fit

if TYPE_CHECKING:
    from .links import Links
    from .message import Randomness


class Stream(Link):
    """One connection, on which each message stands behind its length."""

    def __init__(self, links: Links, random: Randomness) -> None:
        self._take = random.take
        self._unread = bytearray()
        super().__init__(links)

    def begin(self) -> bool:
        """Nothing is said first."""
        return True

    def pump(self) -> None:
        """Send all that is queued at once."""
        queue, self.queue = self.queue, []
        now, written = monotonic(), list[bytes]()
        for exchange in queue:
            random = self._take(2 + len(exchange.question.name))
            ident = random[:2]
            while int.from_bytes(ident) in self.waiting or int.from_bytes(ident) in self.late:
                ident = self._take(2)
            section = exchange.question.spelled(random[2:])
            message = exchange.message(ident, section)
            self.waiting[int.from_bytes(ident)] = exchange, section
            exchange.sent_at = now
            written += len(message).to_bytes(2), message
        if written and self.transport is not None:
            self.transport.write(b"".join(written))

    def received(self, data: bytes) -> bool:
        """Take what arrived; return False where it answers nothing that was asked here."""
        unread = self._unread
        unread += data
        at = 0
        while len(unread) - at >= 2:
            end = at + 2 + int.from_bytes(unread[at : at + 2])
            if end - at < 2 + wire.HEADER.size:
                return False
            if len(unread) < end:
                break
            if not self._read(bytes(unread[at + 2 : end])):
                return False
            at = end
        del unread[:at]
        return True

    def _read(self, reply: bytes) -> bool:
        ident = int.from_bytes(reply[:2])
        if ident in self.late:
            self.late.discard(ident)
            return True
        found = self.waiting.get(ident)
        if found is None:
            return False
        exchange, section = found
        fits = fit(reply, section)
        if fits is Fit.NONE:
            return False
        del self.waiting[ident]
        exchange.heard(reply, self.heard_at, exact=fits is Fit.EXACT)
        return True
