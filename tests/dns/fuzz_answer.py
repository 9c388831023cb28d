"""What upstreams say: any message is relayed by the rules or becomes a failure, whatever rooms it passes."""

from __future__ import annotations

import ipaddress

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype

from filterproxy.core.model import Entry, Https, Kind, Listing, Scope
from filterproxy.dns import svcb, wire
from filterproxy.dns.asking import TCP, UDP, Asks, Then
from filterproxy.dns.cache import Answer, failure, read_answer
from filterproxy.dns.dns64 import Dns64, Prefix
from filterproxy.dns.local import Local
from filterproxy.dns.rebinding import Private
from filterproxy.dns.records import UNREADABLE, read
from filterproxy.dns.zones import Zones
from filterproxy.settings.dns import Record
from tests.dns.fakes import CLIENT, Bench, bench, policy_of, query, tree
from tests.dns.fuzzing import hidden

POLICY = policy_of(
    (Listing("law", ede=16, mandatory=True), tree("blocked.example")),
    (Listing("seen", https=Https.INSPECT), [Entry(Kind.URL, "zqwanted.seen.example/page", Scope.PAGE)]),
)
BLOCKED = dns.name.from_text("blocked.example")
WAYS = ("strip", "withhold", "pass")
HEAD = 6
"""Bytes before the records: which question, which rooms, two of flags less QR, and how many records."""
PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16", "::1", "fc00::/7")]

_ASKED = [
    query("zqwanted.example"), query("zqwanted.example", "AAAA"), query("zqwanted.seen.example", "HTTPS", do=True),
    query("_8443._https.zqwanted.seen.example", "SVCB"), query("zqwanted.seen.example", "ANY"), query("alias.example"),
    query("zqwanted.example", "CNAME"), query("zqwanted.corp.example", "AAAA"),
    query("zqwanted.example", "TXT", edns=None),
    query("1.2.0.192.in-addr.arpa", "PTR"), query(f"{'.'.join('1000200c' + '0' * 16 + 'b9ff4600')}.ip6.arpa", "PTR"),
]  # fmt: skip
ASKED = [bytes(item.pack()) for item in _ASKED]
RECORDS = [Record(name="alias.example", type="CNAME", value="zqwanted.example")]


def seeds() -> list[bytes]:
    """Return answers of every sort to every question, through all rooms and through few."""
    return [
        bytes((which, rooms, low & 1, low, counts >> 8, counts & 0xFF)) + records
        for which in range(len(ASKED))
        for rooms, low in ((0, 0), (1, 0x20), (2, 0), (3, 3), (4, 0))
        for counts, records in _records()
    ]


def _records() -> list[tuple[int, bytes]]:
    def record(owner: bytes, rtype: int, data: bytes, ttl: int = 60) -> bytes:
        return owner + rtype.to_bytes(2) + b"\0\1" + ttl.to_bytes(4) + len(data).to_bytes(2) + data

    here, blocked = b"\xc0\x0c", b"\x07blocked\7example\0"
    soa = record(here, 6, b"\0\0" + b"\0\0\0\x3c" * 5)
    service = b"\0\1\0" + b"\0\1\0\6\2h2\2h3" + b"\0\4\0\4\xc0\0\2\1" + b"\0\5\0\x08\0\6\0\1\0\2ab"
    only = b"\0\1\0" + b"\0\0\0\4\0\1\0\2" + b"\0\1\0\3\2h3" + b"\0\2\0\0" + b"\0\6\0\x10" + bytes(15) + b"\1"
    signed = record(here, 46, b"\0\x41\5\2" + bytes(14) + b"\0sig")
    return [
        (0x100, record(here, 1, b"\xc0\0\2\1")),
        (0x200, record(here, 1, b"\xc0\0\2\1", 0) + record(here, 1, b"\xc0\xa8\0\1", 0x80000001)),
        (0x100, record(here, 28, bytes(10) + b"\xff\xff\xc0\0\2\1")),
        (0x100, record(here, 28, b"\0\x64\xff\x9b" + bytes(8) + b"\x0a\0\0\1")),
        (0x001, soa),
        (0x200, record(here, 5, blocked) + record(b"\xc0\x2d", 1, b"\xc0\0\2\1")),
        (0x200, record(b"\x07example\0", 39, blocked) + record(here, 5, b"\x08zqwanted" + blocked)),
        (0x201, record(here, 65, service) + signed + soa),
        (0x200, record(here, 64, only) + record(here, 65, b"\0\0" + blocked)),
        (0x200, record(here, 16, b"\x08zqwanted") + record(here, 35, b"\0\1\0\1\1u\3sip\0" + blocked)),
        (0x100, record(here, 12, b"\x04mail" + here)),
        (0x101, record(b"\0", 41, b"") + soa),
    ]


class Said(Asks):
    """Answers every question with what is being tried."""

    data = b""

    def ask(self, query: wire.Query, then: Then) -> None:
        _, _, high, low, answers, authorities = self.data[:HEAD]
        flags = wire.QR | high << 8 | low
        packet = wire.HEADER.pack(7, flags, 1, answers, authorities, 0) + query.question + self.data[HEAD:]
        try:
            answer = read_answer(packet, ad=bool(flags & wire.AD))
        except wire.Malformed as exc:
            hidden(exc)
            answer = UNREADABLE
        else:
            _look(query, answer)
        then(answer if not answer.failed else failure(answer.rcode, 22))


def _look(query: wire.Query, answer: Answer) -> None:
    """Assert what holds for an answer that could be read."""
    hidden(repr(answer))
    for body in (answer.aged(0), answer.aged(7), answer.aged(0, 30), answer.stale().body):
        assert len(body) == len(answer.body)
    head = wire.HEADER.pack(7, wire.QR | answer.rcode, 1, answer.answers, answer.authorities, 0)
    assert read_answer(head + query.question + answer.body, ad=answer.ad) == answer
    assert len(read(query, answer).answers) == answer.answers
    for how in (svcb.stripped, svcb.withheld):
        try:
            changed = how(answer, query)
        except wire.Malformed as exc:
            hidden(exc)
        else:
            assert set(changed.chain) <= set(answer.chain)
            assert how(changed, query).body == changed.body


SAID = Said()


def _rooms(*, dns64: bool) -> Asks:
    prefix = "64:ff9b::/96" if dns64 else None
    rest: Asks = Private(SAID, ["allowed.example"], lambda _: None, Prefix.of(prefix) if prefix else None)
    rest = Zones([("corp.example", SAID)], rest)
    return Local(Dns64(rest, prefix) if prefix else rest, RECORDS)


def _benches() -> list[Bench]:
    def made(way: str, *, dns64: bool) -> Bench:
        return bench(policy=POLICY, rest=_rooms(dns64=dns64), https_records=way, cache_entries=0)

    return [made(way, dns64=dns64) for way in WAYS for dns64 in (False, True)]


BENCHES = _benches()

WAYS_IN = {False: UDP, True: TCP}


def run(data: bytes) -> None:
    """Ask, over UDP and TCP, with `data` as what the upstream says."""
    if len(data) < HEAD:
        return
    SAID.data = data
    asked, number = ASKED[data[0] % len(ASKED)], data[1] % len(BENCHES)
    for tcp, way_in in WAYS_IN.items():
        said: list[bytes | None] = []
        resolver = BENCHES[number].resolver
        resolver.answer(asked, CLIENT, lambda reply, _, said=said: said.append(reply), way_in)  # type: ignore[misc]
        assert len(said) == 1
        assert said[0] is not None
        _check(asked, said[0], WAYS[number // 2], tcp=tcp)


def _check(asked: bytes, reply: bytes, way: str, *, tcp: bool) -> None:
    """Assert that another reader than ours finds nothing in a reply that should not be there."""
    assert reply[:2] == asked[:2]
    assert tcp or len(reply) <= 1232
    try:
        told = dns.message.from_wire(reply)
    except (dns.exception.DNSException, ValueError):
        return  # an upstream's nonsense in a record's data passes as it came
    own = told.question[0].name.is_subdomain(dns.name.from_text("corp.example"))
    for found in told.answer:
        assert not found.name.is_subdomain(BLOCKED)
        if found.rdclass != dns.rdataclass.IN:
            continue  # its data mean nothing to that reader
        for item in found:
            if found.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.HTTPS, dns.rdatatype.SVCB):
                assert not item.target.is_subdomain(BLOCKED)
            if found.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and not own:
                address = ipaddress.ip_address(item.address)
                assert not any(address in network for network in PRIVATE)
            if found.rdtype in (dns.rdatatype.HTTPS, dns.rdatatype.SVCB) and b"\x08zqwanted\4seen\7example\0" in asked:
                _check_service(item, way)


def _check_service(item: object, way: str) -> None:
    assert way != "withhold"
    params = getattr(item, "params", {})
    if way == "strip":
        assert 5 not in params
        assert not any(name.startswith(b"h3") for name in (params[1].ids if 1 in params else ()))
