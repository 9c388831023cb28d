"""Connections to where a client wants to go."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from filterproxy.core.targets import Targets
from filterproxy.gateway import dialling as room
from filterproxy.gateway.dialling import Dialler, OverloadedError, TargetRefusedError, UnreachableError
from filterproxy.gateway.judging import Place
from tests.gateway.pairs import LOOPS, run

ALLOWED = ["127.0.0.0/8", "::1/128"]


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.asynccontextmanager
async def dialler(names=None, *, allow=ALLOWED, own=(), seconds=5.0, listens=(), local=False):
    """Yield a dialler by which these names lead to these addresses, and how often each was looked up."""
    asked: list[str] = []

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.01)
        found = (names or {}).get(host)
        if found is None:
            raise OSError
        return list(found)

    made = Dialler(Targets(allow, own, listens, local=local), seconds, resolve)
    try:
        yield made, asked
    finally:
        made.close()
        await asyncio.sleep(0)


@contextlib.contextmanager
def listening(host="127.0.0.1"):
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        yield server, server.getsockname()[1]


def test_a_name_is_looked_up_once_and_its_address_dialled(loop):
    """For many who ask at once, and those who ask soon after."""

    async def story() -> None:
        with listening() as (_, port):
            async with dialler({"a.example": ["127.0.0.1"]}) as (made, asked):
                found = await asyncio.gather(*(made.reach(Place("a.example", port), "192.0.2.1") for _ in range(5)))
                found.append(await made.reach(Place("a.example", port), "192.0.2.1"))
                assert asked == ["a.example"]
                for sock in found:
                    assert sock.getpeername() == ("127.0.0.1", port)
                    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    assert not sock.getblocking()
                    sock.close()

    run(loop, story)


@pytest.mark.parametrize(("place", "names", "error"), [
    (Place("10.0.0.1", 80), {}, TargetRefusedError), (Place("::ffff:10.0.0.1", 80), {}, TargetRefusedError),
    (Place("a.example", 80), {"a.example": ["10.0.0.1", "169.254.1.1", "64:ff9b::a00:1"]}, TargetRefusedError),
    (Place("a.example", 80), {"a.example": []}, UnreachableError), (Place("a.example", 80), {}, UnreachableError),
    (Place("127.0.0.1", 1), {}, UnreachableError), (Place("no host", 1), {}, TargetRefusedError),
])  # fmt: skip
def test_what_may_not_be_reached_is_not_dialled(loop, place, names, error):
    """Whatever the name looked like: what it leads to is what counts."""

    async def story() -> None:
        async with dialler(names) as (made, _):
            with pytest.raises(error) as caught:
                await made.reach(place, "192.0.2.1")
            assert place.host not in str(caught.value)

    run(loop, story)


def test_of_several_addresses_those_that_may_not_be_reached_are_left_out(loop):
    """And the others are tried, one that is dead no longer than another is late."""

    async def story() -> None:
        with listening() as (_, port):
            async with dialler({"a.example": ["10.0.0.1", "127.0.0.9", "127.0.0.1"]}) as (made, _):
                (await made.reach(Place("a.example", port), "192.0.2.1")).close()
        with listening("::1") as (_, port):
            async with dialler({"a.example": ["127.0.0.1", "::1"]}) as (made, _):
                sock = await made.reach(Place("a.example", port), "192.0.2.1")
                assert sock.getpeername()[0] == "::1"
                sock.close()

    run(loop, story)


def test_addresses_of_this_machine_are_not_reached_unless_they_are_allowed(loop):
    """Though they be public ones: a connection whose two ends are one is to ourselves. The portal is."""

    async def story() -> None:
        with listening() as (_, port):
            place = Place("127.0.0.1", port)
            async with dialler(allow=[], own=[("127.0.0.1", port)]) as (made, _):
                (await made.reach(place, "192.0.2.1")).close()
            async with dialler(allow=[]) as (made, _):
                with pytest.raises(TargetRefusedError):
                    await made.reach(place, "192.0.2.1")
            async with dialler(listens=[port]) as (made, _):
                with pytest.raises(TargetRefusedError):
                    await made.reach(place, "192.0.2.1")
            async with dialler(allow=[], local=True) as (made, _):
                (await made.reach(place, "127.0.0.1")).close()
                with pytest.raises(TargetRefusedError):
                    await made.reach(place, "192.0.2.1")

    run(loop, story)


def test_all_of_it_takes_no_longer_than_it_may(loop):
    """504, be it the look-up or the other side."""

    async def story() -> None:
        async def never(host: str) -> list[str]:
            await asyncio.sleep(60)
            return []

        made = Dialler(Targets(ALLOWED, (), ()), 0.1, never)
        with pytest.raises(UnreachableError) as caught:
            await made.reach(Place("a.example", 80), "192.0.2.1")
        assert caught.value.status == 504
        made.close()
        await asyncio.sleep(0)
        with listening() as (server, port):
            server.listen(0)
            full = []
            for _ in range(3):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
                full.append(sock)
            async with dialler(seconds=0.2) as (made, _):
                with pytest.raises(UnreachableError) as caught:
                    await made.reach(Place("127.0.0.1", port), "192.0.2.1")
                assert caught.value.status == 504
            for sock in full:
                sock.close()

    run(loop, story)


def test_no_more_names_are_looked_up_than_may_wait(loop, monkeypatch):
    """503 for the next."""
    monkeypatch.setattr(room, "WAITING", 3)

    async def story() -> None:
        async with dialler() as (made, _):
            asked = [made.reach(Place(f"a{number}.example", 80), "192.0.2.1") for number in range(4)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(item) for item in found] == [UnreachableError] * 3 + [OverloadedError]

    run(loop, story)


def test_whenever_it_is_given_up_nothing_stays_open(loop):
    """Cancelled at any moment; `run` counts descriptors."""

    async def story() -> None:
        with listening() as (_, port):
            async with dialler({"a.example": ["127.0.0.9", "::1", "127.0.0.1"]}) as (made, _):
                for turns in range(25):
                    made._known.clear()
                    task = asyncio.ensure_future(made.reach(Place("a.example", port), "192.0.2.1"))
                    for _ in range(turns):
                        await asyncio.sleep(0.001)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        (await task).close()
                await asyncio.sleep(0.05)

    run(loop, story)


def test_the_systems_own_names_are_known(loop):
    """Without anybody in its place the system is asked."""

    async def story() -> None:
        with listening() as (_, port):
            made = Dialler(Targets(ALLOWED, (), ()), 5)
            (await made.reach(Place("localhost", port), "192.0.2.1")).close()
            made.close()

    run(loop, story)


def test_a_connection_may_come_from_the_clients_own_address(loop):
    """As TPROXY wants it; of its family alone."""

    async def story() -> None:
        with listening() as (_, port):
            async with dialler({"a.example": ["::1", "127.0.0.1"]}) as (made, _):
                sock = await made.reach(Place("a.example", port), "127.0.0.5", "127.0.0.5")
                assert sock.getsockname()[0] == "127.0.0.5"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            async with dialler({"a.example": ["::1"]}) as (made, _):
                with pytest.raises(UnreachableError):
                    await made.reach(Place("a.example", port), "127.0.0.5", "127.0.0.5")

    run(loop, story)
