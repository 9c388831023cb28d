"""The running product as a self-test meets it: what is in force, what serves here, and as whom it sees us."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from filterproxy import app
from filterproxy.core.bundle import CANARY
from filterproxy.core.model import Listing
from filterproxy.core.policy import Policy
from filterproxy.errors import ControlError
from filterproxy.runtime import client
from filterproxy.settings import Settings

from .selftest_wire import source_of

Counted = dict[tuple[str, str, str], int]
"""Verdicts by listing, frontend and outcome."""


@dataclass(frozen=True, slots=True)
class Door:
    """A frontend: where it is asked and as whom. `closed` says why it cannot be, else it is empty."""

    name: str
    addresses: tuple[str, ...] = ()
    client: str = ""
    profile: str = ""
    closed: str = ""

    def shut_to(self, listing: Listing, policy: Policy) -> str:
        """Return why nothing of `listing` can be asked here; empty where it can."""
        if self.closed:
            return self.closed
        if not policy.view(self.profile).profile.subscribes(listing):
            return f"this machine is of the profile {self.profile}, which does not subscribe to the list"
        return ""


@dataclass(frozen=True, slots=True)
class Product:
    """What a self-test asks."""

    settings: Settings
    policy: Policy = field(repr=False)
    status: dict[str, Any] = field(repr=False)
    lists: dict[str, dict[str, Any]] = field(repr=False)
    """How each list stands, as `lists status` tells it; empty where no control process runs."""
    dns: Door
    http: Door
    now: datetime

    @classmethod
    def running(cls, settings: Settings) -> Product:
        """Return the product that runs on the state folder.

        Raises ControlError where none does, or another one, or where nothing of it can be asked from here.
        """
        state = settings.runtime.state
        status = client.ask(state, {"do": "status"})
        policy = app.policy_in_force(settings)
        if not policy.generation:
            raise ControlError("what runs there has other lists than this file: restart it, then ask again")
        try:
            lists = {row["id"]: row for row in client.ask(state, {"do": "lists"})["lists"]}
        except ControlError:  # an edge by itself
            lists = {}
        roles = {process["role"] for process in status["processes"]}
        dns, http = _dns(settings, policy, roles), _http(settings, policy, roles)
        if dns.closed and http.closed:  # a result that shows nothing must not end well
            raise ControlError(f"there is nothing to ask here: {dns.closed}; {http.closed}")
        return cls(settings, policy, status, lists, dns, http, datetime.now(UTC))

    def counted(self) -> Counted:
        """Return what all processes have counted."""
        rows = client.ask(self.settings.runtime.state, {"do": "status"})["counts"]["verdicts"]
        return {(name, frontend, outcome): number for name, frontend, outcome, number in rows}

    def has_canaries(self, list_id: str) -> bool:
        """Tell whether the bundle in force holds canaries of the list."""
        return any(segment.name == f"{CANARY}{list_id}" for segment in self.policy.bundle.segments)

    def loaded_at(self, list_id: str) -> datetime | None:
        """Return when the list in force was last read."""
        found = (item.loaded_at for item in self.policy.bundle.segments if item.name == f"list:{list_id}")
        return next(found, None)


def _dns(settings: Settings, policy: Policy, roles: set[str]) -> Door:
    if not settings.dns.enabled or not settings.dns.listen:
        return Door("dns", closed="DNS is not served: dns.enabled")
    if "edge" not in roles:
        return Door("dns", closed="no DNS process runs here")
    return _door("dns", settings.dns.listen, settings.dns.clients, policy)


def _http(settings: Settings, policy: Policy, roles: set[str]) -> Door:
    if not settings.gateway.enabled:
        return Door("http", closed="no proxy is served: gateway.enabled")
    if not roles & {"edge", "inspector"}:
        return Door("http", closed="no proxy process runs here")
    return _door("http", (settings.gateway.listen,), settings.gateway.clients, policy)


def _door(name: str, addresses: tuple[str, ...], served: Sequence[str], policy: Policy) -> Door:
    try:
        asks_as = source_of(addresses[0])
    except OSError as exc:
        return Door(name, closed=f"{addresses[0]} cannot be reached ({exc.strerror})")
    found = ipaddress.ip_address(asks_as.partition("%")[0])
    networks = map(ipaddress.ip_network, served)
    profile = policy.profile_of(asks_as)
    if profile is None or not any(found in network for network in networks if network.version == found.version):
        return Door(name, addresses, asks_as, closed=f"this machine ({asks_as}) is not served: clients, profiles")
    return Door(name, addresses, asks_as, profile)
