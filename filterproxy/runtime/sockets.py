"""The sockets of the product: bound once, before privileges are dropped, and kept for as long as it runs."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filterproxy.errors import ConfigError
from filterproxy.settings import Settings
from filterproxy.settings.base import split_address

_BACKLOG = 4096
_UDP_BUFFER = 4 * 1024 * 1024
_REASONS = {
    errno.EADDRINUSE: "is taken by another program",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "may not be bound: a port below 1024 takes root or the capability NET_BIND_SERVICE",
}


@dataclass
class Sockets:
    """Every bound socket by its use."""

    dns_udp: list[socket.socket] = field(default_factory=list)
    dns_tcp: list[socket.socket] = field(default_factory=list)
    portal: list[socket.socket] = field(default_factory=list)
    console: list[socket.socket] = field(default_factory=list)
    metrics: list[socket.socket] = field(default_factory=list)

    def named(self, *uses: str) -> Iterator[tuple[str, socket.socket]]:
        """Yield use and socket of each of `uses`."""
        for use in uses:
            for sock in getattr(self, use):
                yield use, sock

    def close(self) -> None:
        """Close all."""
        for _, sock in self.named("dns_udp", "dns_tcp", "portal", "console", "metrics"):
            sock.close()


def bind(settings: Settings, roles: frozenset[str]) -> Sockets:
    """Return the sockets that `roles` serve. Raises ConfigError naming the key whose address cannot be had."""
    found = Sockets()
    try:
        if "edge" in roles and settings.dns.enabled:
            for place, address in enumerate(settings.dns.listen):
                key = f"dns.listen[{place}]"
                found.dns_udp.append(_bound(address, socket.SOCK_DGRAM, key))
                found.dns_tcp.append(_bound(address, socket.SOCK_STREAM, key))
        if "control" in roles and settings.portal.enabled:
            found.portal.append(_bound(settings.portal.listen, socket.SOCK_STREAM, "portal.listen"))
        if "control" in roles and settings.console.enabled:
            found.console.append(_bound(settings.console.listen, socket.SOCK_STREAM, "console.listen"))
        if settings.metrics.enabled:
            found.metrics.append(_bound(settings.metrics.listen, socket.SOCK_STREAM, "metrics.listen"))
        if "inspector" in roles:
            _bound(
                settings.gateway.listen, socket.SOCK_STREAM, "gateway.listen"
            ).close()  # only to know that it is free
    except BaseException:
        found.close()
        raise
    return found


def _bound(address: str, kind: socket.SocketKind, key: str) -> socket.socket:
    host, port = split_address(address)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _widen(sock)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        what = "udp" if kind == socket.SOCK_DGRAM else "tcp"
        reason = _REASONS.get(exc.errno or 0) or exc.strerror or "cannot be had"
        raise ConfigError(f"{key}: {address}/{what} {reason}") from exc
    return sock


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
