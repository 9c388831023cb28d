"""What a self-test sends and what comes back, in words that can be compared: real DNS questions, real requests."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSRecord

from filterproxy.core.model import DnsAnswer, Listing

from .probes import ask_tcp, ask_udp, reachable

_SECONDS = 10.0
_EDE = 15
_JUDGED = frozenset({14, 15, 16, 17})
"""The extended errors that say: a list answered, or failed to."""
_PAGE = 1 << 20
_SEEN = "filterproxy_seen="


@dataclass(frozen=True, slots=True)
class DnsReply:
    """An answer to a DNS question: what it says, and whether a list said it."""

    said: str
    judged: bool = False
    came: bool = True


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer to a request. `status` is 0 where none came; `said` then tells why."""

    status: int
    said: str
    notice: bool = False
    """Whether it is the notice of a block (RFC 7725 `blocked-by`)."""
    judged: bool = False
    """Whether a list answered: by a notice, by a warning, or because it failed closed."""
    body: str = field(default="", repr=False)


def ask_dns(address: str, name: str, rtype: str, *, tcp: bool = False) -> DnsReply:
    """Return what the DNS server at `address` answers to a question with EDNS."""
    question = DNSRecord.question(name, rtype)
    question.add_ar(EDNS0(udp_len=1232))
    packed = bytes(question.pack())
    try:
        return read_dns(ask_tcp(address, packed) if tcp else ask_udp(address, packed), packed, rtype)
    except OSError as exc:
        return DnsReply(f"no answer ({exc.strerror or 'too late'})", came=False)


def read_dns(reply: bytes, question: bytes, rtype: str) -> DnsReply:
    """Return what the packet `reply` answers to the packet `question`, whatever is in it."""
    try:
        found = DNSRecord.parse(reply)
        if reply[:2] != question[:2] or not found.header.qr:
            return DnsReply("no answer to what was asked", came=False)
        errors = [
            int.from_bytes(option.data[:2]) for record in found.ar if record.rtype == QTYPE.OPT
            for option in record.rdata if option.code == _EDE
        ]  # fmt: skip
        records = [str(record.rdata) for record in found.rr if record.rtype == getattr(QTYPE, rtype)]
        rcode = str(RCODE.get(found.header.rcode))
    except (DNSError, ValueError, TypeError, AttributeError):  # dnslib's own, and what it lets through on odd records
        return DnsReply("no DNS answer", came=False)
    said = dns_words(rcode, records, errors[0] if errors else None)
    return DnsReply(said, bool(_JUDGED.intersection(errors)))


def dns_words(rcode: str, addresses: list[str], ede: int | None) -> str:
    """Return an answer in words: `NXDOMAIN, EDE 15`, `0.0.0.0, EDE 17`, `NODATA`."""
    said = ", ".join(sorted(addresses)) or ("NODATA" if rcode == "NOERROR" else rcode)
    return said if ede is None else f"{said}, EDE {ede}"


def blocked_dns(listing: Listing, rtype: str, notice: tuple[str, ...], *, below: bool) -> str:
    """Return the words of the answer that `listing` gives to what it blocks.

    `below` tells whether all that is below the name is blocked too: NXDOMAIN may be said only then (RFC 8020).
    """
    if listing.dns is DnsAnswer.REFUSED:
        return dns_words("REFUSED", [], listing.ede)
    given = {DnsAnswer.NULL: ("0.0.0.0", "::"), DnsAnswer.NOTICE: notice}.get(listing.dns, ())
    version = {"A": 4, "AAAA": 6}.get(rtype)
    found = [text for text in given if ipaddress.ip_address(text).version == version]
    denied = listing.dns is DnsAnswer.NXDOMAIN and below
    return dns_words("NXDOMAIN" if denied else "NOERROR", found, listing.ede)


def get(proxy: str, url: str) -> HttpReply:
    """Return what the proxy at `proxy` answers to a GET of the plain http `url`, spelled as it is."""
    host = url.partition("://")[2].partition("/")[0]
    try:
        with socket.create_connection(reachable(proxy), _SECONDS) as sock:
            return exchange(sock, f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", "GET")
    except OSError as exc:
        return _nothing(exc)


def connect(proxy: str, host: str, path: str = "", authority: Path | None = None) -> HttpReply:
    """Return what the proxy answers to a CONNECT to port 443 of `host`.

    With `authority`, a PEM file, TLS is begun where the tunnel is let through, and `path` is asked for inside it.
    """
    try:
        with socket.create_connection(reachable(proxy), _SECONDS) as sock:
            reply = exchange(sock, f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n", "CONNECT")
            if reply.status != 200 or authority is None or reply.notice:
                return reply
            context = ssl.create_default_context(cafile=str(authority))
            with context.wrap_socket(sock, server_hostname=host) as inner:
                return exchange(inner, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", "GET")
    except OSError as exc:  # ssl's own errors are OSErrors too
        return _nothing(exc)


def exchange(sock: socket.socket, request: str, method: str) -> HttpReply:
    """Send a request over a connection and return what comes back, whatever that is. Raises OSError."""
    sock.settimeout(_SECONDS)
    sock.sendall(request.encode("ascii"))
    answer = http.client.HTTPResponse(sock, method=method)
    try:
        answer.begin()
        body = b"" if method == "CONNECT" and answer.status == 200 else answer.read(_PAGE)
    except http.client.HTTPException:
        return HttpReply(0, "no HTTP answer")
    finally:
        answer.close()
    notice = 'rel="blocked-by"' in answer.headers.get("Link", "")
    warning = _SEEN in answer.headers.get("Set-Cookie", "")
    closed = answer.status == 503 and "Retry-After" in answer.headers
    said = http_words(answer.status, notice=notice, warning=warning)
    return HttpReply(
        answer.status, f"{said}, a list could not judge" if closed else said, notice, notice or warning or closed,
        body.decode("utf-8", "replace"),
    )  # fmt: skip


def http_words(status: int, *, notice: bool = False, warning: bool = False) -> str:
    """Return an answer in words: `403, the notice`, `403, a warning`, `502`."""
    return f"{status}, the notice" if notice else f"{status}, a warning" if warning else str(status)


def _nothing(exc: OSError) -> HttpReply:
    reason = "TLS failed" if isinstance(exc, ssl.SSLError) else exc.strerror or "too late"
    return HttpReply(0, f"no answer ({reason})")


def source_of(address: str) -> str:
    """Return the address of this machine from which a listener at `address` sees us. Raises OSError."""
    host, port = reachable(address)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        return str(sock.getsockname()[0])
