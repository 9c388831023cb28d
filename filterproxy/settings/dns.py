"""The [dns] table: where questions are taken, who answers what is not blocked, and how."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from filterproxy.core.names import is_address

from .base import PRIVATE, Duration, FilePath, Served, SocketAddress, Table, host_name, socket_address, split_address
from .service import Bypass, Encrypted, Limits, Transfer

_LABEL = 63
DNS64_PREFIXES = (32, 40, 48, 56, 64, 96)


class UpstreamAddress(NamedTuple):
    """An upstream as it is reached: `way` is udp (and TCP where an answer is cut), tcp, tls (DoT) or https (DoH)."""

    way: str
    address: str
    port: int
    name: str = ""
    """What its certificate must be for; empty: its address."""
    path: str = ""
    """The path of the URL that is asked, for https."""


def split_upstream(value: str) -> UpstreamAddress:
    """Return an upstream in its parts. Raises ValueError."""
    way, slashes, rest = value.partition("://")
    if not slashes:
        return UpstreamAddress("udp", *split_address(socket_address(value)))
    address, _, name = rest.partition("#")
    if way in ("udp", "tcp") and not name:
        return UpstreamAddress(way, *split_address(socket_address(address)))
    if way == "tls":
        return UpstreamAddress("tls", *split_address(socket_address(address)), name=host_name(name) if name else "")
    if way == "https":
        return _https(value)
    raise ValueError("write ADDRESS:PORT, tcp://ADDRESS:PORT, tls://ADDRESS:PORT#NAME or https://NAME/PATH#ADDRESS")


def _https(value: str) -> UpstreamAddress:
    parts = urlsplit(value)
    port = parts.port or 443
    name = host_name(parts.hostname or "")
    if parts.username or parts.query or not parts.path.startswith("/") or not value.isascii() or " " in value:
        raise ValueError("write https://NAME/PATH#ADDRESS, such as https://dns.example/dns-query#192.0.2.53")
    try:
        address = str(ipaddress.ip_address((parts.fragment or name).strip("[]")))
    except ValueError:
        raise ValueError("an https upstream needs its address behind #: there is nobody yet to ask for it") from None
    return UpstreamAddress("https", address, port, name.strip("[]"), parts.path)


def _upstream(value: str) -> str:
    split_upstream(value)
    return value


Upstream = Annotated[str, AfterValidator(_upstream)]
"""An upstream: `ADDRESS:PORT`, `tcp://ADDRESS:PORT`, `tls://ADDRESS:PORT#NAME` or `https://NAME/PATH#ADDRESS`."""


def _zone(value: str) -> str:
    found = host_name(value)
    if is_address(found):
        raise ValueError("write a name: an address has no zone")
    if any(len(label) > _LABEL for label in found.split(".")):
        raise ValueError(f"a label of a name has {_LABEL} characters at most")
    return found


Zone = Annotated[str, AfterValidator(_zone)]
"""A name that stands for itself and all below it."""


class Forward(Table):
    """A zone whose questions go to upstreams of its own, such as a company's internal names."""

    zone: Zone
    """The zone; the longest that holds a name counts."""
    upstreams: tuple[Upstream, ...] = Field(min_length=1, max_length=20)
    """Who answers for it, written as `upstreams` above. Private addresses are not withheld here."""


class Record(Table):
    """A record of your own, answered without asking anybody. What a list blocks stays blocked."""

    name: Zone
    """The name. It has no other records then: a question for another type is answered with none."""
    type: Literal["A", "AAAA", "CNAME", "PTR", "TXT", "MX", "SRV"] = "A"
    """A, AAAA, CNAME, PTR, TXT, MX or SRV."""
    value: str = Field(min_length=1, max_length=2000)
    """An address, a name, a text; for MX and SRV numbers and a name as in a zone file."""
    ttl: int = Field(default=300, ge=0, le=86_400)
    """Seconds that it may be kept."""


class Dns(Table):
    """The DNS filter."""

    enabled: bool = True
    """Whether DNS is served at all."""
    listen: tuple[SocketAddress, ...] = ("127.0.0.1:5354",)
    """Where questions are taken, over UDP and TCP."""
    upstreams: tuple[Upstream, ...] = Field(default=(), max_length=20)
    """The resolvers that answer what is not blocked: `ADDRESS:PORT` over UDP and TCP, `tcp://ADDRESS:PORT`,
    `tls://ADDRESS:PORT#NAME` (DoT) or `https://NAME/PATH#ADDRESS` (DoH). The fastest is asked first. Empty: those of
    /etc/resolv.conf."""
    upstream_ca: FilePath | None = None
    """A PEM file of the authorities that upstreams over TLS are checked against. Unset: the system's."""
    clients: Served = PRIVATE
    """Who is served; never the whole Internet. Others get REFUSED with EDE 18."""
    notice_addresses: tuple[str, ...] = ("127.0.0.1",)
    """The addresses that lists with `dns = "notice"` answer with: where the portal listens on port 80."""
    block_ttl: int = Field(default=60, ge=30, le=60)
    """Seconds that a blocked answer may be kept."""
    cache_entries: int = Field(default=100_000, ge=0, le=10_000_000)
    """How many upstream answers are remembered."""
    stale: Duration = timedelta(days=1)
    """How long an answer is kept beyond its time, to be given where no upstream answers (RFC 8767). 0: never."""
    prefetch: bool = True
    """Whether a name that is asked for often is asked anew shortly before its answer ends."""
    timeout: Duration = Field(default=timedelta(seconds=2), gt=timedelta())
    """How long one upstream may take; it is asked again after a third of that, and another beside it."""
    max_inflight: int = Field(default=2000, ge=1, le=100_000)
    """Questions that may wait for upstreams at once, an eighth of them of one client; more are answered SERVFAIL."""
    tcp_connections: int = Field(default=200, ge=1, le=100_000)
    """TCP connections at once, an eighth of them of one client; for more, the one silent longest is closed."""
    tcp_idle: Duration = timedelta(seconds=10)
    """How long a TCP connection may be silent (RFC 7766)."""
    dns64: str = ""
    """A prefix under which names without IPv6 addresses get some made of their IPv4 addresses (RFC 6147), such as
    64:ff9b::/96. Empty: none."""
    rebinding: bool = True
    """Whether private addresses in answers of upstreams are withheld, so that no web site reaches into a home."""
    rebinding_allow: tuple[Zone, ...] = Field(default=(), max_length=10_000)
    """Names, with all below them, that may have private addresses. Those of `dns.forward` always may."""
    https_records: Literal["strip", "withhold", "pass"] = "strip"
    """What becomes of HTTPS and SVCB records of hosts that the gateway is to see: strip takes `ech` and HTTP/3 out,
    withhold answers that there are none, pass leaves them, so that encrypted names and QUIC go past the gateway."""
    forward: tuple[Forward, ...] = Field(default=(), max_length=1000)
    """Zones whose questions go to upstreams of their own, written like those above, such as a company's internal
    names: `{ zone = "corp.example", upstreams = ["10.0.0.53:53"] }`, or a table `[[dns.forward]]` for each."""
    records: tuple[Record, ...] = Field(default=(), max_length=10_000)
    """Records of your own, answered without asking anybody; what a list blocks stays blocked:
    `{ name = "router.home.example", type = "A", value = "192.168.1.1", ttl = 300 }`, or a table `[[dns.records]]` for
    each. The type is A, AAAA, CNAME, PTR, TXT, MX or SRV; A and 300 seconds unless it says."""

    encrypted: Encrypted = Encrypted()
    bypass: Bypass = Bypass()
    limits: Limits = Limits()
    transfer: Transfer = Transfer()

    @field_validator("notice_addresses")
    @classmethod
    def _plain(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_address(item)) for item in value)

    @field_validator("dns64")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not value:
            return value
        try:
            network = ipaddress.IPv6Network(value)
        except ValueError:
            raise ValueError("write an IPv6 prefix such as 64:ff9b::/96") from None
        if network.prefixlen not in DNS64_PREFIXES or int(network.network_address) >> 56 & 0xFF:
            raise ValueError("the prefix has 32, 40, 48, 56, 64 or 96 bits, and bits 64 to 71 are zero (RFC 6052)")
        return str(network)

    @model_validator(mode="after")
    def _once(self) -> Self:
        zones = [item.zone for item in self.forward]
        if twice := {zone for zone in zones if zones.count(zone) > 1}:
            raise ValueError(f"dns.forward: {min(twice)} stands there twice")
        return self
