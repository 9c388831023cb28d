"""The table [gateway]: the HTTP proxy, its ways in, what it may reach, and its bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from .base import PRIVATE, Duration, HostName, Network, Served, SocketAddress, Table


class GatewayLimits(Table):
    """Bounds of the proxy: places, and how long is waited for whom."""

    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    """Connections of clients at once for each worker, tunnels among them; who finds no place is sent away."""
    per_client: int = Field(default=512, ge=1, le=1_000_000)
    """So many of them of one client; those of one IPv6 network (/64) are one."""
    head: Duration = Field(default=timedelta(seconds=30), ge=timedelta(seconds=1))
    """How long a client may take for a whole head, from its first byte on."""
    idle: Duration = Field(default=timedelta(seconds=60), ge=timedelta(seconds=1))
    """How long a client may be silent between requests, or within a body."""
    answer: Duration = Field(default=timedelta(seconds=300), ge=timedelta(seconds=1))
    """How long an origin may be silent, or a client leave unread what it is sent."""
    connect: Duration = Field(default=timedelta(seconds=10), ge=timedelta(seconds=1))
    """How long looking up a name and connecting to it may take together."""
    tunnel: Duration = Field(default=timedelta(hours=1), ge=timedelta(seconds=1))
    """How long nothing need move in a tunnel."""
    idle_origins: int = Field(default=512, ge=0, le=100_000)
    """Connections to origins that are kept unused for each worker."""
    per_origin: int = Field(default=64, ge=0, le=100_000)
    """So many of them to one origin."""


class Gateway(Table):
    """The HTTP proxy."""

    enabled: bool = True
    """Whether the proxy is served at all."""
    listen: SocketAddress = "127.0.0.1:8080"
    """Where browsers find the proxy."""
    redirect: tuple[SocketAddress, ...] = ()
    """Where nftables REDIRECT sends connections that were on their way elsewhere (config/nftables)."""
    tproxy: tuple[SocketAddress, ...] = ()
    """Where nftables TPROXY gives them to us as they are. Needs the capability NET_ADMIN or NET_RAW to bind."""
    keep_source: bool = False
    """Whether origins see the client's own address, of connections that came by `tproxy`. Edge workers keep the
    capability NET_RAW for it, and what origins send back must be routed here."""
    proxy_protocol: tuple[SocketAddress, ...] = ()
    """Where balancers hand over clients of the proxy (PROXY protocol, version 1 or 2)."""
    balancers: tuple[Network, ...] = ()
    """Their networks: nobody else is believed there."""
    clients: Served = PRIVATE
    """Who is served; never the whole Internet. Others get 403."""
    connect_ports: tuple[int, ...] = (80, 443, 8000, 8080, 8443)
    """Ports that may be reached by CONNECT."""
    trust_local: bool = True
    """Where the proxy listens on loopback: its clients, programs of this machine, may reach loopback and any port,
    as they can by themselves. Say false where another server on this machine passes strangers on."""
    allow_targets: tuple[Network, ...] = ()
    """Networks that may be reached although they are loopback, link-local, private, shared or this machine's own."""
    forwarded: Literal["delete", "keep", "x-forwarded-for", "forwarded"] = "delete"
    """What origins learn of the client: both fields are taken off, go on as they came, or one of them tells its
    address."""
    via: bool = True
    """Whether messages tell that they passed here (RFC 9110, section 7.6.3)."""
    no_sni: Literal["pass", "refuse"] = "pass"
    """TLS that names no server, where nothing but an address is known."""
    ech: Literal["pass", "refuse"] = "pass"
    """TLS whose real name is encrypted, where it is not known otherwise."""
    ech_names: tuple[HostName, ...] = ("cloudflare-ech.com",)
    """The names that stand in clear before an encrypted one. Another name beside that extension is the real one."""
    unknown: Literal["pass", "refuse"] = "pass"
    """What is neither TLS nor HTTP: judged by host and address alone, or refused."""
    limits: GatewayLimits = GatewayLimits()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.proxy_protocol and not self.balancers:
            raise ValueError("proxy_protocol: say in balancers who is believed there")
        if self.keep_source and not self.tproxy:
            raise ValueError("keep_source: needs tproxy")
        return self
