"""What this resolver says of itself in DNS: where it is reached encrypted (RFC 9462, 9461), what it does (RFC 9606).

Nothing of `resolver.arpa` is asked of others (RFC 6303): their answer would send clients past us. Where nothing is
served encrypted, all of it has no records, which tells clients just that (RFC 9462, section 4).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from filterproxy.settings.base import split_address

from . import svcparams, wire
from .records import UNREADABLE, Draft, host_labels, wire_name
from .wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from filterproxy.settings.dns import Dns

    from .about import About
    from .asking import Asks, Then
    from .cache import Answer
    from .wire import Labels, Query

RESINFO: Final = 261
DOHPATH: Final = 7
"""The key of an SVCB record that holds a DoH path (RFC 9461, section 5)."""
TTL: Final = 300
"""Seconds that what is said here may be kept."""
EXTENDED_ERRORS: Final = "3,14-20,22-23"
"""The extended errors that we give: docs/dns.md says which is what."""

_RESOLVER: Final = (b"resolver", b"arpa")
_RESOLVER_NAME: Final = wire_name(_RESOLVER)
_STRING = 255
Address = IPv4Address | IPv6Address
Records = dict[int, tuple[bytes, ...]]
"""The data of a name's records by their type; none where it has none of that type."""


class Discovery:
    """Answers what is asked of `resolver.arpa` and of our own names; asks `rest` for all else."""

    def __init__(self, rest: Asks, settings: Dns, about: About) -> None:
        self._rest, self._names = rest, _names(settings, about)

    def ask(self, query: Query, then: Then) -> None:
        name = query.name.lower()
        found = self._names.get(name, {}).get(query.qtype)
        if found is not None:
            then(_said(query, query.labels, found))
        elif name.endswith(_RESOLVER_NAME) and (zone := _in_resolver_arpa(query.labels)):
            then(_said(query, zone, ()))
        else:
            self._rest.ask(query, then)


def _in_resolver_arpa(labels: Labels) -> Labels:
    """Return `resolver.arpa` as spelled in a name that lies there; nothing where it only seems to."""
    zone = labels[-len(_RESOLVER) :]
    return zone if tuple(label.lower() for label in zone) == _RESOLVER else ()


def _said(query: Query, owner: Labels, found: Iterable[bytes]) -> Answer:
    """Return `found` as the answer, or that there is none, which `owner` says."""
    try:
        draft = Draft(query)
        for data in found:
            draft.add(query.labels, query.qtype, TTL, data)
        if not draft.answers:
            draft.deny(owner)
        return draft.answer()
    except Malformed:
        return UNREADABLE


def _names(settings: Dns, about: About) -> dict[bytes, Records]:
    """Return all that is said, by the wire form of the name that it is said of."""
    encrypted = settings.encrypted
    if not (encrypted.enabled and encrypted.discovery and encrypted.name):
        return {}
    own = {record.name for record in settings.records}
    information = (_information(about),)
    found: dict[bytes, Records] = {}
    for profile in (None, *about.profiles):
        name = encrypted.name if profile is None else f"{profile}.{encrypted.name}"
        path = encrypted.path if profile is None else f"{encrypted.path}/{profile}"
        try:
            labels = host_labels(name)
            service = wire_name((b"_dns", *labels))
            host_labels(f"_dns.{name}")
        except ValueError:  # a name that grew too long for DNS is nobody's
            continue
        hints = name not in own  # the operator's word for its addresses stands for these too
        services = tuple(_services(labels, path, encrypted.dot, encrypted.doh, hints=hints))
        found[service] = {wire.SVCB: services}
        found[wire_name(labels)] = {RESINFO: information}
        if hints:
            found[wire_name(labels)] |= _addresses((*encrypted.dot, *encrypted.doh))
        if profile is None:
            found[wire_name((b"_dns", *_RESOLVER))] = {wire.SVCB: services}
            found[_RESOLVER_NAME] = {RESINFO: information}
    return found


def _services(labels: Labels, path: str, dot: Sequence[str], doh: Sequence[str], *, hints: bool) -> Iterator[bytes]:
    """Yield the SVCB data of each way and port, those of DoT first (RFC 9461)."""
    target = wire_name(labels)
    ways = [(b"dot", b"", where) for where in _by_port(dot)]
    ways += [(b"h2", f"{path}{{?dns}}".encode(), where) for where in _by_port(doh)]
    for priority, (protocol, template, (port, addresses)) in enumerate(ways, 1):
        params = [(svcparams.ALPN, bytes((len(protocol),)) + protocol), (svcparams.PORT, struct.pack("!H", port))]
        for key, version in ((svcparams.IPV4HINT, 4), (svcparams.IPV6HINT, 6)):
            packed = _reached(addresses, version) if hints else None
            if packed:
                params.append((key, b"".join(packed)))
        if template:
            params.append((DOHPATH, template))
        yield struct.pack("!H", priority) + target + svcparams.pack(params)


def _by_port(listen: Sequence[str]) -> Iterable[tuple[int, list[Address]]]:
    """Return the ports of listening sockets, in their order, each with its addresses."""
    found: defaultdict[int, list[Address]] = defaultdict(list)
    for item in listen:
        host, port = split_address(item)
        found[port].append(ip_address(host))
    return found.items()


def _addresses(listen: Sequence[str]) -> Records:
    """Return the A and AAAA records that listening sockets make; not of a version where any address may be meant."""
    addresses = [ip_address(split_address(item)[0]) for item in listen]
    found = {wire.A: _reached(addresses, 4), wire.AAAA: _reached(addresses, 6)}
    return {rtype: packed for rtype, packed in found.items() if packed is not None}


def _reached(addresses: Iterable[Address], version: int) -> tuple[bytes, ...] | None:
    """Return the addresses of a version at which others reach us, packed; None where they can be any.

    Loopback is told only where there is nothing else: to another machine it means that machine.
    """
    if any(item.is_unspecified and item.version == version for item in addresses):
        return None
    found = [item for item in addresses if not item.is_link_local]
    found = [item for item in found if not item.is_loopback] or found
    return tuple(dict.fromkeys(item.packed for item in found if item.version == version))


def _information(about: About) -> bytes:
    """Return the data of our RESINFO record: strings as in TXT. Queries are sent on whole, so no word of `qnamemin`."""
    said = [f"exterr={EXTENDED_ERRORS}"]
    if about.portal.startswith("https://"):  # no other may be told (section 5)
        said.append(f"infourl={about.portal}/transparency")
    packed = (item.encode() for item in said)
    return b"".join(bytes((len(item),)) + item for item in packed if len(item) <= _STRING)
