"""What connections share: replies that were given, told again to whom they hold for, and turns for all others."""

from __future__ import annotations

import asyncio

import pytest
from dnslib import DNSRecord

from filterproxy.core.model import DnsAnswer, Listing
from filterproxy.core.policy import Profile
from filterproxy.dns import guest
from filterproxy.dns.asking import TCP, Way
from filterproxy.dns.guest import STRANGERS, Back, Guest
from tests.dns.asking import below
from tests.dns.fakes import CLIENT, Bench, bench, policy_of, query, tree
from tests.dns.sockets import Echo, named

TLS = Way(stream=True, encrypted=True)
LAW = Listing("law", dns=DnsAnswer.NXDOMAIN, ede=16)


async def told(asks: Guest, packet: bytes) -> bytes | None:
    """Return what `asks` is told, asserting that it is told once."""
    came: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    asks.answer(packet, came.set_result)
    async with asyncio.timeout(2):
        return await came


def remembered(here: Bench) -> int:
    """Return how many questions were answered from a memo."""
    return here.counts.events["dns_memo"]


@pytest.mark.parametrize("name", ["blocked.example", "null.example", "fine.example"])
@pytest.mark.parametrize("way", [TCP, TLS])
def test_what_was_told_is_told_again_and_counted_alike(name, way):
    """The same bytes but for the id, from memory: of what is blocked, and of what came from upstreams and is cached."""

    async def story() -> None:
        here = bench(rest=below())
        back = Back(here.resolver, 100)
        first, second = Guest(back, CLIENT, way), Guest(back, CLIENT, way)
        replies = [await told(first, named(name, ident=1)) for _ in range(2)]  # cached, then remembered
        before, counted = dict(here.counts.events), len(here.counts.verdicts)
        replies.append(await told(second, named(name, ident=0x1234)))
        assert replies[2] == b"\x12\x34" + (replies[1] or b"")[2:]
        more = {key: number - before.get(key, 0) for key, number in here.counts.events.items()}
        cached = {"dns_cache_hit": 1} if name == "fine.example" else {}
        assert {key: number for key, number in more.items() if number} == {"dns_queries": 1, "dns_memo": 1, **cached}
        assert len(here.counts.verdicts) == counted + 1
        assert here.counts.verdicts[-1] == here.counts.verdicts[-2]

    asyncio.run(story())


def test_what_was_told_under_another_policy_is_forgotten():
    """By those who were there before as well: what a list no longer blocks is not blocked from memory."""

    async def story() -> None:
        here = bench(rest=below())
        asks = Guest(Back(here.resolver, 100), CLIENT, TCP)
        for _ in range(2):
            assert ((await told(asks, named("blocked.example"))) or b"")[3] & 15 == 3
        assert remembered(here) == 1
        here.policies[0] = policy_of((LAW, tree("fine.example")))
        reply = DNSRecord.parse((await told(asks, named("fine.example"))) or b"")
        assert reply.header.rcode == 3
        await told(asks, named("blocked.example"))
        assert remembered(here) == 1

    asyncio.run(story())


def test_an_answer_that_comes_under_another_policy_is_not_remembered():
    """It was judged by the one before."""

    async def story() -> None:
        here = bench(rest=below())
        back = Back(here.resolver, 100)
        asks = Guest(back, CLIENT, TCP)
        came: list[bytes | None] = []
        asks.answer(named("blocked.example"), came.append)
        asyncio.get_running_loop().call_soon(here.policies.__setitem__, 0, policy_of((LAW, tree("other.example"))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await told(asks, named("blocked.example"))
        assert remembered(here) == 0

    asyncio.run(story())


def test_what_one_profile_was_told_no_other_is():
    """Whether it has its profile by its address or chose it, and whether it came encrypted or not."""

    async def story() -> None:
        policy = policy_of(
            (LAW, tree("blocked.example")),
            profiles=(
                Profile("strict", ("192.168.1.0/24",), frozenset(("law",))),
                Profile("open", ("10.0.0.0/8",), frozenset()),
            ),
        )
        here = bench(policy=policy, rest=below())
        back = Back(here.resolver, 100)
        strict, free = Guest(back, CLIENT, TLS), Guest(back, "10.0.0.1", TLS)
        chose = Guest(back, CLIENT, TLS._replace(profile="open"))
        for _ in range(3):
            rcodes = [((await told(asks, named("blocked.example"))) or b"")[3] & 15 for asks in (strict, free, chose)]
            assert rcodes == [3, 0, 0]
        assert remembered(here) > 0
        before = remembered(here)
        assert ((await told(Guest(back, CLIENT, TCP), named("blocked.example"))) or b"")[3] & 15 == 3
        assert remembered(here) == before

    asyncio.run(story())


def test_a_stranger_is_known_as_one_and_gets_nothing_from_memory():
    """All of them have one share."""

    async def story() -> None:
        here = bench(clients=("192.168.0.0/16",))
        back = Back(here.resolver, 100)
        asks, stranger = Guest(back, CLIENT, TCP), Guest(back, "203.0.113.1", TCP)
        assert (asks.served, asks.sharer) == (True, CLIENT)
        assert (stranger.served, stranger.sharer) == (False, STRANGERS)
        for _ in range(2):
            await told(asks, named("blocked.example"))
            assert ((await told(stranger, named("blocked.example"))) or b"")[3] & 15 == 5

    asyncio.run(story())


def test_many_questions_take_turns_with_all_other_work(monkeypatch):
    """So many at a time, over all connections together, in the order in which they came."""
    monkeypatch.setattr(guest, "WORKED_AT_ONCE", 4)

    async def story() -> None:
        echo = Echo()
        back = Back(echo, 100)  # type: ignore[arg-type]
        guests = [Guest(back, f"127.0.0.{number}", TCP) for number in range(3)]
        came: list[bytes | None] = []
        for number in range(3):
            for asks in guests:
                asks.ask(named("x.example", number), came.append)
        done = []
        for _ in range(4):
            await asyncio.sleep(0)
            done.append(len(came))
        assert done == [4, 8, 9, 9]
        assert [client[-1] for client, _ in echo.clients] == list("012" * 3)

    asyncio.run(story())


def test_what_a_guest_asked_that_is_gone_or_does_not_read_is_not_begun():
    """Of who reads again it is; who is gone is told nothing."""

    async def story() -> None:
        echo = Echo()
        back = Back(echo, 100)  # type: ignore[arg-type]
        gone, choked, other = (Guest(back, f"127.0.0.{number}", TCP) for number in range(3))
        came: list[bytes | None] = []
        for asks in (gone, choked, other):
            asks.ask(named("x.example"), came.append)
        gone.gone = gone.choked = choked.choked = True
        await asyncio.sleep(0.01)
        assert gone.waiting == []
        assert [client[-1] for client, _ in echo.clients] == ["2"]
        choked.resume()
        await asyncio.sleep(0.01)
        assert [client[-1] for client, _ in echo.clients] == ["2", "1"]
        assert len(came) == 2

    asyncio.run(story())


def test_what_is_no_question_is_met_with_silence_or_an_error():
    """As the resolver meets it, whatever its length."""

    async def story() -> None:
        here = bench()
        asks = Guest(Back(here.resolver, 100), CLIENT, TCP)
        assert await told(asks, b"") is None
        assert await told(asks, bytes(11)) is None
        assert ((await told(asks, bytes(12))) or b"")[3] & 15 == 1
        assert await told(asks, bytes(query("x.example").reply().pack())) is None

    asyncio.run(story())
