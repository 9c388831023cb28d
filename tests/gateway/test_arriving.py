"""Connections that were on their way elsewhere; those that really were stand in tests/e2e/test_gateway_network.py."""

from __future__ import annotations

import socket

from filterproxy.gateway.arriving import original
from tests.gateway.pairs import run
from tests.gateway.street import Street, street


def told(story, use: str, **how) -> None:
    """Run a story on a street with another way in."""

    async def within() -> None:
        async with street(uses=[use], gateway=how) as found:
            await story(found)

    run("uvloop", within)


def test_who_comes_on_purpose_has_nowhere_to_go():
    """The port of redirected connections is no proxy."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert await caller.rest() == b""
        assert found.counts.events["http_malformed"] == 1

    told(story, "gateway_redirect")


def test_a_connection_as_it_was_goes_where_it_was_going():
    """That is its own end, which on loopback is ourselves: there is no loop."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert (await caller.reply()).status in (403, 502)

    told(story, "gateway_tproxy", allow_targets=["10.0.0.0/8"])


def test_who_is_not_served_is_sent_away():
    """Before a word is read; nor is there a place for more than may be."""

    async def story(found: Street) -> None:
        caller = await found.call()
        assert await caller.rest() == b""
        assert found.counts.events["http_refused_client"] == 1

    told(story, "gateway_tproxy", clients=["10.0.0.0/8"])


def test_a_connection_that_was_not_redirected_has_no_other_end():
    """Of either family."""
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        with (
            socket.create_server((host, 0), family=family) as server,
            socket.create_connection(server.getsockname()[:2]) as client,
            server.accept()[0] as ours,
        ):
            assert original(ours) is None
            assert original(client) is None
