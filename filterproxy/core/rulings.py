"""From a client and what it asks for to a verdict: the way of both proxies to the decision."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from .decide import decide, strictest
from .model import Connection, Request, Verdict
from .policy import MEMO_CLIENTS, Policy
from .urls import Url


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, and the one of several names that it was given for: a canonical URL or a bare host."""

    verdict: Verdict
    subject: str = field(repr=False)
    host: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, before one policy at one moment."""

    address: str = field(repr=False)
    profile: str
    policy: Policy = field(repr=False)
    now: datetime

    def request(self, method: str, urls: Iterable[Url]) -> Ruling:
        """Judge a request under every URL that its names give."""
        return _strictest(
            (decide(Request(self.profile, method, url), self.policy, self.now), url.text, url.host) for url in urls
        )

    def connection(self, hosts: Iterable[str]) -> Ruling:
        """Judge a connection of which only these hosts are known."""
        return _strictest((decide(Connection(self.profile, host), self.policy, self.now), host, host) for host in hosts)


class Door:
    """Says who is served: clients within the gateway's networks that a profile holds."""

    def __init__(self, networks: Iterable[str], policy: Callable[[], Policy], now: Callable[[], datetime]) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in networks)
        self._policy, self._now = policy, now
        self._within = lru_cache(maxsize=MEMO_CLIENTS)(self._is_within)

    def admit(self, address: str) -> Client | None:
        """Return the client of a `plain` address, or None where it is not served."""
        policy = self._policy()
        profile = policy.profile_of(address) if self._within(address) else None
        return None if profile is None else Client(address, profile, policy, self._now())

    def _is_within(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._networks if network.version == found.version)


@lru_cache(maxsize=MEMO_CLIENTS)
def plain(address: str) -> str:
    """Return an address of the kernel's without its zone, an IPv4 one as IPv4. Raises ValueError where it is none."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if found.version == 6 else None
    return str(mapped or found)


def _strictest(judged: Iterable[tuple[Verdict, str, str]]) -> Ruling:
    every = list(judged)
    worst = strictest(verdict for verdict, _, _ in every)
    for verdict, subject, host in every:
        if verdict is worst:
            return Ruling(worst, subject, host)
    # It joins several: the name is the first that did as much.
    for verdict, subject, host in every:
        if verdict.action is worst.action and verdict.match is worst.match:
            return Ruling(worst, subject, host)
    raise AssertionError("the strictest verdict is none of those judged")
