"""HTTPS and SVCB records as hosts get them that the gateway is to see: without ECH and HTTP/3, or not at all.

What is made here goes to one client; the answer that it is made of stays as it is. Where a record changes, signatures
over it go, and nobody calls the answer authenticated any more. Both functions raise Malformed, and return the very
answer they got where nothing in it is theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import svcparams, wire
from .records import Draft, Said, read
from .svcparams import ALPN, ECH, MANDATORY, NO_DEFAULT_ALPN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cache import Answer
    from .svcparams import Params
    from .wire import Labels, Query, Record

_TYPES = (wire.SVCB, wire.HTTPS)
_QUIC = b"h3"
"""What every protocol begins with that is HTTP over QUIC: h3, and its drafts as h3-29."""


def withheld(answer: Answer, query: Query) -> Answer:
    """Return `answer` without its HTTPS and SVCB records: what else it says stays, else it is a denial."""
    if not _any(answer):
        return answer
    said = read(query, answer)
    return _without(answer, query, said, {record: None for record in said.answers if record.rtype in _TYPES})


def stripped(answer: Answer, query: Query) -> Answer:
    """Return `answer` with `ech` and all protocols over QUIC taken out of its HTTPS and SVCB records.

    A record that offers nothing else goes (RFC 9460, section 7.1.2: no default, and no protocol left).
    """
    if not _any(answer):
        return answer
    said = read(query, answer)
    changed: dict[Record, bytes | None] = {}
    for record in said.answers:
        if record.rtype in _TYPES:
            alias = svcparams.is_alias(said.packet, record.data_at)  # its parameters say nothing, sound or not
            start = svcparams.begin(said.packet, record.data_at, record.end)
            try:
                params = svcparams.read(said.packet, start, record.end)
            except wire.Malformed:
                if alias:
                    continue
                raise
            left = _stripped(params)
            if left == params:
                continue
            goes = not alias and NO_DEFAULT_ALPN in dict(params) and NO_DEFAULT_ALPN not in dict(left)
            head = said.data(record)[: -len(svcparams.pack(params))]
            changed[record] = None if goes else head + svcparams.pack(left)
    return _without(answer, query, said, changed) if changed else answer


def _stripped(params: Params) -> Params:
    """Return what is left of a record's parameters: without `no-default-alpn` where it offered nothing else."""
    values = dict(params)
    values.pop(ECH, None)
    if ALPN in values:
        offered = svcparams.protocols(values[ALPN])
        left = [name for name in offered if not name.startswith(_QUIC)]
        values[ALPN] = b"".join(bytes((len(name),)) + name for name in left)
        if not left:
            del values[ALPN]
            values.pop(NO_DEFAULT_ALPN, None)
    if MANDATORY in values:
        gone = {key for key, _ in params} - values.keys()
        kept = [key for key in svcparams.keys(values[MANDATORY]) if key not in gone]
        values[MANDATORY] = b"".join(key.to_bytes(2) for key in kept)
        if not kept:
            del values[MANDATORY]
    return tuple(values.items())


def _without(answer: Answer, query: Query, said: Said, changed: Mapping[Record, bytes | None]) -> Answer:
    """Return `answer` with other data in the records that `changed` holds; those with None go, as do signatures."""
    sets = {_set(record.owner, record.rtype) for record in changed}
    draft, kept = Draft(query), False
    for record in said.answers:
        covered = said.covered(record)
        if covered is not None and _set(record.owner, covered) in sets:
            continue
        data = changed.get(record)
        if data is not None or record not in changed:
            draft.copy(said, record, data=data)
            kept = kept or query.qtype in (record.rtype, wire.ANY)
    for record in said.authorities:
        draft.copy(said, record, authority=True)
    if not kept and all(record.rtype != wire.SOA for record in said.authorities):
        draft.deny(query.labels, answer.lifetime)
    # It ends with the answer that it was made of: it is as old as that.
    return replace(draft.answer(answer.rcode, answer.ede), lifetime=answer.lifetime)


def _set(owner: Labels, rtype: int) -> tuple[tuple[bytes, ...], int]:
    return tuple(label.lower() for label in owner), rtype


def _any(answer: Answer) -> bool:
    """Tell whether the answer section holds a record of ours: its type stands 4 bytes before its TTL."""
    body = answer.body
    return any(body[at - 3] in _TYPES and not body[at - 4] for at in answer.ttl_at[: answer.answers])
