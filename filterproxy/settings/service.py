"""The tables of [dns] that say who is served how: encrypted, past whom, how much, and zones for other resolvers."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from filterproxy.core.names import is_address

from .base import Duration, FilePath, Network, SocketAddress, Table, host_name


def _name(value: str) -> str:
    found = host_name(value)
    if is_address(found) or any(len(label) > 63 for label in found.split(".")):
        raise ValueError("write a name such as dns.operator.example")
    return found


Name = Annotated[str, AfterValidator(_name)]
"""A host name that is no address."""


class Encrypted(Table):
    """DNS over TLS and over HTTPS."""

    name: Name | None = None
    """The name that clients know this resolver by; the certificate is for it. A profile with `choose` is reached as
    `PROFILE.NAME` over TLS, and as `PATH/PROFILE` over HTTPS."""
    dot: tuple[SocketAddress, ...] = ()
    """Where questions over TLS are taken (RFC 7858), port 853 as a rule."""
    doh: tuple[SocketAddress, ...] = ()
    """Where questions over HTTPS are taken (RFC 8484, HTTP/2), port 443 as a rule."""
    path: str = Field(default="/dns-query", pattern=r"^(/[A-Za-z0-9_.~-]+)+$", max_length=200)
    """The path of questions over HTTPS."""
    certificate: FilePath | None = None
    """The certificate and its chain (PEM). Read again whenever the file changes; connections stay."""
    key: FilePath | None = None
    """Its private key (PEM), which only its owner, the product's user, may read."""
    connections: int = Field(default=1000, ge=1, le=100_000)
    """Connections at once for each worker, an eighth of them of one client; for more, the one silent longest is
    closed."""
    idle: Duration = Field(default=timedelta(seconds=30), gt=timedelta())
    """How long a connection may be silent."""
    discovery: bool = True
    """Whether clients that ask over plain DNS are told of it (RFC 9462), and all what this resolver does (RFC 9606)."""
    structured_errors: bool = False
    """Whether a client that asked for extended errors is told, where an answer is blocked, who to turn to
    (draft-ietf-dnsop-structured-dns-error). Never which rule."""

    @property
    def enabled(self) -> bool:
        """Whether anything is served so."""
        return bool(self.dot or self.doh)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.enabled and not (self.name and self.certificate and self.key):
            raise ValueError("dot and doh need name, certificate and key as well")
        return self


class Bypass(Table):
    """Ways past this resolver that software takes by itself, and that a resolver may close. They stop accidents, not
    people who are determined.
    """

    canary: bool = True
    """Whether `use-application-dns.net` is denied, so that browsers do not turn to another resolver by themselves."""
    private_relay: bool = True
    """Whether `mask.icloud.com` and `mask-h2.icloud.com` are denied, so that devices tell their users to turn the
    relay off for this network."""


class Limits(Table):
    """How much one network of clients may ask."""

    rate: int = Field(default=1000, ge=0, le=10_000_000)
    """Questions a second over UDP of one network of clients; beyond, those are told to come over TCP or with a cookie
    (RFC 7873). 0: any number."""
    burst: int = Field(default=5000, ge=1, le=100_000_000)
    """Questions that may come at once before that counts."""
    ipv4_prefix: int = Field(default=32, ge=8, le=32)
    """Bits of an IPv4 address that make a network of clients."""
    ipv6_prefix: int = Field(default=56, ge=16, le=128)
    """The same of an IPv6 address."""
    enumeration: int = Field(default=200, ge=0, le=100_000)
    """Distinct listed entries that one network of clients may meet in an hour before an alarm is raised, for it may be
    finding out what is listed. 0: no alarm."""


class Receiver(Table):
    """A resolver that takes lists as zones."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """A short name; it stands in the log of what was transferred."""
    networks: tuple[Network, ...] = Field(min_length=1, max_length=100)
    """Where it may come from."""
    key_name: Name
    """The name of its TSIG key (RFC 8945). No two receivers share one."""
    secret: FilePath
    """A file with that key in base64, 16 bytes at least, which only its owner, the product's user, may read."""
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    """The algorithm of that key."""
    notify: tuple[SocketAddress, ...] = Field(default=(), max_length=10)
    """Where it is told at once that a zone has changed (RFC 1996)."""

    @field_validator("networks")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            if ipaddress.ip_network(item).prefixlen == 0:
                raise ValueError("write the receiver's own network, not the whole Internet")
        return value


class Transfer(Table):
    """Lists as response policy zones for resolvers that an operator already has: over TLS with TSIG (RFC 9103)."""

    listen: tuple[SocketAddress, ...] = ()
    """Where zones are given, port 853 as a rule. Empty: nowhere."""
    zone: Name = "rpz.filterproxy.example"
    """What the names of zones end with: list `l` is the zone `l.` and this."""
    certificate: FilePath | None = None
    """The certificate and its chain (PEM). Read again whenever the file changes."""
    key: FilePath | None = None
    """Its private key (PEM), which only its owner, the product's user, may read."""
    connections: int = Field(default=32, ge=1, le=1000)
    """Connections at once."""
    receivers: tuple[Receiver, ...] = Field(default=(), max_length=100)
    """Who may take zones: `{ id = "resolver-1", networks = ["192.0.2.53/32"], key_name = "resolver-1.example",
    secret = "resolver-1.tsig" }`, or a table `[[dns.transfer.receivers]]` for each. A confidential list goes only to
    those that it names in `rpz_receivers`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.listen and not (self.certificate and self.key):
            raise ValueError("listen needs certificate and key as well")
        for what, names in (
            ("id", [item.id for item in self.receivers]),
            ("key_name", [item.key_name for item in self.receivers]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"receivers: the {what} {min(twice)} stands twice")
        return self
