"""Records of the operator's own, and `localhost`: answered without asking anybody (RFC 6761, section 6.3).

A name that stands here has no other records, so a question for another type is answered with none. A CNAME is
followed, here and then by whoever is asked next.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from filterproxy.core import names

from . import wire
from .records import MX, PTR, SRV, TXT, UNREADABLE, Draft, aliased, host_labels, wire_name
from .wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from filterproxy.settings.dns import Record

    from .asking import Asks, Then
    from .cache import Answer
    from .wire import Labels, Query

MAX_ALIASES: Final = 8
"""CNAMEs that may follow each other here."""
MAX_RECORDS: Final = 100
MAX_BYTES: Final = 32_000
"""What one name may have, so that it fits into a message."""
TTL: Final = 300
"""Seconds that `localhost` may be kept."""

_LOCALHOST: Final = b"\x09localhost\0"


@dataclass(frozen=True, slots=True)
class _Own:
    """A record of ours, less its owner."""

    rtype: int
    ttl: int
    data: bytes = field(repr=False)


_LOOPBACK: Final = (
    _Own(wire.A, TTL, ipaddress.IPv4Address("127.0.0.1").packed),
    _Own(wire.AAAA, TTL, ipaddress.IPv6Address("::1").packed),
)


class Local:
    """Answers for the names of `records` and for localhost; asks `rest` for all others.

    Raises ValueError as `check_records` does.
    """

    def __init__(self, rest: Asks, records: Sequence[Record]) -> None:
        self._rest, self._names = rest, _by_name(records)

    def ask(self, query: Query, then: Then) -> None:
        name = query.name.lower()
        if (name not in self._names and not name.endswith(_LOCALHOST)) or query.qclass != wire.IN:
            self._rest.ask(query, then)
        else:
            self._answer(query, then)

    def _answer(self, query: Query, then: Then) -> None:
        chain: list[tuple[Labels, int, bytes]] = []
        asked, found = query, self._of(query.labels)
        while found and found[0].rtype == wire.CNAME and query.qtype not in (wire.CNAME, wire.ANY):
            chain.append((asked.labels, found[0].ttl, found[0].data))
            asked = query.about(name=found[0].data)
            found = self._of(asked.labels)
        if found is None:
            self._rest.ask(asked, (lambda answer: then(aliased(query, chain, asked, answer))) if chain else then)
            return
        try:
            answer = _said(query, chain, asked.labels, found)
        except Malformed:
            answer = UNREADABLE
        then(answer)

    def _of(self, labels: Labels) -> Sequence[_Own] | None:
        """Return the records of a name, or None where it is not ours."""
        found = self._names.get(wire_name(labels).lower())
        if found is None and labels and labels[-1].lower() == b"localhost":
            return _LOOPBACK
        return found


def check_records(records: Sequence[Record]) -> None:
    """Raise ValueError for records that mean nothing; the message begins with the key, such as `dns.records.3.value`.

    That is a value that its type cannot have, a CNAME beside other records or in a circle, and more than fits.
    """
    _by_name(records)


def _said(query: Query, chain: Iterable[tuple[Labels, int, bytes]], owner: Labels, found: Sequence[_Own]) -> Answer:
    """Return the answer that `found`, the records of `owner`, are. Raises Malformed."""
    draft = Draft(query)
    for alias, ttl, data in chain:
        draft.add(alias, wire.CNAME, ttl, data)
    fitting = [item for item in found if query.qtype in (item.rtype, wire.ANY)]
    for item in fitting:
        draft.add(owner, item.rtype, item.ttl, item.data)
    if not fitting:
        draft.deny(owner)
    return draft.answer()


def _by_name(records: Sequence[Record]) -> dict[bytes, list[_Own]]:
    """Return what each name has, by its wire form."""
    found: dict[bytes, list[_Own]] = {}
    for number, record in enumerate(records):
        key = f"dns.records.{number}"
        try:
            name = wire_name(host_labels(record.name))
        except ValueError as exc:
            raise ValueError(f"{key}.name: {exc}") from None
        rtype, read = _TYPES[record.type]
        try:
            item = _Own(rtype, record.ttl, read(record.value.strip() if rtype != TXT else record.value))
        except ValueError as exc:
            raise ValueError(f"{key}.value: {exc}") from None
        items = found.setdefault(name, [])
        if any((item.rtype, item.data) == (other.rtype, other.data) for other in items):
            raise ValueError(f"{key}: it stands there twice")
        if items and wire.CNAME in (rtype, items[0].rtype):
            raise ValueError(f"{key}: a name with a CNAME has nothing else")
        items.append(item)
        if len(items) > MAX_RECORDS or sum(len(other.data) + 12 for other in items) > MAX_BYTES:
            raise ValueError(f"{key}: a name has {MAX_RECORDS} records and {MAX_BYTES} bytes at most")
    _check_aliases(records, found)
    return found


def _check_aliases(records: Sequence[Record], found: dict[bytes, list[_Own]]) -> None:
    for number, record in enumerate(records):
        items = found[wire_name(host_labels(record.name))]
        for _alias in range(MAX_ALIASES + 1):
            if items[0].rtype != wire.CNAME or items[0].data not in found:
                break
            items = found[items[0].data]
        else:
            raise ValueError(f"dns.records.{number}: a circle of CNAMEs, or more than {MAX_ALIASES} in a row")


def _ipv4(value: str) -> bytes:
    try:
        return ipaddress.IPv4Address(value).packed
    except ValueError:
        raise ValueError("write an IPv4 address such as 192.0.2.1") from None


def _ipv6(value: str) -> bytes:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise ValueError("write an IPv6 address such as 2001:db8::1")
    return address.packed


def _target(value: str) -> bytes:
    host = names.host(value)
    if host is None or names.is_address(host):
        raise ValueError("write a host name such as server.example")
    return wire_name(host_labels(host))


def _text(value: str) -> bytes:
    """Return a text as TXT holds it: in strings of 255 bytes at most, that stand for one (RFC 7208, section 3.3)."""
    text = value.encode()
    return b"".join(bytes((len(text[at : at + 255]),)) + text[at : at + 255] for at in range(0, len(text), 255))


def _numbered(count: int, example: str) -> Callable[[str], bytes]:
    """Return the reader of `count` numbers and a name; the name `.` says that there is no such service."""

    def read(value: str) -> bytes:
        words = value.split()
        numbers = [int(item) for item in words[:count] if item.isascii() and item.isdigit() and len(item) < 6]
        if len(numbers) != count or len(words) != count + 1:
            raise ValueError(f"write {example}")
        try:
            head = struct.pack(f"!{count}H", *numbers)
        except struct.error:
            raise ValueError("a number is 65535 at most") from None
        return head + (b"\0" if words[count] == "." else _target(words[count]))

    return read


_TYPES: Final[dict[str, tuple[int, Callable[[str], bytes]]]] = {
    "A": (wire.A, _ipv4),
    "AAAA": (wire.AAAA, _ipv6),
    "CNAME": (wire.CNAME, _target),
    "PTR": (PTR, _target),
    "TXT": (TXT, _text),
    "MX": (MX, _numbered(1, "a preference and a name, such as 10 mail.example")),
    "SRV": (SRV, _numbered(3, "priority, weight, port and a name, such as 0 5 5060 sip.example")),
}
