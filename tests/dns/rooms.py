"""What the tests of the rooms share: questions as they come, a room below that knows some names, answers read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dnslib import QTYPE, RCODE, RD, RR, DNSRecord

from filterproxy.dns import wire
from filterproxy.dns.answers import relayed
from filterproxy.dns.asking import Asks, Then
from filterproxy.dns.cache import LONGEST_TTL, Answer, failure, read_answer
from filterproxy.dns.records import wire_name
from filterproxy.dns.wire import Query
from tests.dns import fakes

SOA = "authority example 900 IN SOA ns.example. admin.example. 1 2 3 4 120"


def question(name: Any, rtype: str = "A", *, do: bool = False, cd: bool = False) -> Query:
    """Return a question as a client's packet spells it; `name` is text, or labels."""
    record = fakes.query("a.example", rtype, do=do)
    record.header.cd = cd
    found = wire.read_query(bytes(record.pack()))
    labels = tuple(name) if not isinstance(name, str) else tuple(name.encode().split(b"."))
    packet = bytes(record.pack())[:12] + wire_name(labels) + bytes(record.pack())[12 + len(found.name) :]
    return wire.read_query(packet)


def records(text: str) -> list[RR]:
    """Return the records that lines of a zone file spell; `#` and hexadecimal after a number are data of any type."""
    found: list[RR] = []
    for line in text.splitlines():
        words = line.split()
        if words[4:5] == ["#"]:
            found.append(RR(words[0], int(words[3]), ttl=int(words[1]), rdata=RD(bytes.fromhex("".join(words[5:])))))
        else:
            found.extend(RR.fromZone(line))
    return found


def reply(query: Query, text: str) -> bytes:
    """Return a message that answers `query` with `text`: lines of a zone file, an RCODE's name before them or not.

    Lines that begin with `authority` are of that section.
    """
    made = DNSRecord.parse(wire.HEADER.pack(7, 0x0100, 1, 0, 0, 0) + query.question).reply(aa=0)
    first, _, rest = text.partition("\n")
    if first in RCODE.reverse:
        made.header.rcode, text = RCODE.reverse[first], rest
    lines = text.splitlines()
    made.add_answer(*records("\n".join(line for line in lines if not line.startswith("authority "))))
    made.add_auth(*records("\n".join(line[10:] for line in lines if line.startswith("authority "))))
    return bytes(made.pack())


def said(query: Query, text: str) -> Answer:
    """Return an upstream's answer, as it is read."""
    return read_answer(reply(query, text), ad=True)


def unread(query: Query, text: str) -> Answer:
    """Return an answer as `said` does, though `read_answer` would refuse it: no name and no parameter is looked at."""
    packet = reply(query, text)
    start = wire.HEADER.size + len(query.question)
    at, ttls = start, []
    while at < len(packet):
        record = wire.read_record(packet, at)
        ttls.append(record.ttl_at - start)
        at = record.end
    return Answer(wire.NOERROR, packet[start:], len(ttls), 0, tuple(ttls), (), 60, ad=True)


@dataclass
class Below(Asks):
    """The room below: answers by name and type, later where `late`; NXDOMAIN for what it does not know."""

    zone: dict[tuple[str, str], str | Answer] = field(default_factory=dict)
    late: bool = False
    asked: list[Query] = field(default_factory=list)
    given: list[Answer] = field(default_factory=list)
    waiting: list[tuple[Then, Answer]] = field(default_factory=list)

    def ask(self, query: Query, then: Then) -> None:
        name = b".".join(query.labels).lower().decode("latin-1")
        found = self.zone.get((name, QTYPE[query.qtype]), failure(wire.NXDOMAIN))
        answer = found if isinstance(found, Answer) else said(query, found)
        self.asked.append(query)
        self.given.append(answer)
        if self.late:
            self.waiting.append((then, answer))
        else:
            then(answer)

    @property
    def names(self) -> list[tuple[str, str]]:
        """What was asked, by name and type."""
        return [(b".".join(item.labels).decode("latin-1"), QTYPE[item.qtype]) for item in self.asked]


def ask(room: Asks, query: Query, *late: Below) -> Answer:
    """Return the one answer that `room` gives, after all that `late` rooms below it have been let go."""
    found: list[Answer] = []
    room.ask(query, found.append)
    while any(below.waiting for below in late):
        for below in late:
            waiting, below.waiting = below.waiting, []
            for then, answer in waiting:
                assert found == []
                then(answer)
    assert len(found) == 1
    return found[0]


def message(query: Query, answer: Answer) -> DNSRecord:
    """Return the message that a client gets, read by another hand than ours."""
    return DNSRecord.parse(relayed(query, answer, 0, LONGEST_TTL))


def lines(query: Query, answer: Answer) -> list[str]:
    """Return the answer section, a record a line: owner, TTL, type and data."""
    return [f"{rr.rname} {rr.ttl} {QTYPE[rr.rtype]} {rr.rdata}" for rr in message(query, answer).rr]
