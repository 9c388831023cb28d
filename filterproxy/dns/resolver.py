"""A question in, an answer out. No rule of blocking is here: `decide` holds them all, this asks it and says so."""

from __future__ import annotations

import ipaddress
import logging
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dnslib import QTYPE

from filterproxy.core.decide import decide, strictest
from filterproxy.core.model import Question, Verdict
from filterproxy.settings.base import split_address

from . import answers, names, wire
from .cache import LONGEST_TTL, Answer, AnswerCache
from .clients import Client, read_client
from .forward import Asks, Forwarder, Overloaded
from .resolvconf import nameservers
from .upstream import Upstreams

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterproxy.core.policy import Policy
    from filterproxy.settings.tables import Dns

    from .wire import Query

_REFUSED_TYPES = frozenset((249, 250, 251, 252))
"""TKEY, TSIG, IXFR, AXFR: no question that a client of ours may put."""

log = logging.getLogger(__name__)


class Count(Protocol):
    """Who counts what happened."""

    def verdict(self, frontend: str, verdict: Verdict) -> None: ...
    def event(self, name: str) -> None: ...


class Resolver:
    """Answers one DNS message at a time; it owns no socket of a client's. All calls are made on one event loop."""

    def __init__(
        self,
        settings: Dns,
        policy: Callable[[], Policy],
        count: Count,
        now: Callable[[], datetime],
        *,
        upstreams: Asks | None = None,
        clock: Callable[[], float] = time.monotonic,
        meet: Callable[[str], None] = lambda _: None,
    ) -> None:
        # `meet` is told of each client that is served, once for as long as it is remembered.
        self.count = count
        self._settings, self._policy, self._now = settings, policy, now
        self._notice = tuple(ipaddress.ip_address(item) for item in settings.notice_addresses)
        networks = [ipaddress.ip_network(item) for item in settings.clients]
        self._client = lru_cache(maxsize=65_536)(lambda client: _met(read_client(client, networks), meet))
        cache = AnswerCache(settings.cache_entries)
        self._forward = Forwarder(cache, upstreams or _upstreams(settings), settings.max_inflight, clock)

    def sharer(self, client: str) -> str | None:
        """Return under what the share of `client` (an IP address) is counted, or None where it is not served."""
        known = self._client(client)
        return None if known is None or self._policy().profile_of(known.address) is None else known.sharer

    async def answer(self, packet: bytes, client: str, tcp: bool = False) -> bytes | None:  # noqa: FBT001, FBT002
        """Return the reply to `packet` of `client` (an IP address), or None where silence is the answer.

        Never raises on what a client or an upstream sent, and lets nothing pass that could not be judged.
        """
        if len(packet) < wire.HEADER.size or packet[2] & 0x80:  # no header, or a reply: never answer an answer
            self.count.event("dns_malformed")
            return None
        self.count.event("dns_queries")
        try:
            return await self._reply(packet, client, tcp=tcp)
        except Exception as exc:  # noqa: BLE001 - whatever went wrong, a question is refused and never let through
            log.error("a DNS question could not be answered: %s", type(exc).__name__)  # no traceback: it may hold names
            self.count.event("dns_internal_error")
            return answers.bare(packet, wire.SERVFAIL)

    async def _reply(self, packet: bytes, client: str, *, tcp: bool) -> bytes:
        if packet[2] & 0x78:  # an opcode other than QUERY
            return answers.bare(packet, wire.NOTIMP)
        known = self._client(client)
        policy = self._policy()  # one question, one policy, also where an upstream lets us wait
        profile = policy.profile_of(known.address) if known is not None else None
        try:
            query = wire.read_stranger(packet) if profile is None else wire.read_query(packet)
        except wire.Malformed:
            self.count.event("dns_malformed")
            return answers.bare(packet, wire.FORMERR)
        if known is None or profile is None:
            self.count.event("dns_refused_client")
            reply = answers.error(query, wire.REFUSED, answers.EDE_PROHIBITED)
        else:
            reply = await self._resolve(query, known, profile, policy)
        return answers.fitted(query, reply, tcp=tcp)

    async def _resolve(self, query: Query, client: Client, profile: str, policy: Policy) -> bytes:
        if query.edns is not None and query.edns.version > 0:
            return answers.bad_version(query)
        if query.qclass != wire.IN or query.qtype in _REFUSED_TYPES:
            return answers.error(query, wire.REFUSED)
        if query.qtype == wire.OPT:
            return answers.error(query, wire.FORMERR)
        rtype = QTYPE[query.qtype]

        def judge(name: str | None) -> Verdict:
            return Verdict() if name is None else decide(Question(profile, name, rtype), policy, self._now())

        own = verdict = judge(names.judged(query.labels))
        if query.qtype in (wire.SVCB, wire.HTTPS):
            verdict = strictest((own, judge(names.served(query.labels))))
        if verdict.blocked:
            return self._block(query, verdict, asked=own.blocked)
        if not query.flags & wire.RD:  # what others asked before, and we remember, is no one's business
            return answers.error(query, wire.REFUSED, answers.EDE_NOT_AUTHORITATIVE)
        return await self._relay(query, client, verdict, judge)

    async def _relay(self, query: Query, client: Client, verdict: Verdict, judge: Callable[[str], Verdict]) -> bytes:
        try:
            answer, age = self._known(query) or (await self._forward.fetch(query, client.sharer), 0)
        except Overloaded:
            self.count.event("dns_overload")
            return answers.error(query, wire.SERVFAIL)
        if answer.ede is not None:
            self.count.event("dns_upstream_error")
            return answers.error(query, answer.rcode, answer.ede)
        whole = strictest((verdict, *map(judge, answer.chain)))
        if whole.blocked:
            return self._block(query, whole, asked=False)
        self.count.verdict("dns", whole)
        return answers.relayed(query, answer, age, self._longest(whole))

    def _known(self, query: Query) -> tuple[Answer, int] | None:
        known = self._forward.known(query)
        if known is not None:
            self.count.event("dns_cache_hit")
        return known

    def _longest(self, verdict: Verdict) -> int:
        """Return for how many seconds a client may keep what `verdict` let pass: until that could change."""
        if verdict.valid_until is None:
            return LONGEST_TTL
        return max(1, int((verdict.valid_until - self._now()).total_seconds()))

    def _block(self, query: Query, verdict: Verdict, *, asked: bool) -> bytes:
        self.count.verdict("dns", verdict)
        return answers.blocked(query, verdict, self._settings.block_ttl, self._notice, asked=asked)


def _met(client: Client | None, meet: Callable[[str], None]) -> Client | None:
    """Return `client`, and tell `meet` where there is one."""
    if client is not None:
        meet(client.address)
    return client


def _upstreams(settings: Dns) -> Upstreams:
    addresses = [split_address(item) for item in settings.upstreams]
    if not addresses:
        try:
            text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        addresses = nameservers(text, settings.listen)
    if not addresses:
        log.error("no DNS upstream is configured or known to this system: only what is blocked will be answered")
    return Upstreams(addresses, settings.timeout.total_seconds())
