"""Answers of upstreams: read once, remembered apart from any verdict, given again with their TTL aged.

One cache serves all profiles, for it holds what upstreams said and never what we decided. Answer and authority section
are kept byte by byte; the additional section is dropped, since it would carry addresses of names that nobody judged.
No client is told a TTL of more than a day: else the owner of a name could choose for how many years it is kept there,
whatever comes to be listed.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from . import names, wire
from .wire import Malformed

MAX_RECORDS = 500
"""Records of an upstream's answer; one with more is taken for an attack on our time."""
MAX_TTL = 86_400
"""Seconds that an answer is kept at most, by us and by clients (RFC 8767, section 4, lets us say less)."""
MAX_NEGATIVE_TTL = 900
"""Seconds that a denial is kept at most (RFC 2308 allows up to three hours)."""
FAILURE_TTL = 5
"""Seconds that a failure is kept, so that a name nobody can resolve is not asked for ever anew (RFC 9520)."""
STALE_TTL = 30
"""Seconds that a client may keep an answer whose time is over, and that nobody is asked again (RFC 8767, section 5)."""
LONGEST_TTL = 0x7FFFFFFF
EDE_STALE, EDE_STALE_NXDOMAIN = 3, 19
BYTES_PER_RECORD = 40
"""Bytes of memory that the place of a record's TTL takes."""
BYTES_PER_ENTRY = 512
"""What an entry may take on average; beyond it the oldest leave before the number of entries is reached."""

FINAL = (wire.NOERROR, wire.NXDOMAIN, wire.YXDOMAIN)
"""Response codes that answer a question; any other says that the upstream could not."""

_TTL = struct.Struct("!I")
_PLAIN = struct.Struct("!HHHIH")
"""A record whose owner is a pointer: owner, type, class, TTL and length."""
_ASKED = 0xC000 | wire.HEADER.size
_ADDRESSES = (wire.A, wire.AAAA)


@dataclass(slots=True)  # not frozen, which costs a microsecond for each; nobody changes one all the same
class Answer:
    """What an upstream said, less header, question and additional section.

    `body` may point into the question by compression, so it is only ever put behind a question of the same length.
    `ttl_at` are the offsets of TTLs in `body`; `chain` are further names that the answer leads to, as they are judged;
    `lifetime` is in seconds, 0 where it must not be kept; `ede` the extended error to tell where nobody gave an answer;
    `ad` tells that the upstream called it authenticated (RFC 4035) and is one to be believed.
    """

    rcode: int
    body: bytes = field(repr=False)
    answers: int
    authorities: int
    ttl_at: tuple[int, ...]
    chain: tuple[str, ...] = field(repr=False)
    lifetime: int
    ede: int | None = None
    ad: bool = False
    lasting: bool = False
    """Whether a TTL in `body` is more than may be said."""

    @property
    def failed(self) -> bool:
        """Whether it says no more than that there is none."""
        return self.rcode not in FINAL

    def stale(self) -> Answer:
        """Return what may be given of it after its time."""
        ede = EDE_STALE_NXDOMAIN if self.rcode == wire.NXDOMAIN else EDE_STALE
        body = bytearray(self.body)
        for at in self.ttl_at:
            _TTL.pack_into(body, at, STALE_TTL)
        return replace(self, body=bytes(body), lifetime=0, ede=ede, ad=False)

    def aged(self, seconds: int, most: int = LONGEST_TTL) -> bytes:
        """Return the body with every TTL `seconds` lower, and `most` at most.

        None falls below 0, is above MAX_TTL, nor counts if its top bit is set.
        """
        if not seconds and most == LONGEST_TTL and not self.lasting:
            return self.body
        body, most = bytearray(self.body), min(most, MAX_TTL)
        for at in self.ttl_at:
            _TTL.pack_into(body, at, min(most, max(0, _plain(_TTL.unpack_from(body, at)[0]) - seconds)))
        return bytes(body)


def failure(rcode: int, ede: int | None = None, lifetime: int = FAILURE_TTL) -> Answer:
    """Return the answer that says no more than that there is none."""
    return Answer(rcode, b"", 0, 0, (), (), lifetime, ede)


def read_answer(packet: bytes, *, ad: bool = False) -> Answer:
    """Return the answer in a reply whose id and question were verified. Raises Malformed, also where it is too long."""
    _, flags, _, answers, authorities, additional = wire.HEADER.unpack_from(packet)
    if answers + authorities + additional > MAX_RECORDS:
        raise Malformed("too many records")
    if answers and not authorities and not flags & wire.RCODE and (plain := _read_plain(packet, answers)) is not None:
        body, ttl_at, lifetime = plain
        return Answer(wire.NOERROR, body, answers, 0, ttl_at, (), lifetime, None, ad)
    asked, qtype, _, start = wire.read_question(packet)
    # What follows is not kept, so no name may reach into it: a client would read another one there.
    packet = packet[: wire.end_of_records(packet, start, answers + authorities)]
    at, records, known, lasting = start, [], {wire.HEADER.size: asked}, False
    for _number in range(answers + authorities):
        record = wire.read_record(packet, at, known)
        if record.rtype == wire.OPT:
            raise Malformed("an OPT record out of place")
        records.append(record)
        lasting = lasting or record.ttl > MAX_TTL
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
        ad=ad,
        lasting=lasting,
    )


def _read_plain(packet: bytes, answers: int) -> tuple[bytes, tuple[int, ...], int] | None:
    """Return body, offsets of TTLs and lifetime of an answer that holds addresses of the name asked for, and no more.

    Such are most answers, and what follows reads them at a tenth of the cost. None for any other.
    """
    try:
        at = start = packet.index(0, wire.HEADER.size) + 5  # past this zero a name with others in it is no longer plain
        qtype, lowest, ttl_at = packet[at - 3], MAX_TTL, []
        size = 4 if qtype == wire.A else 16
        if qtype not in _ADDRESSES or packet[at - 4] or packet[at - 2] or packet[at - 1] != wire.IN:
            return None
        for _number in range(answers):
            owner, rtype, rclass, ttl, length = _PLAIN.unpack_from(packet, at)
            if owner != _ASKED or rtype != qtype or rclass != wire.IN or length != size or ttl > MAX_TTL:
                return None
            lowest = min(lowest, ttl)
            ttl_at.append(at + 6 - start)
            at += 12 + size
    except (ValueError, IndexError, struct.error):
        return None
    if at > len(packet) or not _is_name(packet, start - 4):
        return None
    return packet[start:at], tuple(ttl_at), lowest


def _is_name(packet: bytes, end: int) -> bool:
    """Tell whether one name, without compression, lies between the header and `end`."""
    at = wire.HEADER.size
    while at < end:
        length = packet[at]
        if not length:
            return at + 1 == end
        if length > 63:
            return False
        at += length + 1
    return False


def _lifetime(packet: bytes, qtype: int, rcode: int, answers: list[wire.Record], rest: list[wire.Record]) -> int:
    """Return how long an answer may be kept: its lowest TTL; for a denial what its SOA says (RFC 2308, section 5)."""
    lowest, answered = MAX_TTL, False
    for record in answers:
        lowest = min(lowest, _plain(record.ttl))
        answered = answered or qtype in (record.rtype, wire.ANY)
    for record in rest:
        lowest = min(lowest, _plain(record.ttl))
    if rcode == wire.NOERROR and answered:
        return lowest
    soa = next((record for record in rest if record.rtype == wire.SOA), None)
    if soa is None or rcode not in (wire.NOERROR, wire.NXDOMAIN) or soa.end - soa.data_at < 20:
        return 0  # no denial without a SOA may be kept
    minimum = _plain(_TTL.unpack_from(packet, soa.end - 4)[0])
    return min(lowest, minimum, MAX_NEGATIVE_TTL)


def _plain(ttl: int) -> int:
    return ttl if ttl < 0x80000000 else 0  # RFC 2181, section 8


class Known(NamedTuple):
    """An answer that is remembered, `age` whole seconds after the moment `born`."""

    answer: Answer
    age: int
    born: float
    due: bool
    """Whether it is asked for often and ends soon, so that it should be asked anew."""

    def __repr__(self) -> str:
        """Hide the answer."""
        return f"Known(age={self.age}, due={self.due})"


class _Entry:
    """What is kept under a key."""

    __slots__ = ("answer", "born", "hits", "rests_until")

    def __init__(self, answer: Answer, born: float) -> None:
        self.answer, self.born, self.hits, self.rests_until = answer, born, 0, 0.0


class AnswerCache:
    """A bounded memory of answers; the one used longest ago leaves first. Times are seconds of one monotonic clock.

    An answer is kept for `stale` seconds beyond its lifetime, for when nobody can be asked (RFC 8767).
    """

    def __init__(self, entries: int, stale: float = 0.0) -> None:
        self._most, self._budget, self._bytes = entries, entries * BYTES_PER_ENTRY, 0
        self._stale = stale
        self._kept: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now: float) -> Known | None:
        """Return what is kept under `key` and still holds, or None."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        answer, age = entry.answer, int(now - entry.born)
        if age >= answer.lifetime:
            if answer.failed or age >= answer.lifetime + self._stale:
                self._forget(key)
            return None
        self._kept.move_to_end(key)
        entry.hits += 1
        due = entry.hits > 1 and now >= max(due_at(answer, entry.born), entry.rests_until)
        return Known(answer, age, entry.born, due)

    def stale(self, key: bytes, now: float) -> tuple[Answer, bool] | None:
        """Return what is kept under `key` although its time is over, as it may be given.

        And whether asking for it failed so lately that it is not asked for again yet.
        """
        entry = self._kept.get(key)
        if entry is None or entry.answer.failed or now - entry.born >= entry.answer.lifetime + self._stale:
            return None
        return entry.answer.stale(), now < entry.rests_until

    def put(self, key: bytes, answer: Answer, now: float) -> None:
        """Keep `answer` for its lifetime, unless that is nothing. A failure takes the place of no answer."""
        if answer.failed and self.stale(key, now) is not None:
            self._kept[key].rests_until = now + STALE_TTL
            return
        self._forget(key)
        size = _size(answer)
        if answer.lifetime <= 0 or size > self._budget:
            return
        self._kept[key] = _Entry(answer, now)
        self._bytes += size
        while len(self._kept) > self._most or self._bytes > self._budget:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= _size(found.answer)


def _size(answer: Answer) -> int:
    """Return about how many bytes of memory `answer` takes.

    By pointers a short body may lead to many long names, and what is noted of its records may take more than they do.
    """
    names_size = sum(map(len, answer.chain)) if answer.chain else 0
    return len(answer.body) + BYTES_PER_RECORD * len(answer.ttl_at) + names_size


def due_at(answer: Answer, born: float) -> float:
    """Return from when on an answer that is asked for often should be asked anew: the last tenth of its lifetime."""
    return born + 0.9 * answer.lifetime
