"""Connections that a balancer hands over."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.pairs import run
from tests.gateway.street import Street, fields, street

V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 8080\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 8, 4, 210, 31, 144])


def told(story, **how) -> None:
    """Run a story where a balancer stands before us."""
    settings = {"proxy_protocol": ["127.0.0.1:1"], "balancers": ["127.0.0.0/8"], "forwarded": "x-forwarded-for"}
    settings |= {"clients": ["192.0.2.0/24"]} | how

    async def within() -> None:
        async with street(gateway=settings, uses=["gateway_proxied"]) as found:
            await story(found)

    run("uvloop", within)


@pytest.mark.parametrize("head", [V1, V2])
@pytest.mark.parametrize("cut", [1, 999])
def test_the_client_is_who_the_balancer_says(head, cut):
    """It is served as that, wherever the header is cut."""

    async def story(found: Street) -> None:
        caller = await found.call()
        request = head + f"GET {found.url('ok.example')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for at in range(0, len(request), cut):
            caller.send(request[at : at + cut])
            await asyncio.sleep(0)
        assert (await caller.reply()).body == b"page"
        assert fields(found.shop.heads[0])["x-forwarded-for"] == "192.0.2.7"
        assert list(found.house.seats._of) == ["192.0.2.7"]

    told(story)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 192.0.2.7 x 1 2\r\n"]
)
def test_who_says_it_in_no_way_is_sent_away(head):
    """Without a word: it is no browser."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(head)
        assert await caller.rest() == b""
        assert found.counts.events["http_malformed"] == 1

    told(story)


def test_nobody_else_is_believed():
    """A client that comes by itself is no balancer."""

    async def story(found: Street) -> None:
        caller = await found.call()
        caller.send(V1 + b"GET / HTTP/1.1\r\n\r\n")
        assert await caller.rest() == b""
        assert found.counts.events["http_refused_client"] == 1

    told(story, balancers=["10.0.0.0/8"])


def test_a_balancer_may_look_whether_we_are_there():
    """It speaks for itself then, and is served as who it is: here it is no client."""

    async def story(found: Street) -> None:
        caller = await found.call()
        assert (await caller.ask(b"PROXY UNKNOWN\r\nGET http://ok.example/ HTTP/1.1\r\nHost: x\r\n\r\n")).status == 403

    told(story)
