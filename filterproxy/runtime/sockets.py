"""The sockets of the product: bound before privileges are dropped, and kept for as long as an address is served.

Over UDP each edge worker has a socket of its own for every address (SO_REUSEPORT): one that many read would wake all of
them for each packet. Listening TCP sockets are shared.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from filterproxy.errors import ConfigError
from filterproxy.settings import Settings
from filterproxy.settings.base import split_address
from filterproxy.settings.gateway import Gateway

from .logs import event

_log = logging.getLogger(__name__)

GATEWAY: Final = ("gateway", "gateway_proxied", "gateway_redirect", "gateway_tproxy")
"""The uses of the proxy's sockets."""

_BACKLOG = 4096
_UDP_BUFFER = 4 * 1024 * 1024
_REASONS = {
    errno.EADDRINUSE: "is taken by another program",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "may not be bound: a port below 1024 takes root or the capability NET_BIND_SERVICE",
}

Place = tuple[socket.SocketKind, str]
"""What a socket takes, and at which address."""


@dataclass
class Sockets:
    """Every bound socket, by its place; and which places serve what: those that serve nothing wait to be closed."""

    held: dict[Place, list[socket.socket]] = field(default_factory=dict)
    uses: dict[str, list[Place]] = field(default_factory=dict)

    @property
    def used(self) -> set[Place]:
        """The places that serve something."""
        return {place for places in self.uses.values() for place in places}

    def named(self, *uses: str) -> Iterator[tuple[str, socket.socket]]:
        """Yield use and socket of each of `uses`."""
        for use in uses:
            for place in self.uses.get(use, ()):
                for sock in self.held[place]:
                    yield use, sock

    def of_edge(self, number: int, workers: int) -> list[tuple[str, socket.socket]]:
        """Return what the edge worker `number` of `workers` reads.

        Its own UDP socket of each address, and its share of those that workers left behind who are no more: closing
        them would lose what waits there. Where it could get none of its own it shares another's.
        """
        found: list[tuple[str, socket.socket]] = []
        for place in self.uses.get("dns_udp", ()):
            group = self.held[place]
            mine = group[number::workers] or [group[number % len(group)]]
            found += [("dns_udp", sock) for sock in mine]
        return [*found, *self.named("dns_tcp", "dns_dot", "dns_doh", *GATEWAY)]

    def rebound(self, settings: Settings, roles: frozenset[str]) -> Sockets:
        """Return the sockets of another configuration: the same ones where an address is the same, else bound now.

        What is not wanted any more stays open until `release`: somebody may still read it, and yet another
        configuration may want it back. Raises ConfigError naming the key whose address cannot be had; then nothing new
        is bound.
        """
        found = Sockets({place: list(group) for place, group in self.held.items()})
        try:
            for key, use, place in _wanted(settings, roles):
                if place in found.used:
                    raise ConfigError(f"{key}: {place[1]}/tcp is taken by another key of this file")
                if place not in found.held:
                    found.held[place] = [_bound(place, key, transparent=use == "gateway_tproxy")]
                found.uses.setdefault(use, []).append(place)
        except BaseException:
            found.close(but=self)
            raise
        return found

    def grow(self, workers: int) -> None:
        """Bind a UDP socket for each of so many workers, as far as they can be had.

        The last step, for from now on the kernel gives them their share of what arrives.
        """
        for place in self.uses.get("dns_udp", ()):
            group = self.held[place]
            if len(group) < workers:
                _grow(group, place, workers)

    def release(self) -> None:
        """Close what serves nothing."""
        for place in self.held.keys() - self.used:
            for sock in self.held.pop(place):
                sock.close()

    def close(self, but: Sockets | None = None) -> None:
        """Close all, but for those that are also `but`'s."""
        kept = {sock for group in but.held.values() for sock in group} if but is not None else set()
        for group in self.held.values():
            for sock in group:
                if sock not in kept:
                    sock.close()


def bind(settings: Settings, roles: frozenset[str]) -> Sockets:
    """Return the sockets that `roles` serve. Raises ConfigError naming the key whose address cannot be had."""
    found = Sockets().rebound(settings, roles)
    if "inspector" in roles and "edge" not in roles:
        try:
            probe(settings)
        except BaseException:
            found.close()
            raise
    found.grow(settings.runtime.workers)
    return found


def probe(settings: Settings) -> None:
    """Raise ConfigError where the proxy's port, which an inspector without edges binds itself, is not free."""
    _bound((socket.SOCK_STREAM, settings.gateway.listen), "gateway.listen").close()


def _wanted(settings: Settings, roles: frozenset[str]) -> Iterator[tuple[str, str, Place]]:
    """Yield the key, the use and the place of every socket that is to be kept."""
    if "edge" in roles and settings.dns.enabled:
        for number, address in enumerate(settings.dns.listen):
            yield f"dns.listen[{number}]", "dns_udp", (socket.SOCK_DGRAM, address)
            yield f"dns.listen[{number}]", "dns_tcp", (socket.SOCK_STREAM, address)
        for use, addresses in (("dot", settings.dns.encrypted.dot), ("doh", settings.dns.encrypted.doh)):
            for number, address in enumerate(addresses):
                yield f"dns.encrypted.{use}[{number}]", f"dns_{use}", (socket.SOCK_STREAM, address)
    if "edge" in roles and settings.gateway.enabled:
        yield from _gateways(settings.gateway)
    if "control" in roles and settings.portal.enabled:
        yield "portal.listen", "portal", (socket.SOCK_STREAM, settings.portal.listen)
    if "control" in roles and settings.console.enabled:
        yield "console.listen", "console", (socket.SOCK_STREAM, settings.console.listen)
    if "transfer" in roles:
        for number, address in enumerate(settings.dns.transfer.listen):
            yield f"dns.transfer.listen[{number}]", "transfer", (socket.SOCK_STREAM, address)
    if settings.metrics.enabled:
        yield "metrics.listen", "metrics", (socket.SOCK_STREAM, settings.metrics.listen)


def _gateways(gateway: Gateway) -> Iterator[tuple[str, str, Place]]:
    yield "gateway.listen", "gateway", (socket.SOCK_STREAM, gateway.listen)
    for use, key, addresses in (
        ("gateway_proxied", "proxy_protocol", gateway.proxy_protocol),
        ("gateway_redirect", "redirect", gateway.redirect),
        ("gateway_tproxy", "tproxy", gateway.tproxy),
    ):
        for number, address in enumerate(addresses):
            yield f"gateway.{key}[{number}]", use, (socket.SOCK_STREAM, address)


def _grow(group: list[socket.socket], place: Place, workers: int) -> None:
    # The first was bound by itself, so that an address which another program has is told. Others join it where they
    # can: not those of another user than who bound it, nor, below 1024, those of one without the capability.
    try:
        for sock in group:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while len(group) < workers:
            group.append(_bound(place, "dns.listen", reuse=True))
    except (OSError, ConfigError):
        event(_log, logging.WARNING, "workers_share_a_socket", workers=workers, sockets=len(group))


def _bound(place: Place, key: str, *, reuse: bool = False, transparent: bool = False) -> socket.socket:
    kind, address = place
    host, port = split_address(address)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _widen(sock)
        if transparent:
            _take_foreign(sock)
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        what = "udp" if kind == socket.SOCK_DGRAM else "tcp"
        reason = _REASONS.get(exc.errno or 0) or exc.strerror or "cannot be had"
        if transparent and exc.errno == errno.EPERM:
            reason = "may not be bound for TPROXY: that takes root or the capability NET_ADMIN or NET_RAW"
        raise ConfigError(f"{key}: {address}/{what} {reason}") from exc
    return sock


def _take_foreign(sock: socket.socket) -> None:
    """Let a socket take connections to addresses that are not this machine's."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, 75, 1)  # IPV6_TRANSPARENT
    else:
        sock.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT


def _widen(sock: socket.socket) -> None:
    """Let the kernel hold what arrives while a worker is being replaced."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, 33, _UDP_BUFFER)  # SO_RCVBUFFORCE, for root alone
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER)


def unix(path: Path) -> socket.socket:
    """Return a listening control socket at `path` (0600). Whatever lay there is of a dead product: the lock is ours."""
    if len(os.fsencode(path)) > 107:
        raise ConfigError(f"runtime.state: the path of {path.name} would be longer than a socket's may be (107 bytes)")
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as exc:
        sock.close()
        raise ConfigError(f"runtime.state: {path}: {exc.strerror}") from exc
    finally:
        os.umask(before)
    sock.listen(16)
    sock.setblocking(False)
    return sock
