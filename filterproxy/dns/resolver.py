"""A question in, an answer out. No rule of blocking is here: `decide` holds them all, this asks it and says so."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from functools import lru_cache, partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dnslib import QTYPE

from filterproxy.core.decide import decide, shared, strictest
from filterproxy.core.model import Question, Verdict

from . import answers, names, structured, svcb, usual, wire
from .about import About
from .asking import UDP
from .cache import LONGEST_TTL, Answer, AnswerCache, Known, due_at
from .chain import Chain
from .clients import Client, read_client
from .cookies import Cookies
from .forward import Forwarder, Overloaded
from .memo import Kin, Template
from .records import wire_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterproxy.core.model import Match
    from filterproxy.core.policy import Policy
    from filterproxy.settings.dns import Dns

    from .asking import Asks, Reply, Way
    from .wire import Query

_REFUSED_TYPES = frozenset((249, 250, 251, 252))
"""TKEY, TSIG, IXFR, AXFR: no question that a client of ours may put."""
_NOTHING = Verdict()
_LONGEST_QUESTION = wire.MAX_NAME + 4
_SERVICES = frozenset((wire.SVCB, wire.HTTPS))
"""What is answered with records that say how to reach a service."""

Said = tuple[bytes, Template | None]
"""A reply, and from what it may be given again."""

log = logging.getLogger(__name__)


class Count(Protocol):
    """Who counts what happened."""

    def event(self, name: str, number: int = 1) -> None: ...
    def cell(self, frontend: str, verdict: Verdict) -> int:
        """Return where such a verdict is counted: a number that is not negative."""
        ...

    def event_cell(self, name: str) -> int:
        """Return the same for an event."""
        ...

    def add(self, cell: int, number: int) -> None: ...


class _Asked(NamedTuple):
    """A question that was let pass so far, and who asked it."""

    query: Query
    name: str | None
    client: Client
    profile: str
    policy: Policy
    verdict: Verdict
    way: Way
    reply: Reply

    def hidden(self, reply: bytes) -> bytes:
        """Return a reply as it leaves: padded, where that is of use and was asked for."""
        return answers.padded(self.query, reply) if self.way.encrypted else reply


class Resolver:
    """Answers one DNS message at a time; it owns no socket of a client's. All calls are made on one event loop."""

    def __init__(
        self,
        settings: Dns,
        policy: Callable[[], Policy],
        count: Count,
        now: Callable[[], datetime],
        *,
        rest: Asks | None = None,
        clock: Callable[[], float] = time.monotonic,
        meet: Callable[[str], None] = lambda _: None,
        key: bytes | None = None,
        blocks: Callable[[str, Match], None] = lambda *_: None,
        about: About | None = None,
    ) -> None:
        # `meet` is told of each client that is served, once for as long as it is remembered; `blocks` of each block
        # that is not from memory. `key` makes cookies, `about` is what clients may know of us.
        self.count, self.policy, self.clock = count, policy, clock
        self.cookies = Cookies(secrets.token_bytes(32) if key is None else key, now)
        self._blocks = blocks
        own = about or About()
        self._text = lru_cache(maxsize=256)(lambda listing: structured.text(listing, own.operator, own.portal))
        self._settings, self._now = settings, now
        self._notice = tuple(ipaddress.ip_address(item) for item in settings.notice_addresses)
        networks = [ipaddress.ip_network(item) for item in settings.clients]
        self._client = lru_cache(maxsize=65_536)(lambda client: _met(read_client(client, networks), meet))
        self._chain = Chain(settings, count.event, own) if rest is None else None
        last = rest or self._chain
        assert last is not None  # noqa: S101 - for mypy
        self._forward = Forwarder(
            AnswerCache(settings.cache_entries, settings.stale.total_seconds()),
            last,
            settings.max_inflight,
            clock,
            prefetch=settings.prefetch,
            count=count.event,
        )

    def close(self) -> None:
        """Ask nobody any more, and close what was open to upstreams."""
        if self._chain is not None:
            self._chain.close()

    def sharer(self, client: str) -> str | None:
        """Return under what the share of `client` (an IP address) is counted, or None where it is not served."""
        known = self._client(client)
        return None if known is None or self.policy().profile_of(known.address) is None else known.sharer

    def profile(self, client: str, way: Way = UDP) -> str | None:
        """Return the profile of `client` (an IP address) that came this way, or None where it is not served."""
        known = self._client(client)
        return None if known is None else _profile(known, self.policy(), way)

    def answer(self, packet: bytes, client: str, reply: Reply, way: Way = UDP) -> None:
        """Have `reply` called with the reply to `packet` of `client` (an IP address), which came this way.

        Never raises on what a client or an upstream sent, and lets nothing pass that could not be judged.
        """
        if len(packet) < wire.HEADER.size or packet[2] & 0x80:  # no header, or a reply: never answer an answer
            self.count.event("dns_malformed")
            reply(None, None)
            return
        self.count.event("dns_queries")
        try:
            said = self._begin(packet, client, reply, way)
        except Exception as exc:  # noqa: BLE001 - whatever went wrong, a question is refused and never let through
            said = answers.bare(packet, self._failed(exc)), None
        if said is not None:
            reply(*said)

    def _failed(self, exc: Exception) -> int:
        log.error("a DNS question could not be answered: %s", type(exc).__name__)  # no traceback: it may hold names
        self.count.event("dns_internal_error")
        return wire.SERVFAIL

    def _begin(self, packet: bytes, client: str, reply: Reply, way: Way) -> Said | None:
        """Return the reply where it is known at once; else it comes when an upstream has answered."""
        if packet[2] & 0x78:  # an opcode other than QUERY
            return answers.bare(packet, wire.NOTIMP), None
        known = self._client(client)
        policy = self.policy()  # one question, one policy, also where an upstream lets us wait
        profile = _profile(known, policy, way) if known is not None else None
        try:
            query = wire.read_stranger(packet) if profile is None else wire.read_query(packet)
        except wire.Malformed:
            self.count.event("dns_malformed")
            return answers.bare(packet, wire.FORMERR), None
        if known is None or profile is None:
            self.count.event("dns_refused_client")
            refused = answers.error(query, wire.REFUSED, answers.EDE_PROHIBITED)
            return answers.fitted(query, refused, tcp=way.stream), None
        self.cookies.give(query, known.address)
        refusal = _refusal(query)
        said = self._judged(query, known, profile, policy, way, reply) if refusal is None else (refusal, None)
        return (answers.padded(query, said[0]), said[1]) if said is not None and way.encrypted else said

    def _judged(
        self, query: Query, client: Client, profile: str, policy: Policy, way: Way, reply: Reply
    ) -> Said | None:
        name, qtype = names.judged_as(query.name), query.qtype
        own = verdict = self._judge(profile, policy, qtype, name)
        if qtype in (wire.SVCB, wire.HTTPS):
            verdict = strictest((own, self._judge(profile, policy, qtype, names.served(query.labels))))
        asked = _Asked(query, name, client, profile, policy, verdict, way, reply)
        if verdict.blocked:
            return self._block(asked, verdict, own=own.blocked)
        if not query.flags & wire.RD:  # what others asked before, and we remember, is no one's business
            return answers.error(query, wire.REFUSED, answers.EDE_NOT_AUTHORITATIVE), None
        if qtype == wire.ANY and not (self._chain is not None and self._chain.denies(query)):
            return self._say_little(asked)
        found = self._forward.known(query)
        if found is not None:
            self.count.event("dns_cache_hit")
            return self._say(asked, found.answer, found)
        try:
            self._forward.fetch(query, asked.client.sharer, partial(self._arrived, asked))
        except Overloaded:
            self.count.event("dns_overload")
            return answers.error(query, wire.SERVFAIL), None
        return None

    def _arrived(self, asked: _Asked, answer: Answer) -> None:
        try:
            reply, template = self._say(asked, answer, None)
            reply = asked.hidden(reply)
        except Exception as exc:  # noqa: BLE001 - as in `answer`
            reply, template = answers.error(asked.query, self._failed(exc)), None
        asked.reply(reply, template)

    def _say(self, asked: _Asked, answer: Answer, known: Known | None) -> Said:
        """Return the reply that an upstream's answer makes, once every name is judged that it leads to."""
        query = asked.query
        if answer.failed and answer.ede is not None:
            return self._fail(asked, answer, known)
        whole = asked.verdict
        if answer.chain:
            profile, policy = asked.profile, asked.policy
            further = (self._judge(profile, policy, query.qtype, name) for name in answer.chain)
            whole = strictest((whole, *further))
        if whole.blocked:
            return self._block(asked, whole, own=False)
        cell = self._count(whole)
        if whole.inspect and query.qtype in _SERVICES and self._settings.https_records != "pass":
            how = svcb.stripped if self._settings.https_records == "strip" else svcb.withheld
            try:
                answer = how(answer, query)
            except wire.Malformed:
                return answers.error(query, wire.SERVFAIL, answers.EDE_NO_AUTHORITY), None
        reply = answers.relayed(query, answer, known.age if known is not None else 0, self._longest(whole))
        fitting = answers.fitted(query, reply, tcp=asked.way.stream)
        if known is None:
            return fitting, None
        ttl_at = answer.ttl_at if fitting is reply else ()
        return fitting, self._template(fitting, asked, whole, cell, known, ttl_at)

    def _say_little(self, asked: _Asked) -> Said:
        """Return the answer to a question for all there is, which nobody is asked for (RFC 8482)."""
        cell = self._count(asked.verdict)
        reply = answers.hinfo(asked.query, self._longest(asked.verdict))
        fitting = answers.fitted(asked.query, reply, tcp=asked.way.stream)
        return fitting, self._template(fitting, asked, asked.verdict, cell, None, ())

    def _fail(self, asked: _Asked, answer: Answer, known: Known | None) -> Said:
        """Return that nobody answered. While upstreams are away all ask again and again, so it is remembered too."""
        self.count.event("dns_upstream_error")
        reply = answers.error(asked.query, answer.rcode, answer.ede)
        if known is None:
            return reply, None
        rest, kept = wire.HEADER.size + len(asked.query.question), asked.hidden(reply)
        until, cell = known.born + answer.lifetime, self.count.event_cell("dns_upstream_error")
        return reply, Template(kept[2:12], kept[rest:], cell=~cell, until=until)

    def _template(
        self, reply: bytes, asked: _Asked, verdict: Verdict, cell: int, known: Known | None, ttl_at: tuple[int, ...]
    ) -> Template:
        """Return from what a reply may be given again, where it may be."""
        now, until = self.clock(), inf
        if known is not None:  # the last tenth of its time is not remembered, so that it is noticed and asked anew
            until = due_at(known.answer, known.born) if self._settings.prefetch else known.born + known.answer.lifetime
        if verdict.valid_until is not None:  # that is a moment of another clock, which may be set
            left = (verdict.valid_until - self._now()).total_seconds()
            until = min(until, now + (left % 1 if left > 1 else left))  # TTLs end there, and sink as it comes nearer
            if known is not None:
                until = min(until, known.born + known.age + 1)
        rest, reply = wire.HEADER.size + len(asked.query.question), asked.hidden(reply)
        if known is None:
            return Template(reply[2:12], reply[rest:], cell=cell, until=until)
        return Template(
            reply[2:12], reply[rest:], cell=~cell, until=until, ttl_at=ttl_at, born=known.born, age=known.age
        )  # fmt: skip

    def _judge(self, profile: str, policy: Policy, qtype: int, name: str | None) -> Verdict:
        if name is None:
            return _NOTHING
        if (known := shared(profile, name, policy)) is not None:  # as of names nobody asked for before, nearly always
            return known
        return decide(Question(profile, name, _type_name(qtype)), policy, self._now())

    def _longest(self, verdict: Verdict) -> int:
        """Return for how many seconds a client may keep what `verdict` let pass: until that could change."""
        if verdict.valid_until is None:
            return LONGEST_TTL
        return max(1, int((verdict.valid_until - self._now()).total_seconds()))

    def _block(self, asked: _Asked, verdict: Verdict, *, own: bool) -> Said:
        """Return the answer to what is blocked; `own` tells that it is the name that was asked for."""
        cell = self._count(verdict)
        query, text = asked.query, b""
        if verdict.match is not None:
            self._blocks(asked.client.address, verdict.match)
            if asked.way.encrypted and query.asks_why and self._settings.encrypted.structured_errors:
                text = self._text(verdict.match.listing)
        reply = answers.blocked(query, verdict, self._settings.block_ttl, self._notice, asked=own, text=text)
        fitting = answers.fitted(query, reply, tcp=asked.way.stream)
        if not own:  # where an answer led to a blocked name, another may come to lead elsewhere
            return fitting, None
        template = self._template(fitting, asked, verdict, cell, None, ())
        fixed = asked.hidden(fitting) is fitting  # else its length is of this question alone
        if fixed and template.until == inf and template.size <= usual.SMALLEST - _LONGEST_QUESTION:
            template.kin = _kin(asked)
        return fitting, template

    def _count(self, verdict: Verdict) -> int:
        cell = self.count.cell("dns", verdict)
        self.count.add(cell, 1)
        return cell


def _refusal(query: Query) -> bytes | None:
    """Return the reply to what no client may ask, or None."""
    if query.edns is not None and query.edns.version:
        return answers.bad_version(query)
    if query.qclass != wire.IN or query.qtype in _REFUSED_TYPES:
        return answers.error(query, wire.REFUSED)
    return answers.error(query, wire.FORMERR) if query.qtype == wire.OPT else None


def _kin(asked: _Asked) -> Kin | None:
    """Return the names that are blocked as the one asked for is, for the sake of what is above them all."""
    name = asked.name or ""
    findings = asked.policy.bundle.host(name)
    kept = findings.verdicts.get(asked.profile)
    spelled = wire_name(name.encode().split(b".")) == asked.query.name.lower()
    shared = kept is not None and kept[1] is asked.verdict
    return Kin(name.partition(".")[2], findings) if spelled and shared else None


@lru_cache(maxsize=1024)
def _type_name(qtype: int) -> str:
    return str(QTYPE[qtype])


def _profile(client: Client, policy: Policy, way: Way) -> str | None:
    """Return the profile that counts: the one that was chosen, of a client that has one by its address."""
    own = policy.profile_of(client.address)
    return own if own is None or way.profile is None else way.profile


def _met(client: Client | None, meet: Callable[[str], None]) -> Client | None:
    """Return `client`, and tell `meet` where there is one."""
    if client is not None:
        meet(client.address)
    return client
