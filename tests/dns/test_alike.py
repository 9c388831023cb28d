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

from filterproxy.core.model import Action, DnsAnswer, Entry, Https, Kind, Listing, Scope
from filterproxy.core.policy import Policy, Profile
from filterproxy.dns import wire
from filterproxy.dns.cache import Answer, failure, read_answer
from filterproxy.dns.front import Front
from filterproxy.dns.udp import Door
from tests.dns import rooms
from tests.dns.fakes import NOW, Below, Bench, answered, bench, exact, policy_of, query, tree
from tests.dns.questions import SIBLINGS, packets, questions, shapes, spelled, variants

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
        (Listing("seen", https=Https.INSPECT), [Entry(Kind.URL, "seen.example/page", Scope.PAGE)]),
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
    return read_answer(packet, ad=True)


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


def test_every_kind_of_usual_question_is_answered_alike_as_it_ages():
    """At each boundary of a second and on both of its sides, to the end of every answer and beyond."""

    async def story() -> None:
        pair = Pair()
        pair.front = Front(pair.warm.resolver, entries=20_000, queue=8000)
        pair.door = Door(pair.server, pair.front)
        try:
            for seconds in (0, 0, 0.5, 0.4375, 0.0625, 0.5, 1.0, 0.75, 0.25, 0.75, 0.875, 0.125, 20.0):
                pair.pass_time(seconds)
                for client in (KIDS, ADULTS):
                    asked = questions()
                    for start in range(0, len(asked), 50):
                        await pair.compare(client, asked[start : start + 50])
            assert pair.warm.counts.events["dns_memo"] > pair.warm.counts.events["dns_queries"] / 2
        finally:
            pair.close()

    asyncio.run(story())


def test_no_name_is_taken_for_its_sibling():
    """What all names below a listed one are told is told to no other: however its first label is spelled."""
    own = policy_of(
        (Listing("law", ede=16), [*tree("blocked.example", "deny.only.example"), *exact("other.blocked.example")]),
        (Listing("exact"), exact("only.example", "www.null.example")),
        (Listing("null", dns=DnsAnswer.NULL, ede=17), tree("null.example")),
        (Listing("spares", action=Action.ALLOW), exact("www.blocked.example")),
        (Listing("seen", action=Action.INSPECT), tree("seen.example")),
        profiles=PROFILES,
    )
    long = ((b"x" * 63,) * 3 + (b"blocked", b"example"), (b"y" * 45, b"blocked", b"example"))
    parents = [(item, b"example") for item in (b"blocked", b"only", b"null", b"seen", b"fine")]
    every = [
        [spelled((label, *parent), 0) + rtype + b"\0\1" for label in SIBLINGS for rtype in (b"\0\1", b"\0\x41")]
        for parent in [*parents, *long, (b"\xff", b"blocked", b"example"), (b"_tcp", b"blocked", b"example"), ()]
    ]

    async def story() -> None:
        pair = Pair()
        pair.enforce(own)
        try:
            for names in every:
                packets = [b"\1\0\0\1\0\0\0\0\0\0" + name for name in names]
                for first in packets[::3]:
                    pair.front = Front(pair.warm.resolver, entries=20_000, queue=800)
                    pair.door.front = pair.front
                    for _ in range(2):
                        await pair.compare(KIDS, [first])
                    await pair.compare(KIDS, packets)
                    await pair.compare(ADULTS, packets)
        finally:
            pair.close()

    asyncio.run(story())


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
