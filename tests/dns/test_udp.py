"""UDP sockets of clients: known answers at once, and each question counted once."""

from __future__ import annotations

import asyncio
import ctypes
import socket
from collections import Counter

import pytest
from dnslib import RCODE

from filterproxy.dns import batch
from filterproxy.dns.server import serve
from filterproxy.settings.dns import Dns
from tests.dns.asking import answering, asked, below, client, heard
from tests.dns.fakes import bench
from tests.dns.sockets import Echo, named


def test_a_reply_comes_from_where_it_was_asked(run):
    """From a socket of all addresses too, known or not, over IPv4, IPv6 and IPv4 on an IPv6 socket."""

    async def story() -> None:
        here = bench(rest=below())
        async with answering(here.resolver, "0.0.0.0", "::") as servers:
            four, six = servers
            for server, host, to in (
                (four, "127.0.0.1", "127.0.0.99"), (six, "::1", "::1"), (six, "127.0.0.1", "127.0.0.98"),
            ):  # fmt: skip
                with client(host, server, to) as sock:
                    for number in range(4):
                        (reply,) = await asked(sock, named("fine.example", number))
                        assert (reply.header.id, len(reply.rr)) == (number, 1)
        assert here.counts.events["dns_memo"] == 4 + 3 + 3 - 2  # the first is asked for, the second remembered

    run(story)


def test_each_question_is_counted_once_and_under_its_list(run):
    """From memory as from the resolver: events and verdicts are those of as many questions."""

    async def story() -> None:
        here = bench(rest=below())
        rounds, names = 9, ("blocked.example", "null.example", "fine.example", "refused.example")
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                for number in range(rounds):
                    packets = [named(name, number * 100 + place) for place, name in enumerate(names * 3)]
                    assert len(await asked(sock, *packets)) == len(packets)
        events = here.counts.events
        total = rounds * len(names) * 3
        assert events["dns_queries"] == total == len(here.counts.verdicts)
        assert events["dns_cache_hit"] == total / 4 - 1
        assert events["dns_memo"] == total - 3 * len(names)
        lists = Counter(verdict.listing.id if verdict.listing else "-" for verdict in here.counts.verdicts)
        assert lists == dict.fromkeys(("law", "null", "-", "refused"), total / 4)
        assert not events["dns_unsent"]

    run(story)


@pytest.mark.parametrize("six", [False, True])
def test_a_client_that_cannot_be_replied_to_takes_nothing_from_others(monkeypatch, six):
    """What the kernel did not take is counted; the batch goes on."""

    async def story() -> None:
        here = bench(rest=below())
        async with answering(here.resolver, "::1" if six else "127.0.0.1") as (server,):
            host = "::1" if six else "127.0.0.1"
            with client(host, server, host) as sock:
                assert len(await asked(sock, *[named("blocked.example")] * 3)) == 3
                real, calls = batch._sendmmsg, []

                def refuse(fd: int, at: int, count: int, flags: int) -> int:
                    calls.append(count)
                    if len(calls) == 1:
                        ctypes.set_errno(1)
                        return -1
                    return int(real(fd, at, count, flags))

                monkeypatch.setattr(batch, "_sendmmsg", refuse)
                assert len(await asked(sock, *[named("blocked.example")] * 3)) == 2
                assert here.counts.events["dns_unsent"] == 1

    asyncio.run(story())


def test_packets_of_no_use_are_dropped_and_stop_nothing(run):
    """None of no bytes, none of a few, no reply of others; a packet that was cut is answered as it came."""

    async def story() -> None:
        here = bench(rest=below())
        async with answering(here.resolver) as (server,):
            with client("127.0.0.1", server) as sock:
                for number in range(3):
                    for packet in (b"", b"\0", b"\0" * 11, named("x.example")[:2] + b"\x81" + bytes(9)):
                        sock.send(packet)
                    found = await asked(sock, named("blocked.example", number), named("y.example") + bytes(60_000))
                    assert sorted(RCODE[reply.header.rcode] for reply in found) == ["FORMERR", "NXDOMAIN"]
        assert here.counts.events["dns_malformed"] == 3 * 5

    run(story)


def test_a_socket_that_is_taken_away_is_read_no_more(run):
    """What was taken from it is answered, and what comes later waits for the next who gets it."""

    async def story() -> None:
        echo = Echo()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            serving = await serve(echo, [sock], [], Dns())  # type: ignore[arg-type]
            with client("127.0.0.1", sock) as asking:
                asking.send(named("slow.example", 1))
                await asyncio.sleep(0.05)
                serving.remove_udp(sock)
                asking.send(named("quick.example", 2))
                assert [reply[:2] for reply in await heard(asking, 0.4)] == [b"\0\1"]
                serving.add_udp(sock)
                assert [reply[:2] for reply in await heard(asking)] == [b"\0\2"]
            await serving.close(1)

    run(story)
