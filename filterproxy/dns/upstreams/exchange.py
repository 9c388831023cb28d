"""One question asked of one upstream: what a reply is worth, and by which way it is asked once more.

What the ways of asking report ends here: each exchange ends once, with an answer or with none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from filterproxy.dns import wire
from filterproxy.dns.answers import EDE_NO_AUTHORITY
from filterproxy.dns.cache import FINAL, failure, read_answer

from .health import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterproxy.dns.cache import Answer

    from .message import Question
    from .udp import Volley

FOLDS = 3
"""Answers whose letters lost their case over UDP, and over TCP too or TCP was of no use, until an upstream is taken
to fold them always."""

UNREADABLE = failure(wire.SERVFAIL, EDE_NO_AUTHORITY)

_TC = wire.TC >> 8
_AD = wire.AD


class Way(Protocol):
    """How an upstream is asked. It tells each exchange once what became of it, and then forgets it."""

    def ask(self, exchange: Exchange) -> None: ...

    def tick(self, now: float) -> bool:
        """Give up what is overdue, and return whether anything still waits. Called many times in each time-out."""
        ...

    def close(self) -> None:
        """Give up everything at once."""
        ...


class Case(Protocol):
    """Whoever wants an exchange's outcome."""

    def ended(self, exchange: Exchange, answer: Answer | None, now: float) -> None:
        """Take the answer, perhaps a failure; None where the upstream was not reached. Called once; raises nothing."""
        ...


class Peer:
    """One upstream, with its number from 1. `first` is how it is asked, `whole` how where the answer was cut.

    `believed` tells whether its word on authentication (AD) counts, `padded` whether the length of questions is hidden;
    `changed` is called where it comes back from being silent or unreachable.
    """

    def __init__(self, number: int, *, believed: bool, padded: bool, count: Callable[[str], None]) -> None:
        self.number, self.believed, self.padded, self.count = number, believed, padded, count
        self.health = Health()
        self.folded = 0
        self.changed: Callable[[], None] = _nothing
        self.first: Way
        self.whole: Way

    @property
    def folds(self) -> bool:
        """Whether it has shown that it gives no letter back in the case in which it was asked."""
        return self.folded >= FOLDS

    def tick(self, now: float) -> bool:
        """Give up what is overdue, and return whether anything still waits."""
        busy = self.first.tick(now)
        if self.whole is not self.first:
            busy |= self.whole.tick(now)
        return busy

    def close(self) -> None:
        """Give up everything at once."""
        self.first.close()
        self.whole.close()


class Exchange:
    """One question on its way to one upstream. Times are seconds of the monotonic clock.

    `tries` is how often it was asked over UDP, `places` where the answer is awaited there, and `queued` whether it has
    yet to be sent. `again` is how often it was asked anew since a kept connection was lost.
    """

    __slots__ = (
        "_edns", "_folded", "again", "asked_at", "case", "deadline", "ended", "explores", "peer", "places", "question",
        "queued", "sent_at", "tries",
    )  # fmt: skip

    def __init__(self, question: Question, peer: Peer, case: Case, asked_at: float, deadline: float) -> None:
        self.question, self.peer, self.case = question, peer, case
        self.asked_at = self.sent_at = asked_at
        self.deadline = deadline
        self.tries = 1
        self.places: list[tuple[Volley, bytes]] = []
        self.again = 0
        self.queued = self.explores = self.ended = self._folded = False
        self._edns = True

    def message(self, ident: bytes, section: bytes) -> bytes:
        """Return the message that asks the upstream the question, spelled as in `section`."""
        peer = self.peer
        if peer.padded:
            return self.question.padded(ident, section, ad=peer.believed, edns=self._edns)
        return self.question.message(ident, section, ad=peer.believed, edns=self._edns)

    def heard_datagram(self, reply: bytes, now: float, *, exact: bool, cut: bool) -> None:
        """Take a fitting reply that came over UDP; `exact` in every letter, `cut` where more came than we took.

        What is cut, or does not repeat the case of every letter, is asked for over TCP and not believed.
        """
        self._hear(now, now - self.sent_at if self.tries == 1 else None)
        if cut or reply[2] & _TC or not exact:
            if exact:
                self.peer.count("dns_upstream_tcp")
            self._folded = not exact
            self.peer.whole.ask(self)
        else:
            self._read(reply, now)

    def heard(self, reply: bytes, now: float, *, exact: bool) -> None:
        """Take a fitting reply that came on a connection."""
        self._hear(now, None if self.tries > 1 or self._folded else now - self.sent_at)
        if self._folded and not exact:
            self.peer.folded += 1
        if reply[2] & _TC:
            self._end(UNREADABLE, now)
        else:
            self._read(reply, now)

    def misheard(self, now: float) -> None:
        """Take note that the upstream was reached, and said what cannot be understood."""
        self._hear(now, None)
        self._end(UNREADABLE, now)

    def missed(self, now: float) -> None:
        """Take note that nothing came, or nothing that fits."""
        if self._folded and not self.ended:
            self.peer.folded += 1
            self._folded = False
        self._end(None, now)

    def _hear(self, now: float, took: float | None) -> None:
        if self.peer.health.heard(now, took):
            self.peer.changed()

    def _read(self, reply: bytes, now: float) -> None:
        rcode = reply[3] & wire.RCODE
        if rcode in FINAL:
            try:
                answer = read_answer(reply, ad=self.peer.believed and bool(reply[3] & _AD))
            except wire.Malformed:
                answer = UNREADABLE
            self._end(answer, now)
        elif rcode == wire.FORMERR and self._edns:  # from before EDNS, perhaps (RFC 6891, section 7)
            self._edns = False
            self.peer.first.ask(self)
        else:
            self._end(failure(rcode, None if rcode == wire.SERVFAIL else EDE_NO_AUTHORITY), now)

    def _end(self, answer: Answer | None, now: float) -> None:
        if not self.ended:
            self.ended = True
            self.case.ended(self, answer, now)


def _nothing() -> None:
    pass
