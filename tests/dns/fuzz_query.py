"""What clients send: any packet is answered well or dropped, and from memory as it was the first time."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode

from filterproxy.core.model import Entry, Https, Kind, Listing, Scope
from filterproxy.dns import names, usual, wire
from filterproxy.dns.asking import TCP, UDP
from filterproxy.dns.cache import Answer, failure, read_answer
from filterproxy.dns.memo import Memos, Template
from tests.dns.fakes import CLIENT, Below, bench, exact, policy_of, query, tree
from tests.dns.fuzzing import hidden

POLICY = policy_of(
    (Listing("law", ede=16, mandatory=True), tree("blocked.example")),
    (Listing("exact", ede=15), exact("zqwanted.only.example")),
    (Listing("seen", https=Https.INSPECT), [Entry(Kind.URL, "zqwanted.seen.example/page", Scope.PAGE)]),
)
BLOCKED = (b"blocked", b"example")
NAMES = (
    "zqwanted.example", "zqwanted.blocked.example", "zqwanted.only.example", "_8443._https.zqwanted.seen.example",
    "zqwanted-fail.example", "xn--zqwanted-kva.example", "ZqWaNtEd.Example", ".",
)  # fmt: skip
_SOA = b"\xc0\x0c\0\6\0\1\0\0\0\x3c\0\x16\0\0" + b"\0\0\0\x3c" * 5
_HTTPS = b"\0\1\0" + b"\0\1\0\6\2h2\2h3" + b"\0\5\0\x08\0\6\0\1\0\2ab"


def seeds() -> list[bytes]:
    """Return questions of every sort, each with RD."""
    found = []
    for name in NAMES:
        for rtype in ("A", "TXT", "HTTPS", "ANY", "AXFR", "OPT"):
            found += [bytes(query(name, rtype, edns=size).pack()) for size in (None, 512, 4096)]
        found.append(bytes(query(name, do=True).pack()))
    plain = bytes(query("zqwanted.example", edns=None).pack())
    whole = bytes(query("zqwanted.example").pack())
    cookie = whole[:-2] + b"\0\x0c\0\x0a\0\x08zqwanted"
    dotted = plain[:12] + b"\x08zqwanted\x09only.here\7example\0" + plain[-4:]
    found += [dotted, cookie, cookie + cookie, plain + b"\0", plain[:12] + b"\xc0\x0c\0\1\0\1"]
    found.append(plain[:4] + b"\0\2" + plain[6:] + plain[12:])
    for flags in (0, 1, 0x28, 0x81):
        found += [bytes([*plain[:2], flags, low, *plain[4:]]) for low in (0, 0x10, 0x20, 0x30)]
    return found


def _said(asked: wire.Query) -> Answer:
    if asked.name[1:15].lower().startswith(b"zqwanted-fail"):
        return failure(wire.SERVFAIL, 22)
    data = {wire.A: b"\xc0\0\2\1", 16: b"\xc8" + b"t" * 200, wire.HTTPS: _HTTPS}.get(asked.qtype)
    if data is None:
        return read_answer(wire.HEADER.pack(0, wire.QR, 1, 0, 1, 0) + asked.question + _SOA)
    count = 9 if asked.qtype == 16 else 1
    fixed = asked.qtype.to_bytes(2) + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2)
    records = (b"\xc0\x0c" + fixed + data) * count
    return read_answer(wire.HEADER.pack(0, wire.QR, 1, count, 0, 0) + asked.question + records, ad=True)


HERE = bench(policy=POLICY, rest=Below(_said), cache_entries=512)
MEMO = Memos(512, host=POLICY.bundle.host).of("default")


def run(data: bytes) -> None:
    """Ask over UDP, over TCP, from the cache, from both memos, and as somebody who is not served."""
    HERE.resolver._forward._rest.asked.clear()  # type: ignore[attr-defined]
    asked = _read(data)
    first, _ = _answered(data)
    again, template = _answered(data)
    assert first == again
    if first is None:
        assert len(data) < 12 or data[2] & 0x80
        return
    _check(data, asked, first, tcp=False)
    now = HERE.clock()
    if template is not None:
        MEMO.learn(data[2:], template, now)
        given = MEMO.again(data[2:], now)
        assert given is None or data[:2] + given[1] == first
    elif given := MEMO.again(data[2:], now):
        assert data[:2] + given[1] == first
    _check(data, asked, _answered(data, tcp=True)[0] or b"", tcp=True)
    refused, _ = _answered(data, "203.0.113.9")
    assert refused is not None
    assert refused[3] & 15 in (wire.REFUSED, wire.FORMERR, wire.NOTIMP)
    assert len(refused) <= len(data) + 20  # it helps nobody to flood a third


def _answered(data: bytes, client: str = CLIENT, *, tcp: bool = False) -> tuple[bytes | None, Template | None]:
    said: list[tuple[bytes | None, Template | None]] = []
    HERE.resolver.answer(data, client, lambda reply, template: said.append((reply, template)), TCP if tcp else UDP)
    assert len(said) == 1
    return said[0]


def _read(data: bytes) -> wire.Query | None:
    """Return the question, asserting that all who read it read the same."""
    short = usual.key(data, 2)
    try:
        asked = wire._read_any(data)
    except wire.Malformed as exc:
        hidden(exc)
        assert wire._read_usual(data) is None
        assert short is None
        return None
    hidden(asked)
    quick = wire._read_usual(data)
    assert quick is None or (quick == asked and quick.labels == asked.labels and quick.key == asked.key)
    assert wire.read_stranger(data).question == asked.question
    assert names.judged_as(asked.name) == names.judged(asked.labels)
    if short is not None:
        assert short[1] == len(asked.question)
        assert short[0].startswith(asked.name.lower() + asked.question[-4:])
    return asked


def _check(data: bytes, asked: wire.Query | None, reply: bytes, *, tcp: bool) -> None:
    assert reply[:2] == data[:2]
    told = dns.message.from_wire(reply)
    assert told.flags & dns.flags.QR
    assert not told.flags & dns.flags.AA
    if asked is None or not told.question:
        assert len(reply) == 12
        assert told.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP)
        return
    assert reply[12:].startswith(asked.question)
    assert (told.edns >= 0) == (asked.edns is not None)
    assert not told.flags & dns.flags.AD or asked.do or asked.flags & wire.AD
    if not tcp:
        assert len(reply) <= (512 if asked.edns is None else min(asked.edns.size, 1232))
    labels = tuple(label.lower() for label in asked.labels)
    if labels[-2:] == BLOCKED:
        assert not told.answer
        assert told.rcode() in (dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.FORMERR, dns.rcode.BADVERS)
