"""Connections to upstreams: whom they trust, and that no question is lost with one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from filterproxy.dns.upstreams import Upstreams, links
from filterproxy.errors import ConfigError
from filterproxy.settings.dns import split_upstream
from tests.dns.upstreams.peers import FINE, UNREACHED, asking, named
from tests.dns.upstreams.servers import HANG_UP, NAME, Authority, Server


def story_of_tls(authority):
    async def story() -> None:
        async with Server(tls=authority.context(NAME)) as server:
            address = f"tls://{server.address}#{NAME}"
            async with asking(address, ca=authority.ca, timeout=2) as here:
                assert (await here.ask()).answers == 1
                answers = await asyncio.gather(*(here.ask() for _ in range(20)))
                assert all(item.answers == 1 and item.ad for item in answers)
            assert server.connections == 1
            async with asking(f"tls://{server.address}#other.example", ca=authority.ca, timeout=1) as here:
                assert await here.failure() == UNREACHED

    return story


def test_tls_is_spoken_on_every_loop(authority, run):
    """The certificate is checked for the name, on uvloop as on asyncio, and one connection serves all questions."""
    run(story_of_tls(authority))


def test_nothing_of_tcp_is_left_on_any_loop(run):
    """Pipelining, a cut connection and a closed port end alike on both loops."""

    async def story() -> None:
        async with (
            Server(says=lambda asked, honest: [honest, HANG_UP]) as server,
            asking(f"tcp://{server.address}", timeout=2) as here,
        ):
            for _ in range(3):
                assert (await here.ask()).answers == 1
            answers = await asyncio.gather(*(here.ask() for _ in range(5)))
            assert [item.answers for item in answers] == [1] * 5
        async with asking(f"tcp://{server.address}", timeout=2) as here:
            assert await here.failure() == UNREACHED

    run(story)


@pytest.mark.parametrize("names", [["127.0.0.1"], ["other.example", "127.0.0.1"]])
async def test_without_a_name_the_certificate_is_for_the_address(authority, names):
    """tls://ADDRESS:PORT trusts whoever may speak for that address."""
    async with (
        Server(tls=authority.context(*names)) as server,
        asking(f"tls://{server.address}", ca=authority.ca, timeout=2) as here,
    ):
        assert (await here.ask()).answers == 1


@pytest.mark.parametrize(
    ("names", "days"), [([NAME], -1), (["other.example"], 1), (["127.0.0.1"], 1), (["*.resolver.example"], 1)]
)
async def test_a_certificate_that_is_not_right_is_no_upstream(authority, names, days, caplog):
    """Expired, or for somebody else: no question is sent, and it rests."""
    async with (
        Server(tls=authority.context(*names, days=days)) as server,
        asking(f"tls://{server.address}#{NAME}", ca=authority.ca, timeout=1) as here,
    ):
        assert await here.failure() == UNREACHED
        assert here.upstreams._peers[0].health.resting
    assert server.seen == []
    assert "example" not in caplog.text


async def test_an_unknown_authority_is_no_authority(authority, tmp_path):
    """Only those of `dns.upstream_ca` are trusted, or the system's where it is unset."""
    async with Server(tls=Authority(tmp_path, "other").context(NAME)) as server:
        for ca in (authority.ca, None):
            async with asking(f"tls://{server.address}#{NAME}", ca=ca, timeout=1) as here:
                assert await here.failure() == UNREACHED
    assert server.seen == []


async def test_what_speaks_no_tls_is_no_upstream(authority):
    """A plain server, or one that is silent, behind tls:// ends in time."""
    async with (
        Server(greeting=b"220 hello\r\n" * 20) as plain,
        asking(f"tls://{plain.address}#{NAME}", ca=authority.ca, timeout=0.4) as here,
    ):
        assert await here.failure() == UNREACHED
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}#{NAME}"
        async with asking(address, ca=authority.ca, timeout=0.3) as here:
            before = asyncio.get_running_loop().time()
            assert await here.failure() == UNREACHED
            assert asyncio.get_running_loop().time() - before < 0.6


def test_a_file_without_authorities_is_named(tmp_path):
    """The configuration is refused at the start, by the key's name."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(ConfigError, match="dns.upstream_ca"):
        Upstreams([split_upstream("tls://127.0.0.1:853")], 1, ca=path)


async def test_an_idle_connection_is_closed_and_opened_again(monkeypatch):
    """Nobody keeps a connection that nobody uses (RFC 7766), nor a timer for it."""
    monkeypatch.setattr(links, "IDLE_SECONDS", 0.1)
    async with Server() as server, asking(f"tcp://{server.address}") as here:
        for _ in range(3):
            assert (await here.ask()).answers == 1
        assert server.connections == 1
        await asyncio.sleep(0.3)
        assert not here.way._links
        assert (await here.ask()).answers == 1
        assert server.connections == 2


async def test_a_kept_connection_that_was_cut_costs_no_answer():
    """What waited on it, and what was sent into it, is asked again on another, some times."""
    cuts = iter([[HANG_UP]])

    def says(asked, honest):
        return next(cuts, None) if b"slow" in asked.pack().lower() else None

    async with (
        Server(zone={("slow.example", "A"): "slow.example 9 IN A 192.0.2.7"}, says=says) as server,
        asking(f"tcp://{server.address}", timeout=2) as here,
    ):
        await here.ask()
        answers = await asyncio.gather(*(here.ask(named("slow.example")) for _ in range(10)))
        assert [item.answers for item in answers] == [1] * 10
    assert server.connections == 2


async def test_one_that_hangs_up_without_a_word_is_not_asked_for_ever():
    """A connection that was never of use is not tried again for the same question."""
    async with Server(says=lambda *_: [HANG_UP]) as server, asking(f"tcp://{server.address}", timeout=2) as here:
        before = asyncio.get_running_loop().time()
        assert await here.failure() == UNREACHED
        assert asyncio.get_running_loop().time() - before < 1
    assert server.connections == 1


async def test_a_kept_connection_that_fell_silent_costs_a_third_of_the_time():
    """A firewall that forgot it tells nobody; another connection does."""
    turns: Iterator[list[bytes] | None] = iter([None, [], [], []])
    async with (
        Server(says=lambda *_: next(turns, None)) as server,
        asking(f"tcp://{server.address}", timeout=0.9) as here,
    ):
        await here.ask()
        before = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(here.ask() for _ in range(3)))
        assert [item.answers for item in answers] == [1] * 3
        assert 0.25 < asyncio.get_running_loop().time() - before < 0.7
    assert server.connections == 2


async def test_questions_on_a_connection_and_connections_are_bounded(monkeypatch):
    """However many wait, an upstream sees few connections; those beyond are answered with a failure at once."""
    monkeypatch.setattr(links, "PIPELINED", 10)
    monkeypatch.setattr(links, "LINKS", 3)
    async with Server(delay=0.2) as server, asking(f"tcp://{server.address}", timeout=1) as here:
        waiting = [here.begin(named(f"slow{number}.example")) for number in range(50)]
        assert sum(item.done() for item in waiting) == 20
        answers = await asyncio.gather(*waiting)
        assert sum((item.rcode, item.ede) == UNREACHED for item in answers) == 20
        assert (await here.ask()).answers == 1
    assert server.connections == 3


async def test_closing_while_connections_open_leaves_nothing(authority):
    """On an orderly end a connection that is half open is given up too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}#{NAME}"
        async with asking(address, ca=authority.ca, timeout=5) as here:
            waiting = here.begin(FINE)
            await asyncio.sleep(0.05)
            here.upstreams.close()
            assert (await waiting).ede == 23
