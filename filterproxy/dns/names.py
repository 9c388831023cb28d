"""Which names of DNS messages are judged, and in which spelling.

A DNS label may hold any byte; a list spells hosts. What no list can spell cannot be listed itself, yet it may lie
below a listed name, so it is judged as some unlisted name below the nearest parent that can be spelled.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from itertools import dropwhile, islice
from typing import TYPE_CHECKING

from filterproxy.core import names

from . import svcparams, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .wire import Known, Labels, Record

UNSPELLABLE = "_-0-_"
"""Stands for labels that no list can spell. No list of hosts holds it, and no keyword lies in it."""

MAX_CHAIN = 32
"""Names that an answer may lead to: each is judged at every use, and honest answers lead to a few."""

FIRST = re.compile(rb"(?!xn--)[a-z0-9_-]+")
"""Labels that may stand before a host in its canonical spelling, and make another of it."""
_SERVICES = (wire.SVCB, wire.HTTPS)
_FOREIGN = frozenset(b":%[]")  # what names.host would take for something else than a part of a label


def judged(labels: Labels) -> str | None:
    """Return the canonical host under which a name is judged; None where nothing of it could be listed."""
    spelled = _spelled(labels)
    if spelled is not None:
        return spelled
    if not labels or _spelled(labels[-1:]) is None:
        return None  # whatever ends so is no name: an address at most
    # What ends in a name that can be spelled can itself be spelled up to some label, and from there on no more.
    start = bisect_left(range(len(labels)), 1, key=lambda at: _spelled(labels[at:]) is not None)
    return f"{UNSPELLABLE}.{_spelled(labels[start:])}"


def judged_as(name: bytes) -> str | None:
    """Return the same as `judged` for a name in wire form. Names often share all but their first label."""
    first = name[1 : 1 + name[0]].lower()
    if FIRST.fullmatch(first):
        above = _plain(name[1 + len(first) :].lower())
        if above and len(first) + 1 + len(above) <= names.MAX_HOST:
            return f"{first.decode()}.{above}"
    return judged(wire.read_name(name, 0)[0])


@lru_cache(maxsize=65_536)
def _plain(name: bytes) -> str:
    """Return the host that a name in wire form spells, where it has its canonical spelling already; else nothing."""
    labels = wire.read_name(name, 0)[0]
    text = b".".join(labels)
    if text.count(b".") != len(labels) - 1:  # a dot within a label is none between two
        return ""
    return text.decode() if names.PLAIN.fullmatch(text.decode("latin-1")) else ""


def served(labels: Labels) -> str | None:
    """Return the host whose service a name with underscores is about (`_8443._https.host`, RFC 9460), as judged."""
    host = tuple(dropwhile(lambda label: label.startswith(b"_"), labels))
    return judged(host) if len(host) < len(labels) else None


def _spelled(labels: Labels) -> str | None:
    """Return the host that `labels` spell, or None where they spell none or one of another number of labels."""
    text = b".".join(labels).lower()
    if not labels or text.count(b".") != len(labels) - 1 or not _FOREIGN.isdisjoint(text):
        return None
    try:
        found = names.host(text.decode())
    except UnicodeDecodeError:
        return None
    return found if found is not None and found.count(".") == len(labels) - 1 else None


def chain(packet: bytes, asked: Labels, records: Sequence[Record], known: Known) -> tuple[str, ...]:
    """Return the judged spelling of every further name that the answer section `records` leads to, each once.

    These are targets of CNAME, of DNAME as it applies to `asked` (RFC 6672), of SVCB and HTTPS (RFC 9460), the
    addresses that these hint at, and owners of records, for a client might take them without a chain.
    Raises Malformed where there are too many.
    """
    seen: dict[Labels, None] = {}
    for labels in _named(packet, asked, records, known):
        if labels != asked:
            seen[labels] = None
        if len(seen) > MAX_CHAIN:
            raise wire.Malformed("an answer that leads to too many names")
    hinted = (hint for record in records if record.rtype in _SERVICES for hint in svcparams.hints(packet, record))
    hints = list(islice(hinted, MAX_CHAIN + 1))  # one record may hold thousands
    if len(seen) + len(hints) > MAX_CHAIN:
        raise wire.Malformed("an answer that leads to too many names")
    if not seen and not hints:
        return ()
    found = dict.fromkeys(name for name in (*map(judged, seen), *hints) if name is not None)
    found.pop(judged(asked) or "", None)
    return tuple(found)


def _named(packet: bytes, asked: Labels, records: Sequence[Record], known: Known) -> Iterator[Labels]:
    current = asked
    for record in records:
        if record.rtype == wire.DNAME:
            below = _below(current, record.owner)
            if below:
                current = (*below, *wire.read_target(packet, record, 0, known))
                yield current
            continue
        if record.rtype != wire.RRSIG:  # the signature of a DNAME is owned by a parent of what was asked
            yield record.owner
        if record.rtype == wire.CNAME:
            current = wire.read_target(packet, record, 0, known)
            yield current
        elif record.rtype in _SERVICES:
            target = wire.read_target(packet, record, 2, known)
            if target:  # the root means the owner itself
                yield target


def _below(name: Labels, parent: Labels) -> Labels:
    """Return the labels of `name` that stand below `parent`; none where it does not lie below."""
    size = len(name) - len(parent)
    if size <= 0 or [label.lower() for label in name[size:]] != [label.lower() for label in parent]:
        return ()
    return name[:size]
