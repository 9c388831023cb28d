"""What is remembered changes nothing: a reply from memory is byte for byte the one that the careful way would give.

Two resolvers live through the same story. One is asked through a real socket, before which the memos stand; the other
packet by packet, as if nothing had ever been remembered but what upstreams said. They agree in every byte but the id,
in what they leave unanswered, and in what they count.
"""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any

from dnslib import QTYPE
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.core.model import Action, DnsAnswer, Entry, Kind, Listing, Scope
from filterproxy.core.policy import Policy, Profile
from filterproxy.dns import wire
from filterproxy.dns.cache import Answer, failure
from filterproxy.dns.udp import Door, Front
from tests.dns import rooms
from tests.dns.fakes import NOW, Below, Bench, answered, bench, exact, policy_of, query, tree

KIDS, ADULTS, STRANGER = "127.0.0.11", "127.0.0.12", "127.0.0.13"
PROFILES = (Profile("kids", (f"{KIDS}/32",)), Profile("adults", (f"{ADULTS}/32",), frozenset({"law", "odd"})))
SOON = [
    Entry(Kind.DOMAIN, "soon.example", Scope.TREE, not_before=NOW + timedelta(seconds=3.25)),
    Entry(Kind.DOMAIN, "late.example", Scope.TREE, not_after=NOW + timedelta(seconds=3.25)),
]


def policy(*blocked: str) -> Policy:
    return policy_of(
        (Listing("law", ede=16, mandatory=True), [*tree("blocked.example", *blocked), *SOON]),
        (Listing("exact"), exact("only.example")),
        (Listing("null", dns=DnsAnswer.NULL, ede=17), tree("null.example")),
        (Listing("odd", dns=DnsAnswer.NOTICE), tree("notice.example")),
        (Listing("seen", action=Action.INSPECT), tree("seen.example")),
        profiles=PROFILES,
    )


POLICIES = (policy(), policy("fine.example"), policy())

SOA = "authority example 9 IN SOA ns.example. admin.example. 1 2 3 4 4"
ZONE = {
    ("fine.example", "A"): "fine.example 300 IN A 192.0.2.1\nfine.example 4 IN A 192.0.2.2",
    ("fine.example", "HTTPS"): "fine.example 7 IN HTTPS 1 . alpn=h2,h3 ech=AAAA ipv4hint=192.0.2.1",
    ("seen.example", "HTTPS"): "seen.example 7 IN HTTPS 1 . alpn=h2,h3 ech=AAAA ipv4hint=192.0.2.1",
    ("fine.example", "TXT"): "\n".join(f'fine.example {n + 2} IN TXT "{n:050d}"' for n in range(12)),
    ("fine.example", "ANY"): f"fine.example 60 IN A 192.0.2.1\n{SOA}",
    ("long.example", "TXT"): "\n".join(f'long.example 9 IN TXT "{n:050d}"' for n in range(40)),
    ("leads.example", "A"): "leads.example 60 IN CNAME only.example\nonly.example 60 IN A 192.0.2.1",
    ("goes.example", "A"): "goes.example 60 IN CNAME fine.example\nfine.example 60 IN A 192.0.2.1",
    ("soon.example", "A"): "soon.example 300 IN A 192.0.2.1\nsoon.example 2 IN A 192.0.2.2",
    ("late.example", "A"): "late.example 1 IN A 192.0.2.1",
    ("zero.example", "A"): "zero.example 0 IN A 192.0.2.1",
    ("none.example", "A"): SOA,
}
NAMES: list[tuple[bytes, ...]] = [
    *((name, b"example") for name in (b"fine", b"blocked", b"only", b"null", b"notice", b"seen", b"leads", b"goes")),
    *((name, b"example") for name in (b"soon", b"late", b"zero", b"none", b"long", b"lost", b"refused")),
    (b"_8443", b"_https", b"only", b"example"),
    (b"b\xfccher", b"blocked", b"example"),
    (b"b\xfccher", b"fine", b"example"),
    (b"fine.example",),
    (b"a.b", b"\0\xff A", b"example"),
    (b"blocked\0", b"example"),
    ("bücher".encode(), b"example"),
    (b"x" * 63,) * 3 + (b"y" * 61,),
    (),
]


@lru_cache(maxsize=512)
def _said(name: bytes, labels: wire.Labels, qtype: int) -> Answer:
    asked = wire.Query(1, wire.RD, name, labels, qtype, wire.IN, None)
    text = ZONE.get((b".".join(labels).decode("latin-1"), QTYPE[qtype]))
    if b"lost" in labels:
        return failure(wire.SERVFAIL)
    if b"refused" in labels:
        return failure(wire.REFUSED, 22)
    if text is not None:
        return rooms.said(asked, text)
    soa = b"\0" + bytes((0, 6, 0, 1, 0, 0, 0, 5, 0, 22, 0, 0)) + b"\0\0\0\2" * 5
    packet = wire.HEADER.pack(1, wire.QR | wire.RD | wire.NXDOMAIN, 1, 0, 1, 0) + asked.question + soa
    return rooms.read_answer(packet, ad=True)


class Upstream(Below):
    """Knows the zone, and may be away."""

    def __init__(self) -> None:
        super().__init__(self._made)
        self.away = False

    def _made(self, query: wire.Query) -> Answer:
        if self.away:
            return failure(wire.SERVFAIL, 23, 1)
        return _said(query.name.lower(), tuple(label.lower() for label in query.labels), query.qtype)


class Pair:
    """The two resolvers, and the clients of the one that is asked through a socket."""

    def __init__(self, **dns: Any) -> None:
        self.upstreams = Upstream(), Upstream()
        self.benches: list[Bench] = [
            bench(policy=POLICIES[0], rest=item, prefetch=False, stale=timedelta(seconds=20), **dns)
            for item in self.upstreams
        ]
        self.warm, self.fresh = self.benches
        self.server = socket.socket(type=socket.SOCK_DGRAM)
        self.server.bind(("0.0.0.0", 0))
        self.front = Front(self.warm.resolver, entries=64, queue=800)
        self.door = Door(self.server, self.front)
        self.clients = {}
        for address in (KIDS, ADULTS, STRANGER):
            self.clients[address] = sock = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            sock.bind((address, 0))
            sock.connect(("127.0.0.1", self.server.getsockname()[1]))

    def close(self) -> None:
        for sock in (self.server, *self.clients.values()):
            sock.close()

    def pass_time(self, seconds: float) -> None:
        for item in self.benches:
            item.clock.seconds += seconds
            item.now += timedelta(seconds=seconds)

    def enforce(self, which: Policy) -> None:
        for item in self.benches:
            item.policies[0] = which

    def go_away(self, *, away: bool) -> None:
        for item in self.upstreams:
            item.away = away

    async def compare(self, client: str, packets: list[bytes]) -> None:
        """Ask both, the one of them all at once."""
        sock, sent = self.clients[client], []
        for number, packet in enumerate(packets):
            whole = number.to_bytes(2) + packet if len(packet) >= 2 else packet
            sock.send(whole)
            sent.append(whole)
        self.door._readable()
        for _ in range(2):
            await asyncio.sleep(0)
        came = {}
        for _ in packets:
            try:
                reply = sock.recv(65535)
            except BlockingIOError:
                break
            assert reply[:2] not in came
            came[reply[:2]] = reply
        for number, whole in enumerate(sent):
            assert came.pop(number.to_bytes(2), None) == await answered(self.fresh.resolver, whole, client)
        warm, fresh = self.warm.counts, self.fresh.counts
        assert {name: number for name, number in warm.events.items() if name != "dns_memo"} == fresh.events
        assert sorted(map(str, warm.verdicts)) == sorted(map(str, fresh.verdicts))
        for counts in (warm, fresh):
            counts.verdicts.clear()


LABELS = st.one_of(st.sampled_from(NAMES), st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(tuple))
TYPES = st.one_of(
    st.sampled_from([1, 1, 1, 16, 28, 65, 97, 64, 33, 5, 6, 41, 250, 252, 255, 0]), st.integers(0, 65535)
)
OPTIONS = st.sampled_from([
    b"", b"\0\x0a\0\x08" + b"cookiesx", b"\0\x0a\0\x10" + bytes(16), b"\0\x0c\0\3\0\0\0", b"\0\x0f\0\2\0\1" * 2,
    b"\0\x0a\0\x08cut", b"\0\x0a\0", b"\xff\xff\0\0", b"\0\x08\0\7\0\1\x18\0\x0a\0\0",
])  # fmt: skip
SIZES = st.one_of(st.sampled_from([0, 511, 512, 513, 600, 1231, 1232, 1233, 4096, 65535]), st.integers(0, 65535))


@st.composite
def opts(draw: st.DrawFn) -> bytes:
    """An OPT record, as it should be or nearly so."""
    options = draw(OPTIONS)
    rcode = draw(st.sampled_from([0] * 8 + [1, 255]))
    version = draw(st.sampled_from([0] * 8 + [1, 255]))
    flags = draw(st.sampled_from([0, 0, 0x8000, 0x8000, 0x4000, 0x0001, 0xFFFF]))
    length = max(0, len(options) + draw(st.sampled_from([0] * 8 + [-1, 1])))
    name = draw(st.sampled_from([b"\0"] * 8 + [b"\1x\0", b"\xc0\x0c"]))
    return b"".join((
        name, b"\0\x29", draw(SIZES).to_bytes(2), bytes((rcode, version)), flags.to_bytes(2), length.to_bytes(2), options
    ))  # fmt: skip


def spelled(labels: tuple[bytes, ...], capitals: int) -> bytes:
    """Return a name in wire form, with every letter a capital that `capitals` has a bit for."""
    at, parts = 0, []
    for label in labels:
        letters = bytearray(label)
        for place, letter in enumerate(letters):
            if chr(letter).isalpha() and letter < 128:
                letters[place] = letter & ~0x20 if capitals >> (at % 16) & 1 else letter | 0x20
                at += 1
        parts.append(bytes([len(letters)]) + letters)
    return b"".join(parts) + b"\0"


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[bytes, ...], bytes]:
    """What is asked: a name, and type with class."""
    qclass = draw(st.sampled_from([1] * 12 + [3, 255, 0, 254]))
    return draw(LABELS), draw(TYPES).to_bytes(2) + qclass.to_bytes(2)


@st.composite
def packets(draw: st.DrawFn, shape: st.SearchStrategy[tuple[tuple[bytes, ...], bytes]]) -> bytes:
    """A question less its id: usual, or not quite."""
    labels, asked = draw(shape)
    question = spelled(labels, draw(st.sampled_from([0, 0, 0xFFFF, 0x5A5A, 0x0001]))) + asked
    third = draw(st.sampled_from([1] * 16 + [0, 0, 3, 5, 9, 0x29, 0x81]))
    fourth = draw(st.sampled_from([0] * 6 + [0x10, 0x10, 0x20, 0x20, 0x30, 0x40, 0x80, 0x0F]))
    opt = draw(st.one_of(st.none(), st.just(b"\0\0\x29\x04\xd0" + bytes(6)), opts()))
    counts = [1, 0, 0, 0 if opt is None else 1]
    tail = opt or b""
    odd = draw(st.sampled_from([""] * 20 + ["two", "behind", "count", "label", "pointer", "record", "cut", "long"]))
    if odd == "two":
        counts[0], question = 2, question * 2
    elif odd == "behind":
        tail += b"\0"
    elif odd == "count":
        counts[draw(st.integers(0, 3))] += draw(st.sampled_from([1, 255]))
    elif odd == "label":
        question = draw(st.sampled_from([b"\x41", b"\x80", b"\x40", b"\xbf"])) + question[1:]
    elif odd == "pointer":
        question = b"\xc0" + draw(st.sampled_from([b"\x0c", b"\0", b"\x0e"])) + asked
    elif odd == "record":
        counts[3] += 1
        tail += b"\0\0\x10\0\1\0\0\0\0\0\1\0"
    packet = bytes((third, fourth)) + b"".join(number.to_bytes(2) for number in counts) + question + tail
    if odd == "cut":
        return packet[: draw(st.integers(0, len(packet)))]
    return packet + bytes(draw(st.integers(100, 600))) if odd == "long" else packet


TIMES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 0.999, 1.0, 1.001, 1.875, 2.0, 3.0, 5.0, 19.0, 29.999, 60.0])


@settings(max_examples=50)
@given(st.data())
def test_a_reply_from_memory_is_the_reply_of_the_careful_way(data):
    """Whatever is asked, in whatever words, by whom, when, under which policy, and whether upstreams answer or not."""
    few = st.sampled_from(data.draw(st.lists(shapes(), min_size=1, max_size=3)))
    asked = packets(st.one_of(few, few, few, shapes()))
    steps = data.draw(
        st.lists(
            st.tuples(
                TIMES,
                st.sampled_from([POLICIES[0], POLICIES[0], *POLICIES]),
                st.sampled_from([False, False, False, True]),
                st.sampled_from([KIDS, KIDS, ADULTS, STRANGER]),
                st.lists(asked, min_size=1, max_size=4),
            ),
            min_size=1,
            max_size=8,
        )
    )

    async def story() -> None:
        pair = Pair(https_records=data.draw(st.sampled_from(["strip", "withhold", "pass"])))
        try:
            await _lived(pair, steps)
        finally:
            pair.close()

    asyncio.run(story())


async def _lived(pair: Pair, steps: list[Any]) -> None:
    said: dict[str, list[bytes]] = {}
    for seconds, which, away, client, found in steps:
        said.setdefault(client, []).extend(found)
        for change in (lambda: None, partial(pair.pass_time, seconds), partial(pair.enforce, which)):
            change()  # one thing at a time, and after each everything is asked again: now from memory
            for _ in range(2):
                for other, asked in said.items():
                    await pair.compare(other, asked[-20:])
        pair.go_away(away=away)


def questions() -> list[bytes]:
    """Return every kind of usual question, less its id."""
    found = []
    for labels in NAMES:
        for rtype in (1, 16, 65, 97, 255) if b"fine" in labels else (1, 65):
            for capitals in (0, 0x5A5A):
                question = spelled(labels, capitals) + rtype.to_bytes(2) + b"\0\1"
                for bits in (0, 0x20) if b"fine" in labels else (0,):
                    found.append(bytes((1, bits)) + b"\0\1\0\0\0\0\0\0" + question)
                    found += [
                        bytes((1, bits)) + b"\0\1\0\0\0\0\0\1" + question + b"\0\0\x29" + size + flags + b"\0\0"
                        for size, flags in ((b"\x02\x58", bytes(4)), (b"\x04\xd0", b"\0\0\x80\0"))
                    ]
    return found


def test_every_kind_of_usual_question_is_answered_alike_as_it_ages():
    """At each boundary of a second and on both of its sides, to the end of every answer and beyond."""

    async def story() -> None:
        pair = Pair()
        pair.front = Front(pair.warm.resolver, entries=20_000, queue=8000)
        pair.door = Door(pair.server, pair.front)
        try:
            for seconds in (0, 0, 0.5, 0.499, 0.001, 0.5, 1.0, 0.75, 0.25, 0.75, 0.999, 0.001, 20.0):
                pair.pass_time(seconds)
                for client in (KIDS, ADULTS):
                    asked = questions()
                    for start in range(0, len(asked), 50):
                        await pair.compare(client, asked[start : start + 50])
            assert pair.warm.counts.events["dns_memo"] > pair.warm.counts.events["dns_queries"] / 2
        finally:
            pair.close()

    asyncio.run(story())


HEADS = [
    bytes((third, fourth))
    for third, fourth in [
        *((1, bits) for bits in (0, 0x10, 0x20, 0x30, 0x40, 0x80, 0xFF, 1)),
        *((bits, 0) for bits in (0, 3, 5, 9, 0x29, 0x79, 0x81)),
    ]
]
OPTS = [
    b"",
    *(b"\0\0\x29" + size.to_bytes(2) + bytes(6) for size in (0, 511, 512, 513, 700, 1231, 1232, 1233, 65535)),
    *(b"\0\0\x29\x04\xd0" + bytes(2) + flags + bytes(2) for flags in (b"\x80\0", b"\x40\0", b"\0\1", b"\xff\xff")),
    *(b"\0\0\x29\x04\xd0" + facts + bytes(4) for facts in (b"\1\0", b"\0\1", b"\0\xff", b"\1\1")),
    *(
        b"\0\0\x29\x04\xd0" + bytes(4) + length.to_bytes(2) + option
        for option in (b"\0\x0a\0\x08cookiesx", b"\0\x0c\0\0", b"\0\x0a\0\x08cut", b"\0\x0a\0")
        for length in (len(option) - 1, len(option), len(option) + 1)
    ),
    b"\1x\0\0\x29\x04\xd0" + bytes(6),
    b"\xc0\x0c\0\x29\x04\xd0" + bytes(6),
    b"\0\0\x28\x04\xd0" + bytes(6),
    b"\0\0\x29\x04\xd0" + bytes(5),
]


def variants(labels: tuple[bytes, ...], rtype: int) -> list[bytes]:
    """Return questions about one name that differ from the usual one in one or two facts."""
    usual_head, asked = b"\1\0", rtype.to_bytes(2) + b"\0\1"
    question = spelled(labels, 0) + asked
    others = [
        spelled(labels, 0x5A5A) + asked,
        *(spelled(labels, 0) + other.to_bytes(2) + b"\0\1" for other in (33, 65, 97, 0x4161, 0x6141, 255, 41, 252)),
        *(spelled(labels, 0) + rtype.to_bytes(2) + qclass for qclass in (b"\0\3", b"\0\xff", b"A\1", b"a\1")),
        *(bytes((first,)) + question[1:] for first in (0x40, 0x41, 0x80, 0xBF, 0xC0)),
        b"\xc0\x0c" + asked,
        b"\xc0\x00" + asked,
        spelled((b".".join(labels),), 0) + asked,
        spelled((*labels, b"\0"), 0) + asked,
    ]
    found = [(head, question, opt) for head in HEADS for opt in (b"", OPTS[7])]
    found += [(usual_head, question, opt) for opt in OPTS]
    found += [(usual_head, other, opt) for other in others for opt in (b"", OPTS[7])]
    packets = [
        head + b"\0\1\0\0\0\0" + (b"\0\1" if opt else b"\0\0") + asking + opt for head, asking, opt in found
    ]
    good = packets[0]
    packets += [good + b"\0", good[:-1], good[:3] + b"\2" + good[4:], good[:3] + b"\2" + good[4:] + question]
    packets += [good[:at] + b"\1" + good[at + 1 :] for at in (2, 4, 5, 6, 7, 8, 9)]
    return packets


def test_no_question_is_taken_for_another():
    """One is remembered, then all are asked that are nearly the same; and so for each of them."""

    async def story() -> None:
        pair = Pair()
        try:
            for labels, rtype in (((b"fine", b"example"), 16), ((b"else", b"example"), 1), ((b"only", b"example"), 65)):
                every = variants(labels, rtype)
                for first in every:
                    pair.front = Front(pair.warm.resolver, entries=20_000, queue=800)
                    pair.door.front = pair.front
                    for _ in range(2):
                        await pair.compare(KIDS, [first])
                    for start in range(0, len(every), 60):
                        await pair.compare(KIDS, every[start : start + 60])
        finally:
            pair.close()

    asyncio.run(story())


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=64), min_size=1, max_size=40))
def test_whatever_comes_is_answered_alike_or_dropped_alike(found):
    """Bytes that are no question, behind an id or without one, leave nothing and nobody without an answer."""

    async def story() -> None:
        pair = Pair()
        good = bytes(query("fine.example").pack())[2:]
        try:
            await pair.compare(KIDS, [good])
            for _ in range(3):
                await pair.compare(KIDS, [*found, good])
            assert pair.warm.counts.events["dns_memo"] >= 2
            assert not pair.warm.counts.events["dns_internal_error"]
        finally:
            pair.close()

    asyncio.run(story())
