"""What `doctor` tries of encrypted DNS: the certificates on disk, and a question by each way, checked against them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .probes import Check, reachable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from filterproxy.dns.cache import Answer
    from filterproxy.settings import Settings
    from filterproxy.settings.dns import UpstreamAddress

SOON = timedelta(days=14)
"""A certificate that ends within this is a warning: whatever renews it should have done so."""
_SECONDS = 3.0


def certificates(settings: Settings, now: datetime) -> Iterator[Check]:
    """Yield a check for each certificate that clients of ours are shown."""
    encrypted, transfer = settings.dns.encrypted, settings.dns.transfer
    if settings.dns.enabled and encrypted.enabled and encrypted.certificate and encrypted.name:
        chosen = [f"{item.id}.{encrypted.name}" for item in settings.profiles if item.choose and encrypted.dot]
        yield certificate("dns.encrypted.certificate", encrypted.certificate, now, encrypted.name, chosen)
    if transfer.listen and transfer.certificate:
        yield certificate("dns.transfer.certificate", transfer.certificate, now)


def certificate(what: str, path: Path, now: datetime, name: str = "", others: Sequence[str] = ()) -> Check:
    """Return whether the certificate in a file counts, for how long, and for `name`; `others` may be missing."""
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
        names = _names(leaf)
    except OSError as exc:
        return Check(what, "fail", f"cannot be read ({exc.strerror})", "run doctor as root or as the product's user")
    except ValueError:
        return Check(what, "fail", "is no certificate in PEM", "write the certificate, and behind it its chain")
    ends = leaf.not_valid_after_utc
    if not leaf.not_valid_before_utc <= now < ends:
        return Check(what, "fail", f"counts from {leaf.not_valid_before_utc:%F} to {ends:%F}", "renew it; no restart")
    if name and not _covers(names, name):
        return Check(what, "fail", f"is not for {name}", "clients refuse it: have one made for dns.encrypted.name")
    if ends - now < SOON:
        return Check(what, "warn", f"ends on {ends:%F}", "renew it; the new file is taken without a restart")
    missing = [item for item in others if not _covers(names, item)]
    if missing:
        advice = f"have it made for *.{name} as well, or let them be chosen over HTTPS alone"
        return Check(what, "warn", f"is not for {', '.join(missing[:3])}", advice)
    return Check(what, "ok", f"counts until {ends:%F}")


def ways(settings: Settings) -> Iterator[Check]:
    """Yield a check for each listener of DNS over TLS and HTTPS: a question that is ours to answer."""
    from filterproxy.settings.dns import UpstreamAddress

    encrypted = settings.dns.encrypted
    if not settings.dns.enabled or not encrypted.certificate or not encrypted.name:
        return
    for address in encrypted.dot:
        yield _way(f"dns {address}/tls", UpstreamAddress("tls", *reachable(address), encrypted.name), settings)
    for address in encrypted.doh:
        host, port = reachable(address)
        yield _way(
            f"dns {address}/https", UpstreamAddress("https", host, port, encrypted.name, encrypted.path), settings
        )


def _way(what: str, address: UpstreamAddress, settings: Settings) -> Check:
    from filterproxy.dns import wire
    from filterproxy.dns.answers import EDE_NETWORK_ERROR
    from filterproxy.errors import ConfigError

    try:
        answer = asyncio.run(_ask(address, settings.dns.encrypted.certificate))
    except ConfigError:
        return Check(what, "fail", "cannot be tried: the certificate cannot be read")
    if answer.ede == EDE_NETWORK_ERROR:
        advice = "is a firewall in between, or was the file changed a moment ago? The log says what was refused"
        return Check(what, "fail", "no answer under the certificate on disk", advice)
    if answer.rcode == wire.NOERROR:
        return Check(what, "ok", "answers")
    return Check(what, "warn", "refuses this machine", "it may still serve others: dns.clients")


async def _ask(address: UpstreamAddress, trusted: Path | None) -> Answer:
    """Return what is said to where this resolver is reached encrypted. Nobody else is asked for that."""
    from filterproxy.dns import wire
    from filterproxy.dns.records import wire_name
    from filterproxy.dns.upstreams import Upstreams

    told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    labels = (b"_dns", b"resolver", b"arpa")
    upstreams = Upstreams([address], _SECONDS, ca=trusted)
    try:
        question = wire.Query(0, wire.RD, wire_name(labels), labels, wire.SVCB, wire.IN, None)
        upstreams.ask(question, told.set_result)
        return await told
    finally:
        upstreams.close()


def encrypted(settings: Settings) -> Iterator[Check]:
    """Yield all of it."""
    yield from certificates(settings, datetime.now(UTC))
    yield from ways(settings)


def _names(leaf: Certificate) -> list[str]:
    """Return the names that a certificate is for; its subject is none (RFC 9525). Raises ValueError."""
    from cryptography import x509

    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [item.lower() for item in found.value.get_values_for_type(x509.DNSName)]


def _covers(names: Sequence[str], name: str) -> bool:
    """Tell whether one of `names` is `name`, or covers it by a star for its first label."""
    return any(item in (name, f"*.{name.partition('.')[2]}") for item in names)
