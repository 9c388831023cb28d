"""Private addresses in answers of upstreams are withheld, so that no web site reaches into a home by DNS rebinding.

An address counts in every form in which it would be used: IPv4 also as IPv6, mapped or behind a translator (NAT64),
and both as hints of HTTPS and SVCB records. Which question an answer is to does not matter: whoever is lenient might
take an address from any.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from . import svcparams, wire
from .records import UNREADABLE, denial, host_labels, wire_name
from .wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .asking import Asks, Then
    from .cache import Answer
    from .dns64 import Prefix
    from .wire import Query

EDE_BLOCKED = 15
_COMPATIBLE: Final = bytes(12)
_EMBEDDING: Final = (bytes(10) + b"\xff\xff", b"\0\x64\xff\x9b" + bytes(8))
"""How an IPv6 address begins that ends in an IPv4 address: mapped, or 64:ff9b::/96 (RFC 6052)."""
_SUSPECT4: Final = bytes(first in (0, 10, 100, 127, 169, 172, 192) for first in range(256))
_SUSPECT6: Final = bytes(first in (0, 0xFC, 0xFD, 0xFE) for first in range(256))
"""Whether an address may be private, by its first byte: nearly all are none."""
_ADDRESSES: Final = frozenset((wire.A, wire.AAAA, wire.SVCB, wire.HTTPS))


def is_private4(address: bytes) -> bool:
    """Tell whether 4 bytes are this network's, this machine's, a link's, a home's or a provider's (RFC 6890)."""
    first, second = address[0], address[1]
    return (
        first in (0, 10, 127)
        or (first == 192 and second == 168)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 169 and second == 254)
        or (first == 100 and second & 0xC0 == 64)
    )


def is_private6(address: bytes) -> bool:
    """Tell whether 16 bytes are ::/96, of a link or a site (fe80::/9), unique-local, or hold such an IPv4 address."""
    first = address[0]
    if first:
        return first & 0xFE == 0xFC or (first == 0xFE and address[1] >= 0x80)
    head = address[:12]
    return head == _COMPATIBLE or (head in _EMBEDDING and is_private4(address[12:]))


class Private:
    """Answers of `rest`; a denial with EDE 15 instead where one holds a private address.

    `allowed` are canonical hosts that may have private addresses, with all below them; only the name asked for counts,
    for anybody may lead to an allowed one. `event` counts "dns_rebinding". `prefix` is the network's own of a NAT64.
    Raises ValueError for a host that no name can have.
    """

    def __init__(
        self, rest: Asks, allowed: Sequence[str], event: Callable[[str], None], prefix: Prefix | None = None
    ) -> None:
        self._rest, self._event, self._prefix = rest, event, prefix
        self._allowed = frozenset(wire_name(host_labels(host)) for host in allowed)
        self._suspect6 = _SUSPECT6
        if prefix is not None:
            first = prefix.head[0]
            self._suspect6 = _SUSPECT6[:first] + b"\1" + _SUSPECT6[first + 1 :]

    def ask(self, query: Query, then: Then) -> None:
        self._rest.ask(query, partial(self._look, query, then))

    def _look(self, query: Query, then: Then, answer: Answer) -> None:
        try:
            if answer.ttl_at and self._found(answer) and not self._may(query):
                self._event("dns_rebinding")
                answer = denial(query, EDE_BLOCKED)
        except Malformed:
            answer = UNREADABLE
        then(answer)

    def _found(self, answer: Answer) -> bool:
        """Tell whether a record holds a private address. Raises Malformed.

        Every miss comes by here, so no name is read: around a record's TTL stand its type and its data.
        """
        body = answer.body
        for at in answer.ttl_at:
            rtype = body[at - 3]
            if rtype not in _ADDRESSES or body[at - 4]:
                continue
            size, data = body[at + 4] << 8 | body[at + 5], at + 6
            if rtype == wire.A:
                if size != 4:
                    raise Malformed("an address of another length")
                if _SUSPECT4[body[data]] and is_private4(body[data : data + 4]):
                    return True
            elif rtype == wire.AAAA:
                if size != 16:
                    raise Malformed("an address of another length")
                if self._suspect6[body[data]] and self._is_private6(body[data : data + 16]):
                    return True
            elif self._hinted(body, data, data + size):
                return True
        return False

    def _hinted(self, body: bytes, at: int, end: int) -> bool:
        if svcparams.is_alias(body, at):
            return False
        params = svcparams.read(body, svcparams.begin(body, at, end), end)
        return any(
            is_private4(address) if len(address) == 4 else self._is_private6(address)
            for address in svcparams.addresses(params)
        )

    def _is_private6(self, address: bytes) -> bool:
        if is_private6(address):
            return True
        embedded = None if self._prefix is None else self._prefix.extract(address)
        return embedded is not None and is_private4(embedded)

    def _may(self, query: Query) -> bool:
        name, at = query.name.lower(), 0
        while name[at]:
            if name[at:] in self._allowed:
                return True
            at += name[at] + 1
        return False
