"""Sockets of clients: UDP and TCP on one port, and TLS on another; on asyncio and on uvloop alike."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from dnslib import EDNS0, RCODE, DNSRecord, EDNSOption

from filterproxy.core.model import DnsAnswer, Listing
from filterproxy.core.policy import Profile
from filterproxy.dns import server, tls
from filterproxy.dns.server import serve
from filterproxy.settings.dns import Dns
from tests.dns.asking import below
from tests.dns.fakes import Bench, Upstream, bench, policy_of, query, tree
from tests.dns.pairs import NAME, Files, Pair, trusting
from tests.dns.sockets import Echo, Sockets, Stream, named, over_udp, served


def test_a_question_is_answered_over_udp_and_tcp(run):
    """The resolver behind both is one; forwarding to an upstream works on either loop."""

    async def story() -> None:
        lines = "\n".join(f'fine.example 60 IN TXT "{number:050d}"' for number in range(40))
        async with Upstream({("fine.example", "TXT"): lines}) as upstream:
            here: Bench = bench(upstream.address)
            async with served(here.resolver) as (_, sockets):
                blocked = DNSRecord.parse(await over_udp(sockets.address, named("blocked.example")))
                fine = bytes(query("fine.example", "TXT").pack())
                cut = DNSRecord.parse(await over_udp(sockets.address, fine))
                stream = await Stream.to(sockets.address)
                stream.send(fine)
                whole = await stream.receive()
                stream.close()
        assert RCODE[blocked.header.rcode] == "NXDOMAIN"
        assert (cut.header.tc, len(whole.rr)) == (1, 40)
        assert here.counts.events["dns_tcp_connections"] == 1

    run(story)


def test_closing_answers_what_was_taken_and_leaves_the_rest_in_the_socket(run):
    """The next who gets the sockets answers what came meanwhile: nothing queued is lost."""

    async def story() -> None:
        sockets = Sockets()
        first = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        stream = await Stream.to(sockets.address)
        stream.send(named("slow.example", 1))
        taken = asyncio.create_task(over_udp(sockets.address, named("slow.example", 2)))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(first.close(2))
        await asyncio.sleep(0)
        queued = asyncio.create_task(over_udp(sockets.address, named("quick.example", 3)))
        waiting = await Stream.to(sockets.address)
        waiting.send(named("quick.example", 4))
        await closing
        assert (await stream.receive()).header.id == 1
        assert (await taken)[:2] == b"\0\2"
        assert await stream.ended()
        second = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        assert (await queued)[:2] == b"\0\3"
        assert (await waiting.receive()).header.id == 4
        await second.close(0.1)
        for item in (stream, waiting):
            item.close()
        sockets.close()

    run(story)


def test_closing_answers_what_was_sent_on_connections_that_are_open(run):
    """The next who gets the sockets cannot have it: it waits in the connection, which is ours."""

    async def story() -> None:
        sockets = Sockets()
        serving = await serve(Echo(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        streams = [await Stream.to(sockets.address) for _ in range(20)]
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(serving.close(2))
        await asyncio.sleep(0.02)  # as long as a question is on its way
        for number, stream in enumerate(streams):
            stream.send(named("slow.example", number))
        assert [(await stream.receive()).header.id for stream in streams] == list(range(20))
        await closing
        for stream in streams:
            assert await stream.ended()
            stream.close()
        sockets.close()

    run(story)


def test_closing_does_not_wait_beyond_its_time(run):
    """What is not answered by then is given up."""

    async def story() -> None:
        class Never(Echo):
            def answer(self, *_: object) -> None:
                pass

        sockets = Sockets()
        serving = await serve(Never(), [sockets.udp], [sockets.tcp], Dns())  # type: ignore[arg-type]
        stream = await Stream.to(sockets.address)
        stream.send(named("x.example"))
        with pytest.raises(TimeoutError):
            await over_udp(sockets.address, named("x.example"), wait=0.1)
        before = asyncio.get_running_loop().time()
        await serving.close(0.1)
        assert asyncio.get_running_loop().time() - before < 2
        assert not serving._streams
        stream.close()
        sockets.close()

    run(story)


def test_a_flood_of_slow_questions_is_bounded(run):
    """Beyond the bound datagrams are dropped and counted; the client asks again."""

    async def story() -> None:
        echo = Echo()
        async with served(echo, max_inflight=40) as (_, sockets):
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.connect(sockets.address)
                for number in range(50):
                    sock.send(named("slow.example", number))
                await asyncio.sleep(0.1)
        assert echo.most == 10
        assert echo.count.events["dns_overload"] == 40

    run(story)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def two_profiles(**settings: Any) -> Bench:
    """Return a resolver where the profile `kids` is refused what others are not."""
    law = Listing("law", dns=DnsAnswer.NXDOMAIN, ede=16)
    kids = Profile("kids", ("10.0.0.0/8",), frozenset(("law",)))
    rest = Profile("rest", ("127.0.0.0/8",), frozenset())
    policy = policy_of((law, tree("blocked.example")), profiles=(kids, rest))
    return bench(policy=policy, rest=below(), clients=("127.0.0.0/8",), **settings)


@pytest.mark.parametrize(("name", "rcode"), [
    ("dns.example", "NOERROR"),
    ("kids.dns.example", "NXDOMAIN"),
    ("KIDS.dns.example", "NXDOMAIN"),
    ("rest.dns.example", "NOERROR"),
    ("other.dns.example", "NOERROR"),
])  # fmt: skip
def test_the_name_that_is_called_over_tls_chooses_the_profile(run, files, name, rcode):
    """Where it may be chosen; any other name leaves the client the profile of its address."""

    async def story() -> None:
        context = trusting(files.write(Pair()))
        async with served(two_profiles().resolver, files, frozenset(("kids",))) as (_, sockets):
            stream = await Stream.to(sockets.dot_address, context=context, name=name)
            for _ in range(3):
                stream.send(named("blocked.example"))
                assert RCODE[(await stream.receive()).header.rcode] == rcode
            stream.close()
            plain = await Stream.to(sockets.address)
            plain.send(named("blocked.example"))
            assert RCODE[(await plain.receive()).header.rcode] == "NOERROR"
            plain.close()

    run(story)


def test_a_new_certificate_serves_who_comes_and_leaves_who_is_there(run, files, monkeypatch):
    """Under load no question is lost; a pair that does not fit changes nothing."""
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.02)

    async def story() -> None:
        echo, old, new = Echo(), files.write(Pair()), Pair()
        context = trusting(old, new)

        async def serial() -> bytes:
            stream = await Stream.to(sockets.dot_address, context=context)
            found: bytes = stream.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            stream.close()
            return found

        async def asks(stream: Stream) -> int:
            for number in itertools.count(1):
                stream.send(named("quick.example", number % 65_536))
                assert (await stream.receive()).header.id == number % 65_536
                if done.is_set():
                    return number
            return 0

        async with served(echo, files) as (_, sockets):
            done = asyncio.Event()
            streams = [await Stream.to(sockets.dot_address, context=context) for _ in range(4)]
            asking = [asyncio.create_task(asks(stream)) for stream in streams]
            assert await serial() == old.der
            files.write_certificate(new.pem)  # its key is still to come
            await asyncio.sleep(0.2)
            assert await serial() == old.der
            assert echo.count.events["dns_certificate_refused"] == 1
            files.write_key(new.private())
            await asyncio.sleep(0.2)
            assert await serial() == new.der
            done.set()
            assert min(await asyncio.gather(*asking)) > 10
            for stream in streams:
                stream.close()
        assert echo.count.events["dns_dot_connections"] == 7
        assert echo.count.events["dns_tls_failed"] == 0

    run(story)


def test_who_does_not_agree_on_encryption_is_left_and_counted(run, files, monkeypatch):
    """Whether it says nothing, something else, or trusts us not; and whether we have a certificate or none yet."""
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.3)

    async def story() -> None:
        files.write(Pair())
        echo = Echo()
        async with served(echo, files) as (serving, sockets):
            silent = await Stream.to(sockets.dot_address)
            assert await silent.ended()
            plain = await Stream.to(sockets.dot_address)
            plain.send(named("quick.example"))
            await plain.ended()  # perhaps an alert comes first
            with pytest.raises(ssl.SSLError):
                await Stream.to(sockets.dot_address, context=trusting(Pair()))
            for stream in (silent, plain):
                stream.close()
            for _ in range(100):
                if not serving._streams:
                    break
                await asyncio.sleep(0.02)
            assert not serving._streams
        assert echo.count.events["dns_tls_failed"] == 3
        assert not echo.clients
        files.key.unlink()
        async with served(echo, files) as (_, sockets):
            with pytest.raises(ConnectionError):
                await Stream.to(sockets.dot_address, context=trusting(Pair()))

    run(story)


def test_places_of_those_who_never_agree_are_taken_by_others(run, files):
    """A client whose handshake hangs is the first to go where there is no room."""

    async def story() -> None:
        context = trusting(files.write(Pair()))
        async with served(Echo(), files, encrypted={"connections": 2}) as (_, sockets):
            hanging = [await Stream.to(sockets.dot_address, f"127.0.0.{number}") for number in (2, 3, 4)]
            stream = await Stream.to(sockets.dot_address, context=context)
            stream.send(named("quick.example"))
            await stream.receive()
            assert await asyncio.gather(*(item.ended() for item in hanging[:2])) == [True, True]
            for item in (stream, *hanging):
                item.close()

    run(story)


def test_closing_ends_encrypted_connections_and_handshakes_in_time(run, files):
    """What was asked is answered; a handshake that hangs holds up nothing beyond the time there is."""

    async def story() -> None:
        context = trusting(files.write(Pair()))
        sockets = Sockets()
        table = {"name": NAME, "dot": ["127.0.0.1:853"], "certificate": files.certificate, "key": files.key}
        serving = await serve(Echo(), [], [], Dns(encrypted=table))  # type: ignore[arg-type]
        serving.add_dot(sockets.dot)
        hanging, stream = await Stream.to(sockets.dot_address), await Stream.to(sockets.dot_address, context=context)
        stream.send(named("slow.example", 1))
        await asyncio.sleep(0.05)
        before = asyncio.get_running_loop().time()
        closing = asyncio.create_task(serving.close(1))
        assert (await stream.receive()).header.id == 1
        assert await stream.ended()
        await closing
        assert asyncio.get_running_loop().time() - before < 2
        for item in (hanging, stream):
            item.close()
        sockets.close()

    run(story)


@pytest.mark.parametrize(("padded", "size"), [(True, 468), (False, None)])
def test_replies_are_padded_for_who_pads_where_that_hides_something(run, files, padded, size):
    """RFC 8467: to a multiple of 468 bytes over TLS, and never over TCP, where all can read them."""

    async def story() -> None:
        context = trusting(files.write(Pair()))
        record = query("blocked.example", edns=None)
        record.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(12, bytes(20))] if padded else []))
        packet = bytes(record.pack())
        async with served(two_profiles().resolver, files, frozenset(("kids",))) as (_, sockets):
            plain = await Stream.to(sockets.address)
            stream = await Stream.to(sockets.dot_address, context=context)
            for _ in range(3):
                for item, expected in ((plain, None), (stream, size)):
                    item.send(packet)
                    found = await item.whole()
                    assert (len(found) % 468 == 0) is (expected is not None)
            for item in (plain, stream):
                item.close()

    run(story)
