"""The smaller tables, one class each."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import (
    Duration,
    EmailAddress,
    FilePath,
    HostName,
    Network,
    SocketAddress,
    Table,
    email_address,
    host_name,
    is_loopback,
)


class HelpLink(Table):
    """Where someone who met a block finds help, such as a helpline for children."""

    name: str = Field(min_length=1, max_length=120)
    """What stands on the page."""
    url: str = Field(pattern=r"^(https?://|tel:|mailto:)\S+$", max_length=500)
    """A web address, or `tel:` or `mailto:`."""


class Operator(Table):
    """Who runs this filter and answers for it. It stands on every notice and on the public record."""

    name: str = Field(default="This network", min_length=1, max_length=120)
    """The name that people know you by."""
    contact: str = ""
    """An e-mail address or telephone number for people who cannot use the form."""
    url: str = ""
    """Your web site. It is the `blocked-by` link of RFC 7725 where set, else the portal is."""
    country: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    """Two letters (ISO 3166-1)."""
    territory: tuple[str, ...] = ()
    """The territories this deployment serves; an entry that names territories counts only in these."""
    domains: tuple[str, ...] = Field(default=(), max_length=10_000)
    """Your own domains: no list blocks one before people have decided it. The portal's are always among them."""
    top_sites: FilePath | None = None
    """A file of sites that no list blocks whole before people have decided it: a name a line, or `rank,name`."""
    help: tuple[HelpLink, ...] = Field(
        default=(
            HelpLink(name="Find a helpline for children", url="https://childhelplineinternational.org/helplines/"),
            HelpLink(name="Report harm to a child to a hotline", url="https://www.inhope.org/"),
        ),
        max_length=10,
    )
    """Links to help that stand on every notice."""

    @field_validator("territory")
    @classmethod
    def _upper(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(territory.upper() for territory in value)


class Runtime(Table):
    """Processes and where they keep their state."""

    state: FilePath = Path("state")
    """The state folder (0700): keys, bundle, journal, database, control socket."""
    user: str = ""
    """The Unix user to become after binding, when started as root. Empty: stay who we are."""
    workers: int = Field(default=1, ge=1, le=64)
    """Edge workers."""
    drain: Duration = timedelta(seconds=5)
    """How long a stopping process may finish what it has begun."""
    bundle_expires: Duration = Field(default=timedelta(days=30), ge=timedelta(hours=1))
    """How long a bundle that is not made anew is taken from the disk at a start; every refresh makes one anew."""


class Keys(Table):
    """Where the keys are."""

    folder: FilePath | None = None
    """The key folder (0700). Unset: `keys` below the state folder."""


class Inspection(Table):
    """The look inside TLS by mitmproxy. Without it, https is seen by host only."""

    enabled: bool = True
    """Whether an inspector runs. The gateway sends it only what is to be looked into."""
    tls: Literal["listed", "all", "none"] = "listed"
    """Which https hosts are opened: those where URLs of lists with `https = "inspect"` live, all, or none."""
    body_limit: int = Field(default=0, ge=0)
    """Bytes of a body kept in memory before it is streamed. 0 streams at once."""
    upstream_ca: FilePath | None = None
    """A PEM file of the authorities that origins are checked against. Unset: those that browsers trust (certifi)."""


class Portal(Table):
    """The public pages: notice, appeal, status, transparency."""

    enabled: bool = True
    """Whether the public pages are served."""
    listen: SocketAddress = "127.0.0.1:8000"
    """Where the public pages are served, in plain HTTP."""
    url: str = "http://127.0.0.1:8000"
    """The origin under which people reach the portal; no path, no final slash."""
    names: tuple[str, ...] = ()
    """Further hosts that are the portal's own. A request for any other host is answered with the notice."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of your own TLS terminators: there the last hop of X-Forwarded-For is the client, and nothing else of
    what was forwarded is believed. Without it all who come through one count as one client."""
    captive_api: bool = False
    """Whether `/captive-portal/api` tells devices that nobody is held back, and where the notice is (RFC 8908)."""

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports at which people reach the portal; none where it is not served."""
        from filterproxy.core import names
        from filterproxy.core.authority import place
        from filterproxy.core.urls import canonical

        url = canonical(self.url) if self.enabled else None
        if url is None:
            return ()
        host, port = place(url)
        others = [names.host(name) for name in self.names]
        return ((host, port), *((other, port) for other in others if other))

    @field_validator("url")
    @classmethod
    def _origin(cls, value: str) -> str:
        from urllib.parse import urlsplit

        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/") or parts.query:
            raise ValueError("write an origin such as https://notice.example")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _over_tls(self) -> Self:
        if self.captive_api and not self.url.startswith("https://"):
            raise ValueError("captive_api needs an https url: devices ask over TLS only (RFC 8908)")
        return self


class Console(Table):
    """The operator's pages, on a listener of their own."""

    enabled: bool = True
    """Whether the operator's pages are served."""
    listen: SocketAddress = "127.0.0.1:8001"
    """Where the operator's pages are served: never a public address."""


class Metrics(Table):
    """Prometheus."""

    enabled: bool = True
    """Whether metrics are exposed."""
    listen: SocketAddress = "127.0.0.1:9464"
    """Where Prometheus finds `/metrics`."""


class Log(Table):
    """What is written to standard error. No address, URL or client is ever part of it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written: debug, info, warning or error."""
    format: Literal["text", "json"] = "text"
    """text for people, json for machines: one object a line."""


class Store(Table):
    """The database of appeals, overrides and totals."""

    url: str = ""
    """An SQLAlchemy URL (`postgresql+psycopg://…`). Empty: SQLite in the state folder."""


class Alerts(Table):
    """What raises an alarm."""

    overdue: Duration = timedelta(days=7)
    """An appeal that waits longer than this is overdue."""
    quarantine: Duration = timedelta(days=1)
    """An entry in quarantine that waits longer than this for a decision is overdue."""
    licence: Duration = timedelta(days=14)
    """How long before the end of a licence an alert is raised."""
    domains: tuple[HostName, ...] = Field(default=(), max_length=100_000)
    """Domains of yours and of your customers: an entry that falls on one of them raises an alert."""
    webhook: str = Field(default="", max_length=2000)
    """An https URL to which alerts are posted as JSON; plain http only to this machine."""
    webhook_headers: FilePath | None = None
    """A file of `Name: value` lines that are sent along. Only its owner may read it."""
    webhook_ca: FilePath | None = None
    """Certificates (PEM) that the webhook's own must lead to. Unset: the system's."""
    email: tuple[EmailAddress, ...] = Field(default=(), max_length=20)
    """Addresses to which alerts are sent; needs [mail]."""

    @field_validator("webhook")
    @classmethod
    def _safe(cls, value: str) -> str:
        from urllib.parse import urlsplit

        from filterproxy.core import names
        from filterproxy.core.urls import canonical

        url, parts = canonical(value), urlsplit(value)
        if value and (url is None or not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError("write an https URL")
        # What is sent goes where the plain reading of the URL leads: a browser's may be another, as for `https:/host`.
        if url is not None and (names.host(parts.hostname or "") != url.host or "\\" in value):
            raise ValueError("write an https URL")
        if value and (parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.fragment):
            raise ValueError("write an https URL, without a name, password or fragment: headers go in webhook_headers")
        if url is not None and parts.scheme == "http" and not is_loopback(url.host):
            raise ValueError("write an https URL: whoever is on the way could read what goes over http")
        return value


class Mail(Table):
    """Outgoing mail."""

    server: str = ""
    """The mail server's name or address. Empty: no mail is sent."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected: starttls (587), tls from the first byte (465), or none: for loopback only."""
    ca: FilePath | None = None
    """Certificates (PEM) that the server's own must lead to. Unset: the system's."""
    sender: str = ""
    """The address that mail comes from."""
    user: str = Field(default="", pattern=r"^[ -~]*$", max_length=320)
    """The name to log in with. Empty: none is needed."""
    password: FilePath | None = None
    """The file that holds the password. Only its owner may read it."""

    @field_validator("server")
    @classmethod
    def _host(cls, value: str) -> str:
        return value and host_name(value)

    @field_validator("sender")
    @classmethod
    def _address(cls, value: str) -> str:
        return value and email_address(value)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.tls == "none" and self.server and not is_loopback(self.server):
            raise ValueError('tls = "none" is only for a server on loopback: anybody on the way could read the mail')
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password go together")
        return self


class Profile(Table):
    """A group of clients with lists and entries of its own."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """A short name."""
    networks: tuple[Network, ...] = ()
    """The clients of this profile; the longest prefix wins."""
    lists: tuple[str, ...] | None = None
    """Lists subscribed to. Unset: every list. A mandatory list counts in any case."""
    allow: Annotated[tuple[str, ...], Field(max_length=100_000)] = ()
    """Entries this profile allows: `host` (with all below it), `*.host` (below it), `=host` (it alone), or a URL."""
    deny: Annotated[tuple[str, ...], Field(max_length=100_000)] = ()
    """Entries this profile refuses, written alike."""
    choose: bool = False
    """Whether any client that is served may choose this profile, by the path of DNS over HTTPS or the server name of
    DNS over TLS (`dns.encrypted`); leave it off where a stricter one could be left so."""
