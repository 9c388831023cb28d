"""Answers of upstreams: read once, remembered apart from any verdict, given again with their TTL aged.

One cache serves all profiles, for it holds what upstreams said and never what we decided. Answer and authority section
are kept byte by byte; the additional section is dropped, since it would carry addresses of names that nobody judged.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from . import names, wire
from .wire import Malformed

MAX_RECORDS = 500
"""Records of an upstream's answer; one with more is taken for an attack on our time."""
MAX_TTL = 86_400
"""Seconds that an answer is kept at most."""
MAX_NEGATIVE_TTL = 900
"""Seconds that a denial is kept at most (RFC 2308 allows up to three hours)."""
FAILURE_TTL = 5
"""Seconds that a failure is kept, so that a name nobody can resolve is not asked for ever anew (RFC 9520)."""
LONGEST_TTL = 0x7FFFFFFF
BYTES_PER_ENTRY = 512
"""What an entry may take on average; beyond it the oldest leave before the number of entries is reached."""

_TTL = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream said, less header, question and additional section.

    `body` may point into the question by compression, so it is only ever put behind a question of the same length.
    `ttl_at` are the offsets of TTLs in `body`; `chain` are further names that the answer leads to, as they are judged;
    `lifetime` is in seconds, 0 where it must not be kept; `ede` the extended error to tell where nobody gave an answer.
    """

    rcode: int
    body: bytes = field(repr=False)
    answers: int
    authorities: int
    ttl_at: tuple[int, ...]
    chain: tuple[str, ...] = field(repr=False)
    lifetime: int
    ede: int | None = None

    def aged(self, seconds: int, most: int = LONGEST_TTL) -> bytes:
        """Return the body with every TTL `seconds` lower, and `most` at most.

        None falls below 0, nor counts if its top bit is set.
        """
        if not seconds and most == LONGEST_TTL:
            return self.body
        body = bytearray(self.body)
        for at in self.ttl_at:
            _TTL.pack_into(body, at, min(most, max(0, _plain(_TTL.unpack_from(body, at)[0]) - seconds)))
        return bytes(body)


def failure(rcode: int, ede: int | None = None, lifetime: int = FAILURE_TTL) -> Answer:
    """Return the answer that says no more than that there is none."""
    return Answer(rcode, b"", 0, 0, (), (), lifetime, ede)


def read_answer(packet: bytes) -> Answer:
    """Return the answer in a reply whose id and question were verified. Raises Malformed, also where it is too long."""
    _, flags, _, answers, authorities, additional = wire.HEADER.unpack_from(packet)
    if answers + authorities + additional > MAX_RECORDS:
        raise Malformed("too many records")
    asked, qtype, _, start = wire.read_question(packet)
    at, records, known = start, [], wire.Known()
    for _number in range(answers + authorities):
        record = wire.read_record(packet, at, known)
        if record.rtype == wire.OPT:
            raise Malformed("an OPT record out of place")
        records.append(record)
        at = record.end
    rcode = flags & wire.RCODE
    return Answer(
        rcode=rcode,
        body=packet[start:at],
        answers=answers,
        authorities=authorities,
        ttl_at=tuple(record.ttl_at - start for record in records),
        chain=names.chain(packet, asked, records[:answers], known),
        lifetime=_lifetime(packet, qtype, rcode, records[:answers], records[answers:]),
    )


def _lifetime(packet: bytes, qtype: int, rcode: int, answers: list[wire.Record], rest: list[wire.Record]) -> int:
    """Return how long an answer may be kept: its lowest TTL; for a denial what its SOA says (RFC 2308, section 5)."""
    lowest = min((_plain(record.ttl) for record in (*answers, *rest)), default=MAX_TTL)
    if rcode == wire.NOERROR and any(qtype in (record.rtype, wire.ANY) for record in answers):
        return min(lowest, MAX_TTL)
    soa = next((record for record in rest if record.rtype == wire.SOA), None)
    if soa is None or rcode not in (wire.NOERROR, wire.NXDOMAIN) or soa.end - soa.data_at < 20:
        return 0  # no denial without a SOA may be kept
    minimum = _plain(_TTL.unpack_from(packet, soa.end - 4)[0])
    return min(lowest, minimum, MAX_NEGATIVE_TTL)


def _plain(ttl: int) -> int:
    return ttl if ttl < 0x80000000 else 0  # RFC 2181, section 8


class AnswerCache:
    """A bounded memory of answers; the one used longest ago leaves first. Times are seconds of one monotonic clock."""

    def __init__(self, entries: int) -> None:
        self._most, self._budget, self._bytes = entries, entries * BYTES_PER_ENTRY, 0
        self._kept: OrderedDict[bytes, tuple[Answer, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now: float) -> tuple[Answer, int] | None:
        """Return the answer kept under `key` and its age in whole seconds, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        answer, since = found
        age = int(now - since)
        if age >= answer.lifetime:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return answer, age

    def put(self, key: bytes, answer: Answer, now: float) -> None:
        """Keep `answer` for its lifetime, unless that is nothing."""
        self._forget(key)
        if answer.lifetime <= 0 or len(answer.body) > self._budget:
            return
        self._kept[key] = (answer, now)
        self._bytes += len(answer.body)
        while len(self._kept) > self._most or self._bytes > self._budget:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0].body)
