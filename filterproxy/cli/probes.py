"""What `doctor` tries for itself: keys on disk, and one question to each listener and upstream."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filterproxy.core.model import DnsAnswer
from filterproxy.settings.base import split_address

if TYPE_CHECKING:
    from filterproxy.settings import Settings

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    level: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""


def keys(settings: Settings) -> Check:
    """Return whether the keys are there and safe."""
    from filterproxy.errors import SecretError
    from filterproxy.keys import Keys

    try:
        owner = settings.runtime.state.stat()
        Keys.open(settings.keys_folder, (owner.st_uid, owner.st_gid))
    except OSError:
        return Check("keys", "fail", "the state folder cannot be read", "run doctor as root or as the product's user")
    except SecretError as exc:
        return Check("keys", "fail", str(exc))
    return Check("keys", "ok", "complete, and readable by their owner alone")


def runs_as_root(pid: int | None) -> bool:
    """Return whether the process belongs to root."""
    try:
        return pid is not None and Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[1] == "0"
    except (OSError, IndexError):
        return False


def network(settings: Settings) -> Iterator[Check]:
    """Yield a check for each listener and each upstream."""
    if settings.dns.enabled:
        for address in settings.dns.listen:
            yield _dns_check(f"dns {address}/udp", address, tcp=False)
            yield _dns_check(f"dns {address}/tcp", address, tcp=True)
        yield from _upstreams(settings)
    if settings.gateway.enabled:
        # Any answer will do: the question is whether the proxy speaks.
        yield _http_check("proxy", settings.gateway.listen, f"http://{settings.portal.listen}/healthz", None)
    if settings.portal.enabled:
        yield _http_check("portal", settings.portal.listen, "/healthz", 200)
        yield from _https_at_notice(settings)
    if settings.console.enabled:
        yield _http_check("console", settings.console.listen, "/", 200)
    if settings.metrics.enabled:
        yield _http_check("metrics", settings.metrics.listen, "/healthz", 200)


def _upstreams(settings: Settings) -> Iterator[Check]:
    from filterproxy.dns.resolvconf import nameservers

    addresses = settings.dns.upstreams
    if not addresses:
        found_there = nameservers(Path("/etc/resolv.conf").read_text(errors="replace"), settings.dns.listen)
        addresses = tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found_there)
    if not addresses:
        yield Check("upstream", "fail", "there is none", "set dns.upstreams")
    asked = dict.fromkeys((*addresses, *(item for zone in settings.dns.forward for item in zone.upstreams)))
    found = [_upstream_check(address, settings) for address in asked]
    any_answers = any(check.level == "ok" for check in found)
    for check in found:
        milder = check.level == "fail" and any_answers
        yield Check(check.name, "warn", check.text, "another one answers meanwhile") if milder else check


def _upstream_check(address: str, settings: Settings) -> Check:
    """Ask an upstream as the product does, by whatever way that is."""
    from filterproxy.dns import wire
    from filterproxy.dns.answers import EDE_NETWORK_ERROR
    from filterproxy.dns.cache import Answer
    from filterproxy.dns.upstreams import Upstreams
    from filterproxy.settings.dns import split_upstream

    async def ask() -> Answer:
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        upstreams = Upstreams([split_upstream(address)], _SECONDS, ca=settings.dns.upstream_ca)
        try:
            upstreams.ask(wire.Query(0, wire.RD, b"\0", (), wire.NS, wire.IN, None), told.set_result)
            return await told
        finally:
            upstreams.close()

    what, answer = f"upstream {address}", asyncio.run(ask())
    if answer.ede == EDE_NETWORK_ERROR:
        return Check(what, "fail", "no answer", "is it running, and does a firewall let it answer?")
    if answer.failed:
        return Check(what, "warn", "cannot answer", "does it serve this machine?")
    return Check(what, "ok", "answers")


def _https_at_notice(settings: Settings) -> Iterator[Check]:
    """Yield whether https to a notice address is refused at once: a browser that is left to wait seems broken."""
    if not any(item.dns is DnsAnswer.NOTICE for item in settings.lists):
        return
    for address in settings.dns.notice_addresses:
        for kind, protocol in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            yield _refused_check(f"https at the notice address {address}/{protocol}", address, kind)


def _refused_check(what: str, address: str, kind: socket.SocketKind) -> Check:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect((address, 443))
            if kind == socket.SOCK_DGRAM:
                sock.send(bytes(1200))  # a QUIC server drops it, a closed port answers by ICMP
                sock.recv(1)
        except ConnectionRefusedError:
            return Check(what, "ok", "refused at once")
        except TimeoutError:
            return Check(what, "warn", "does not answer: browsers wait", "let the firewall reject 443, not drop it")
        except OSError as exc:
            return Check(what, "warn", f"cannot be tried ({exc.strerror})", "is it an address of this machine?")
    return Check(what, "warn", "something serves there", "give https an address of its own: it cannot show a notice")


def _dns_check(what: str, address: str, *, tcp: bool) -> Check:
    question = struct.pack("!6H", 0x4650, 0x0100, 1, 0, 0, 0) + b"\x07invalid\0" + struct.pack("!2H", 2, 1)
    try:
        reply = ask_tcp(address, question) if tcp else ask_udp(address, question)
    except OSError as exc:
        return Check(what, "fail", f"no answer ({exc.strerror or 'too late'})", "is a firewall in between?")
    if len(reply) < 12 or reply[:2] != question[:2]:
        return Check(what, "fail", "no DNS answer", "another program listens there")
    rcode = reply[3] & 15
    if rcode == 2:
        return Check(what, "warn", "answers SERVFAIL", "do its upstreams answer?")
    if rcode == 5:
        return Check(what, "warn", "refuses this machine", "it may still serve others: dns.clients")
    return Check(what, "ok", "answers")


def ask_udp(address: str, question: bytes) -> bytes:
    """Return the answer to a packed question over UDP. Raises OSError."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        sock.connect(reachable(address))
        sock.send(question)
        return sock.recv(4096)


def ask_tcp(address: str, question: bytes) -> bytes:
    """Return the answer to a packed question over TCP; empty where the connection was closed. Raises OSError."""
    with socket.create_connection(reachable(address), _SECONDS) as sock:
        sock.sendall(struct.pack("!H", len(question)) + question)
        with sock.makefile("rb") as file:
            return file.read(struct.unpack("!H", file.read(2).rjust(2, b"\0"))[0])


def _http_check(what: str, address: str, target: str, wanted: int | None) -> Check:
    request = f"GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(reachable(address), _SECONDS) as sock:
            sock.settimeout(_SECONDS)
            sock.sendall(request.encode())
            first = sock.recv(64).split(b" ")
    except OSError as exc:
        return Check(what, "fail", f"{address} does not answer ({exc.strerror or 'too late'})", "the log says why")
    if not first[0].startswith(b"HTTP/") or len(first) < 2 or not first[1][:3].isdigit():
        return Check(what, "fail", f"{address} does not speak HTTP", "another program listens there")
    status = int(first[1][:3])
    if wanted is not None and status != wanted:
        return Check(what, "fail", f"{address} answers {status}", "the log says why")
    return Check(what, "ok", f"{address} answers")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if address.startswith("[") else socket.AF_INET


def reachable(address: str) -> tuple[str, int]:
    """Return where to reach a listener; one on every address is reached on loopback."""
    host, port = split_address(address)
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
