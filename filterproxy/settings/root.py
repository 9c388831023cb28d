"""The whole configuration, and what must agree between its tables."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from filterproxy.core.model import Listing

from .base import Table, split_address
from .dns import Dns, split_upstream
from .gateway import Gateway
from .lists import List
from .tables import (
    Alerts,
    Console,
    Inspection,
    Keys,
    Log,
    Mail,
    Metrics,
    Operator,
    Portal,
    Profile,
    Runtime,
    Store,
)

_LONGEST_NAME: Final = 253
"""Characters of a name in DNS."""


class Settings(Table):
    """A configuration file."""

    operator: Operator = Operator()
    runtime: Runtime = Runtime()
    keys: Keys = Keys()
    dns: Dns = Dns()
    gateway: Gateway = Gateway()
    inspection: Inspection = Inspection()
    portal: Portal = Portal()
    console: Console = Console()
    metrics: Metrics = Metrics()
    log: Log = Log()
    store: Store = Store()
    alerts: Alerts = Alerts()
    mail: Mail = Mail()
    lists: tuple[List, ...] = Field(default=(), max_length=200)
    profiles: tuple[Profile, ...] = Field(default=(), max_length=10_000)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for what, ids in (
            ("lists", [item.id for item in self.lists]),
            ("profiles", [item.id for item in self.profiles]),
        ):
            twice = {name for name in ids if ids.count(name) > 1} if len(ids) != len(set(ids)) else set()
            if twice:
                raise ValueError(f"{what}: the id {min(twice)} stands twice")
        known = {item.id for item in self.lists}
        owner: dict[str, str] = {}
        for profile in self.profiles:
            for name in profile.lists or ():
                if name not in known:
                    raise ValueError(f"profiles.{profile.id}.lists: there is no list {name}")
            for network in profile.networks:
                if owner.setdefault(network, profile.id) != profile.id:
                    raise ValueError(f"profiles.{profile.id}.networks: {network} belongs to {owner[network]} already")
        return self

    @model_validator(mode="after")
    def _asks_others(self) -> Self:
        asked = {"dns.upstreams": self.dns.upstreams}
        asked |= {f"dns.forward.{number}.upstreams": item.upstreams for number, item in enumerate(self.dns.forward)}
        for key, upstreams in asked.items() if self.dns.enabled else ():
            for upstream in upstreams:
                if any(_reaches(upstream, listen) for listen in self.dns.listen):
                    raise ValueError(f"{key}: {upstream} is where dns.listen serves: it would ask itself for ever")
        return self

    @model_validator(mode="after")
    def _gives_zones(self) -> Self:
        known = {item.id for item in self.dns.transfer.receivers}
        for table in self.lists:
            if table.rpz and len(f"{table.id}.{self.dns.transfer.zone}") > _LONGEST_NAME:
                raise ValueError(f"dns.transfer.zone: {table.id} before it makes a name that is too long")
            for name in table.rpz_receivers:
                if name not in known:
                    raise ValueError(f"lists.{table.id}.rpz_receivers: dns.transfer has no receiver {name}")
        return self

    @model_validator(mode="after")
    def _can_mail(self) -> Self:
        if self.alerts.email and not (self.mail.server and self.mail.sender):
            raise ValueError("alerts.email: needs mail.server and mail.sender")
        return self

    @property
    def listings(self) -> tuple[Listing, ...]:
        """The lists, in the order of the configuration."""
        return tuple(item.listing for item in self.lists)

    @property
    def keys_folder(self) -> Path:
        """Where the keys are."""
        return self.keys.folder or self.runtime.state / "keys"

    @property
    def store_url(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.store.url or f"sqlite:///{quote(str(self.runtime.state / 'filterproxy.db'))}"


def _reaches(server: str, listen: str) -> bool:
    """Tell whether a question to `server` comes in at `listen`; of all that `0.0.0.0` and `::` take, on loopback."""
    way, there, port, *_ = split_upstream(server)
    here, own_port = split_address(listen)
    asked, taken = ipaddress.ip_address(there), ipaddress.ip_address(here)
    if isinstance(asked, ipaddress.IPv6Address):
        asked = asked.ipv4_mapped or asked
    if port != own_port or asked.version != taken.version or way in ("tls", "https"):
        return False
    if asked.is_unspecified:  # what is sent there arrives on loopback
        return taken.is_unspecified or taken.is_loopback
    return asked == taken or (taken.is_unspecified and asked.is_loopback)
