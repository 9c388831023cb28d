"""Known answers at once, a bounded queue for the rest; each client has its share, each profile its own memo."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from dnslib import RCODE

from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.core.policy import Profile
from filterproxy.dns import batch, front, wire
from filterproxy.dns.cache import failure
from filterproxy.dns.enumeration import Enumeration
from filterproxy.dns.front import Front, Question
from filterproxy.dns.server import serve
from filterproxy.dns.udp import Door
from filterproxy.settings.dns import Dns
from filterproxy.settings.service import Limits
from tests.dns.asking import Never, answering, asked, below, client, heard
from tests.dns.fakes import DEFAULT, KEY, NOW, Below, bench, ede, policy_of, query, tree
from tests.dns.sockets import Echo, named


def test_a_flood_of_misses_leaves_known_answers_answered():
    """What is known is told before anything is asked of others; of those, as many wait as may."""

    async def story() -> None:
        never = Never()
        here = bench(rest=never, max_inflight=400)
        async with answering(here.resolver, max_inflight=400) as (server,):
            with client("127.0.0.1", server) as known, client("127.0.0.2", server) as flood:
                for number in range(2):
                    assert len(await asked(known, named("blocked.example", number))) == 1
                for number in range(200):
                    flood.send(named(f"n{number}.example", number))
                known.send(named("blocked.example", 7))
                await asyncio.sleep(0.05)
                assert known.recv(512)[:2] == b"\0\7"
                assert here.counts.events["dns_overload"] == 200 - 50  # an eighth is one client's, here and there
                replies = await heard(flood)
                assert [reply[3] & 15 for reply in replies] == [wire.SERVFAIL] * (100 - 50)
        assert len(never.waiting) == 50

    asyncio.run(story())


def test_the_queue_has_an_end_for_all_and_for_each_client():
    """Whoever fills its share leaves room for the others; what is begun makes room again."""

    async def story() -> None:
        echo = Echo()
        async with answering(echo, max_inflight=16) as (server,):  # so 32 wait, 4 of each
            clients = [client(f"127.0.0.{number}", server) for number in range(1, 11)]
            for sock in clients:
                for number in range(6):
                    sock.send(named("x.example", number))
            found = [await heard(sock, 0.05) for sock in clients]
            assert [len(item) for item in found] == [4] * 8 + [0, 0]
            assert echo.count.events["dns_overload"] == 60 - 32
            for sock in clients:
                sock.send(named("x.example"))
            assert [len(await heard(sock, 0.05)) for sock in clients] == [1] * 10
            for sock in clients:
                sock.close()

    asyncio.run(story())


def test_the_addresses_of_one_customer_have_one_share():
    """An IPv6 customer may use all addresses of a network, and takes no more than anyone else."""

    async def story() -> None:
        echo = Echo()
        front = Front(echo, 10, 16)  # type: ignore[arg-type]
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
            door = Door(sock, front)

            def take(host: str) -> None:
                name = bytes(8) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)
                front.take(Question(door, named("x.example"), name, b""))

            for number in range(5):
                take(f"2001:db8:0:{number:x}::1")
            assert len(front._queue) == 2
            for host in ("2001:db8:0:100::1", "fe80::1", "fe80::2", "::ffff:192.0.2.1", "::ffff:192.0.2.2"):
                take(host)
            assert len(front._queue) == 7

    asyncio.run(story())


def test_work_that_waits_takes_one_turn_of_the_loop_at_a_time(monkeypatch):
    """However many batches come meanwhile: else the loop would have less and less time for all else."""
    monkeypatch.setattr(front, "WORKED_AT_ONCE", 2)

    async def story() -> None:
        echo = Echo()
        front = Front(echo, 10, 800)  # type: ignore[arg-type]
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            door = Door(sock, front)
            name = bytes(4) + socket.inet_aton("127.0.0.1") + bytes(8)
            for _ in range(60):
                front.take(Question(door, named("never.example"), name, b""))
            for _ in range(5):  # five batches, one after the other
                front.work()
            assert len(echo.clients) == 2
            await asyncio.sleep(0)
            assert len(echo.clients) == 4
            front.work()
            await asyncio.sleep(0)
            assert len(echo.clients) == 6

    asyncio.run(story())


def test_a_memo_holds_for_one_profile_and_one_policy():
    """A change counts from the next packet on, and no client hears what another was told."""

    async def story() -> None:
        profiles = (Profile("kids", ("127.0.0.1/32",)), Profile("adults", ("127.0.0.2/32",), frozenset()))
        listing = Listing("parents")
        before = policy_of((listing, tree("toy.example")), profiles=profiles)
        here = bench(rest=below(), policy=before)

        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as kid, client("127.0.0.2", server) as adult:

                async def codes(sock: socket.socket) -> list[str]:
                    found = [await asked(sock, named("toy.example")) for _ in range(4)]
                    return [RCODE[reply.header.rcode] for (reply,) in found]

                for _ in range(2):
                    assert await codes(kid) == ["NXDOMAIN"] * 4
                    assert await codes(adult) == ["NOERROR"] * 4
                here.policies[0] = policy_of((listing, ()), profiles=profiles)
                assert await codes(kid) == ["NOERROR"] * 4
                here.policies[0] = before
                assert await codes(kid) == ["NXDOMAIN"] * 4
                here.policies[0] = policy_of((listing, ()), profiles=profiles[1:])
                assert await codes(kid) == ["REFUSED"] * 4

    asyncio.run(story())


def test_a_list_that_was_read_again_and_is_the_same_empties_no_memo():
    """Sources are asked every few minutes: what was told stays known, and is judged anew only where a list changed."""

    async def story() -> None:
        here = bench(rest=below(), policy=DEFAULT)
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                for _ in range(2):
                    for name in ("blocked.example", "fine.example"):
                        await asked(sock, named(name))
                before = here.counts.events["dns_memo"]
                here.policies[0] = DEFAULT.read_again(2, {"list:law": NOW + timedelta(hours=1)})
                for name in ("blocked.example", "fine.example"):
                    await asked(sock, named(name))
                assert here.counts.events["dns_memo"] == before + 2

    asyncio.run(story())


def test_a_memo_holds_no_longer_than_its_verdict():
    """An entry that begins or ends is noticed, however often the name was asked for before."""

    async def story() -> None:
        entries = [
            Entry(Kind.DOMAIN, "soon.example", Scope.TREE, Action.BLOCK, not_before=NOW + timedelta(seconds=10)),
            Entry(Kind.DOMAIN, "late.example", Scope.TREE, Action.BLOCK, not_after=NOW + timedelta(seconds=10)),
        ]
        here = bench(rest=below(), policy=policy_of((Listing("law"), entries)))
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                for seconds, codes in ((0.5, (0, 3)), (9.0, (0, 3)), (0.75, (3, 0))):
                    here.clock.seconds += seconds
                    here.now += timedelta(seconds=seconds)
                    for _ in range(4):
                        for name, code in zip(("soon.example", "late.example"), codes, strict=True):
                            (reply,) = await asked(sock, named(name))
                            assert reply.header.rcode == code, name
        assert here.counts.events["dns_memo"]

    asyncio.run(story())


def test_a_name_that_is_asked_for_often_is_asked_anew_though_it_is_remembered():
    """In the last tenth of its time; nobody waits, and it is remembered again."""

    async def story() -> None:
        upstream = below(100)
        here = bench(rest=upstream)
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                ttls = []
                for seconds in (0, 0, 0, 89, 0, 1, 0, 0, 5):
                    here.clock.seconds += seconds
                    (reply,) = await asked(sock, named("fine.example"))
                    ttls.append(reply.rr[0].ttl)
        assert ttls == [100, 100, 100, 11, 11, 10, 100, 100, 95]
        assert len(upstream.asked) == 2
        assert here.counts.events["dns_prefetch"] == 1

    asyncio.run(story())


def test_closing_answers_what_waits_in_the_queue(run, monkeypatch):
    """All of it, also what was not begun, and what upstreams answer only because they are left."""
    monkeypatch.setattr(front, "WORKED_AT_ONCE", 1)

    async def story() -> None:
        never = Never()
        here = bench(rest=never)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            serving = await serve(here.resolver, [sock], [], Dns())
            with client("127.0.0.1", sock) as asking:
                for number in range(20):
                    asking.send(named("blocked.example" if number else "fine.example", number))
                await asyncio.sleep(0.001)

                def leave() -> None:
                    for then in never.waiting:
                        then(failure(wire.SERVFAIL))

                monkeypatch.setattr(here.resolver, "close", leave)
                await serving.close(0.2)
                replies = await heard(asking, 0.05)
        assert sorted(reply[1] for reply in replies) == list(range(20))

    run(story)


async def test_clients_that_are_remembered_have_an_end(monkeypatch):
    """Where there are very many, they are learned anew; each is answered all the while."""
    monkeypatch.setattr(front, "MAX_CLIENTS", 3)
    here = bench(rest=below(), policy=DEFAULT)
    async with answering(here.resolver) as (server,):
        for _ in range(2):
            for number in range(1, 9):
                with client(f"127.0.0.{number}", server) as sock:
                    (reply,) = await asked(sock, named("blocked.example"))
                    assert RCODE[reply.header.rcode] == "NXDOMAIN"
    assert here.counts.events["dns_queries"] == 16


def test_a_failure_is_remembered_as_long_as_it_lasts():
    """While upstreams are away all ask again and again: that costs no more than an answer, and is counted."""

    async def story() -> None:
        rest = Below(lambda _: failure(wire.SERVFAIL, 23, lifetime=1))
        here = bench(rest=rest)
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                for _ in range(4):
                    (reply,) = await asked(sock, named("fine.example"))
                    assert (RCODE[reply.header.rcode], ede(reply)) == ("SERVFAIL", 23)
                assert here.counts.events["dns_upstream_error"] == 4
                assert (here.counts.events["dns_memo"], len(rest.asked)) == (2, 1)
                here.clock.seconds += 1
                await asked(sock, named("fine.example"))
                assert len(rest.asked) == 2

    asyncio.run(story())


@pytest.mark.timeout(400)  # each of them is asked for by the whole way, once
def test_a_million_source_prefixes_hold_no_memory(monkeypatch):
    """IPv4 addresses and IPv6 /56: all that is kept of clients is bounded by count, from the socket to the answer."""
    here = bench(clients=("10.0.0.0/8", "fd00::/16"), rest=below(), max_inflight=400)
    here.resolver._blocks = Enumeration(Limits(), KEY, lambda _: None, here.counts.event, here.clock).meet
    monkeypatch.setattr(here.counts, "add", lambda *_: None)  # this counter keeps everything, and
    monkeypatch.setattr(here.counts, "cell", lambda *_: 0)  # compares it with all it has
    front = Front(here.resolver, 1000, 800, Limits())
    monkeypatch.setattr(front, "schedule", lambda: None)
    # Most are refused for their type, which is less work; as for clients, all go the same way.
    packets = [bytes(query("blocked.example", "AXFR" if number % 8 else "A").pack()) for number in range(32)]
    held: list[int] = []

    def ask(door: Door, host: bytes, place: int) -> None:
        door._in.names[place * 28 : place * 28 + len(host)] = host
        door._in.data[place * batch.ROOM : place * batch.ROOM + len(packets[place])] = packets[place]

    with socket.socket(type=socket.SOCK_DGRAM) as four, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        four.bind(("127.0.0.1", 0))
        six.bind(("::1", 0))
        doors = Door(four, front), Door(six, front)
        for door in doors:
            monkeypatch.setattr(door, "say", lambda *_: None)
            monkeypatch.setattr(door._in, "reply", lambda *_: 0)
        for start in range(0, 1_000_000, 64):
            for place in range(0, 64, 2):
                number = start + place
                ask(doors[0], bytes(4) + (0x0A000000 + number).to_bytes(4), place // 2)
                ask(doors[1], bytes(8) + b"\xfd\0" + number.to_bytes(5) + bytes(9), place // 2)
            here.clock.seconds += 0.001
            for door in doors:
                now = front.begin()
                door._answer([len(packet) for packet in packets], now)
                front._work()
            if start % 250_048 == 0:
                gc.collect()
                held.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert here.counts.events["dns_queries"] + here.counts.events["dns_memo"] >= 1_000_000
    assert not here.counts.events["dns_overload"]
    assert max(held[1:]) - held[1] < 32 * 1024 * 1024
