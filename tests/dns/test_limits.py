"""Who asks within the limits pays nothing; who asks more is told how to come, and keeps no one else from anything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator

import pytest
from dnslib import EDNS0, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.dns import limits as rooms
from filterproxy.dns.front import Front
from filterproxy.dns.limits import Address, Limits, network_of
from filterproxy.dns.udp import Door
from filterproxy.settings.service import Limits as Table
from tests.dns.asking import below, client
from tests.dns.fakes import Bench, answered, bench, opt
from tests.dns.sockets import named

BADCOOKIE = 23


def four(text: str) -> Address:
    return int.from_bytes(socket.inet_aton(text), sys.byteorder)


def six(text: str) -> Address:
    return socket.inet_pton(socket.AF_INET6, text)


@pytest.mark.parametrize(("bits", "one", "other", "same"), [
    ((32, 56), four("192.0.2.1"), four("192.0.2.2"), False),
    ((24, 56), four("192.0.2.1"), four("192.0.2.200"), True),
    ((23, 56), four("192.0.2.1"), four("192.0.3.1"), True),
    ((24, 56), four("192.0.2.1"), four("192.0.3.1"), False),
    ((8, 56), four("10.1.2.3"), four("10.3.2.1"), True),
    ((32, 56), four("192.0.2.1"), six("::ffff:192.0.2.1"), True),
    ((24, 56), four("192.0.2.1"), six("::ffff:192.0.2.9"), True),
    ((32, 56), six("2001:db8::1"), six("2001:db8:0:ff::1"), True),
    ((32, 56), six("2001:db8::1"), six("2001:db8:0:100::1"), False),
    ((32, 52), six("2001:db8::1"), six("2001:db8:0:fff::1"), True),
    ((32, 128), six("2001:db8::1"), six("2001:db8::2"), False),
    ((32, 56), six("fe80::1"), six("fe80::2"), False),
])  # fmt: skip
def test_a_network_of_clients_is_what_the_prefixes_say(bits, one, other, same):
    """IPv4 as such is IPv4, and neighbours on a link are not one client."""
    network = network_of(*bits)
    assert (network(one) == network(other)) is same


@given(
    st.integers(1, 50),
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0.01, 3.0), st.integers(0, rooms.BUSY - 1)), max_size=40),
)
def test_who_is_within_the_rate_is_never_watched_and_who_is_far_beyond_always(rate, burst, spans):
    """Whatever the pattern: a bucket that holds the burst and fills by the rate."""
    limits, now, debt = Limits(Table(rate=rate, burst=burst)), 100.0, 0.0
    limits.look(now)
    for seconds, number in spans:
        limits.count([1] * number)
        now += seconds
        assert (1 in limits.look(now)) is (1 in limits.watched and bool(number))
        debt = max(0.0, debt + number - rate * seconds)
        if debt > burst + 1e-6:
            assert 1 in limits.watched
            return
        assert debt > burst - 1e-6 or 1 not in limits.watched


def test_a_network_that_is_watched_has_its_rate_and_is_forgiven_when_it_has_paid():
    """Question by question: no more than the rate, and the burst again after a pause."""
    limits = Limits(Table(rate=100, burst=50))
    limits.look(10.0)
    for _ in range(4):
        limits.count([7] * 20)
    assert limits.look(10.1) == [7]
    assert not limits.allows(7, 10.1)
    assert limits.allows(8, 10.1)
    allowed = sum(limits.allows(7, 10.1 + number / 1000) for number in range(1000))
    assert allowed == pytest.approx(100, abs=1)
    limits.look(11.5)
    assert limits.watched
    limits.look(11.7)
    assert not limits.watched


@pytest.mark.parametrize(("prefix", "address", "wide"), [
    (32, four("192.0.2.1"), False), (32, six("::ffff:192.0.2.1"), False),
    (24, four("192.0.2.1"), True), (32, six("2001:db8::1"), True),
])  # fmt: skip
def test_only_networks_of_several_addresses_are_looked_for_address_by_address(prefix, address, wide):
    """Nearly all are none, and shall not pay for those that are."""
    limits = Limits(Table(rate=1, burst=1, ipv4_prefix=prefix))
    limits.count([address] * 9999)
    assert limits.look(1.0) == limits.watches([address, four("198.51.100.1")]) == [address]
    assert limits.wide is wide


def test_busy_batches_are_counted_by_sample():
    """Near enough for a burst that is large, and exactly for one that is not."""
    for burst, exact in ((1000, False), (999, True)):
        limits = Limits(Table(rate=1, burst=burst))
        limits.look(1.0)
        for _ in range(15):
            limits.count([5] * 64)
        assert limits.look(1.1) == []
        for _ in range(2):
            limits.count([5] * 64)
        assert limits.look(1.2) == [5]
        assert limits._sampled.total() == 0
        assert (limits._busy == sys.maxsize) is exact


def test_what_was_taken_back_does_not_count():
    """A question with a cookie of ours says whose it is."""
    limits = Limits(Table(rate=10, burst=10))
    limits.look(1.0)
    for _ in range(30):
        limits.count([5])
        limits.spare(5)
    assert limits.look(1.1) == []


@pytest.mark.parametrize("make", [lambda number: number, lambda number: number.to_bytes(10) + bytes(6)])
def test_a_million_addresses_hold_little(monkeypatch, make):
    """Whether each asks once or is beyond its limit: what is kept has an end."""
    monkeypatch.setattr(rooms, "MOST", 256)
    limits = Limits(Table(rate=1, burst=1))
    now = 1.0
    for start in range(0, 1_000_000, 50):
        limits.count([make(start + number) for number in range(50)])
        if start % 10_000 == 0:
            limits.count([make(start)] * 20)
        if now >= limits.due:
            now += 0.05
            limits.look(now)
        assert len(limits._met) + len(limits._sampled) <= rooms.MOST_MET + 64
        assert len(limits._debts) <= 256
        assert len(limits.watched) <= 256


def test_who_owes_most_is_remembered_where_there_is_no_room_for_all(monkeypatch):
    """A flood of small debts pays nobody's large one."""
    monkeypatch.setattr(rooms, "MOST", 64)
    limits = Limits(Table(rate=100, burst=100_000))
    limits.look(1.0)
    for _ in range(1000):
        limits.count([1] * 64)
    limits.look(1.1)
    for number in range(1000):
        limits.count([2 + number] * 64)
    limits.look(1.2)
    assert 1 in limits._debts
    assert len(limits._debts) == 32


# Through sockets


@contextlib.asynccontextmanager
async def limited(rate: int = 20, prefix: int = 32, **settings) -> AsyncIterator[tuple[Bench, Door, socket.socket]]:
    """Serve on a UDP socket, every name having an address."""
    here = bench(rest=below(), **settings)
    front = Front(here.resolver, 1000, 800, Table(rate=rate, burst=20, ipv4_prefix=prefix))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        yield here, Door(sock, front), sock


def with_cookie(name: str, cookie: bytes, ident: int = 1) -> bytes:
    question = DNSRecord.question(name)
    question.header.id = ident
    question.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(10, cookie)]))
    return bytes(question.pack())


def cookie_of(reply: DNSRecord) -> bytes:
    return next(bytes(item.data) for item in opt(reply).rdata if item.code == 10)


def rcode(reply: DNSRecord) -> int:
    return int(reply.header.rcode | opt(reply).ttl >> 24 << 4)


async def said(door: Door, sock: socket.socket, *packets: bytes) -> list[DNSRecord]:
    """Ask, have it answered, and return what came."""
    found: list[bytes] = []
    for start in range(0, len(packets), 50):
        for packet in packets[start : start + 50]:
            sock.send(packet)
        door._readable()
        for _ in range(3):
            await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(sock.recv(65535))
    return [DNSRecord.parse(item) for item in found]


async def flooded(here: Bench, door: Door, sock: socket.socket, *packets: bytes, number: int = 400) -> list[DNSRecord]:
    """Ask far more than is allowed; return what came from the moment on when that is known."""
    for _ in range(3):
        await said(door, sock, *(packets * number)[:100])
        here.clock.seconds += 0.1
    return await said(door, sock, *(packets * number)[:number])


def test_beyond_the_limit_a_client_is_told_to_come_over_tcp_and_others_notice_nothing(run):
    """Half of its questions get TC and no record, half silence; over TCP it is answered."""

    async def story() -> None:
        async with limited() as (here, door, sock):
            with client("127.0.0.1", sock) as much, client("127.0.0.2", sock) as little:
                replies = await flooded(here, door, much, named("fine.example"))
                cut = [reply for reply in replies if reply.header.tc]
                assert 100 < len(cut) < 300
                assert len(replies) - len(cut) <= 22
                assert not any(reply.rr for reply in cut)
                assert here.counts.events["dns_limited"] > 300
                assert door.address_in(socket_name("127.0.0.1")) not in door.front.memos
                for number in range(4):
                    (reply,) = await said(door, little, named("fine.example", number))
                    assert reply.rr
                over_tcp = await answered(here.resolver, named("fine.example"), "127.0.0.1", tcp=True)
                assert over_tcp is not None
                assert over_tcp[7] == 1
                here.clock.seconds += 3.0
                await said(door, much, named("fine.example"))
                for number in range(3):
                    (reply,) = await said(door, much, named("fine.example", number))
                    assert reply.rr
                assert door.address_in(socket_name("127.0.0.1")) in door.front.memos

    run(story)


def test_a_network_that_asks_from_one_address_after_the_other_has_its_limit_too():
    """What each of them was told before is no way past it; a neighbour's network keeps what it was told."""

    async def story() -> None:
        async with limited(prefix=24) as (here, door, sock):
            with contextlib.ExitStack() as stack:
                hosts = [*(f"127.0.0.{host}" for host in range(1, 31)), "127.0.1.1"]
                *many, other = [stack.enter_context(client(host, sock)) for host in hosts]
                for one in (other, *many, other):  # first it is fetched, and learned by nobody
                    await said(door, one, named("fine.example"))
                    here.clock.seconds += 0.1
                came = []
                for one in many:  # three seconds
                    came += await said(door, one, *[named("fine.example", number) for number in range(50)])
                    here.clock.seconds += 0.1
                assert sum(bool(reply.rr) for reply in came) < 2 * 50 + 3 * 20 + 20
                assert [*door.front.memos] == [door.address_in(socket_name("127.0.1.1"))]

    asyncio.run(story())


def test_a_cookie_of_ours_is_the_way_past_the_limit(run):
    """First BADCOOKIE with a new one and no data, then answers; and such questions cost nobody anything."""

    async def story() -> None:
        async with limited() as (here, door, sock):
            with client("127.0.0.1", sock) as much:
                replies = await flooded(here, door, much, with_cookie("fine.example", b"8 bytes."))
                told = [reply for reply in replies if rcode(reply) == BADCOOKIE]
                assert 100 < len(told) < 300
                assert not any(reply.rr or reply.auth for reply in told)
                cookie = cookie_of(told[0])
                assert cookie[:8] == b"8 bytes."
                before = here.counts.events["dns_limited"]
                for number in range(100):
                    (reply,) = await said(door, much, with_cookie("fine.example", cookie, number))
                    assert (rcode(reply), len(reply.rr), cookie_of(reply)) == (0, 1, cookie)
                assert here.counts.events["dns_limited"] == before
                stolen = with_cookie("fine.example", cookie)
                with client("127.0.0.3", sock) as other:
                    assert await flooded(here, door, other, stolen)
                assert here.counts.events["dns_limited"] > before + 300

    run(story)


def test_questions_with_a_cookie_of_ours_do_not_count(run):
    """However many: one without is answered right after."""

    async def story() -> None:
        async with limited() as (here, door, sock):
            with client("127.0.0.1", sock) as much:
                (reply,) = await said(door, much, with_cookie("fine.example", b"8 bytes."))
                packet = with_cookie("fine.example", cookie_of(reply))
                assert len(await flooded(here, door, much, packet, number=300)) == 300
                here.clock.seconds += 0.1
                (reply,) = await said(door, much, named("fine.example"))
                assert reply.rr
                assert not here.counts.events["dns_limited"]

    run(story)


@pytest.mark.parametrize("cookie", [b"", b"8 bytes.", b"8 bytes." + bytes(16)])
def test_a_flood_in_the_name_of_a_victim_sends_it_less_than_the_flood(cookie):
    """Whatever the questions bring: fewer bytes leave than came."""

    async def story() -> None:
        async with limited() as (here, door, sock):
            with client("127.0.0.1", sock) as victim:
                packets = [with_cookie("fine.example", cookie) if cookie else named("fine.example")]
                await flooded(here, door, victim, *packets)
                here.clock.seconds += 0.001
                replies = await said(door, victim, *packets * 1000)
                came = sum(len(reply.pack()) for reply in replies)
                assert 0 < came < 0.8 * 1000 * len(packets[0])

    asyncio.run(story())


def test_strangers_and_nonsense_beyond_the_limit_get_silence():
    """Who is not served is told so no more often than the limit allows."""

    async def story() -> None:
        async with limited(clients=("127.0.0.2/32",)) as (here, door, sock):
            with client("127.0.0.1", sock) as stranger:
                assert len(await flooded(here, door, stranger, named("fine.example"))) <= 22
            with client("127.0.0.2", sock) as odd:
                packets = b"", b"x", bytes(12), named("fine.example")[:20], b"\0\1\x81" + bytes(20)
                assert len(await flooded(here, door, odd, *packets)) <= 22

    asyncio.run(story())


def test_no_limit_is_no_limit(run):
    """A rate of 0: nothing is counted."""

    async def story() -> None:
        async with limited(rate=0) as (here, door, sock):
            with client("127.0.0.1", sock) as much:
                assert len(await flooded(here, door, much, named("fine.example"))) == 400
                assert not door.front.limits._met

    run(story)


def socket_name(host: str) -> bytes:
    return bytes(4) + socket.inet_aton(host) + bytes(8)
