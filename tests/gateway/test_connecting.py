"""CONNECT, through a whole gateway: which tunnels stand, and that what is said inside is judged by its own names."""

from __future__ import annotations

import pytest

from tests.gateway.pairs import run
from tests.gateway.street import Street, street


def told(story, **how) -> None:
    """Run a story on a street."""

    async def within() -> None:
        async with street(**how) as found:
            await story(found)

    run("uvloop", within)


@pytest.mark.parametrize(("target", "host", "status"), [
    ("blocked.example:443", "blocked.example:443", 403), ("ok.example:443", "blocked.example", 403),
    ("ok.example:22", "ok.example:22", 403), ("nowhere.test:443", "nowhere.test:443", 502),
    ("inner.test:443", "inner.test:443", 403), ("ok.example", "ok.example", 400), ("ok.example:0", "ok.example", 400),
    ("ok.example:443", "ok.example, x", 400),
])  # fmt: skip
def test_a_tunnel_that_may_not_stand_is_refused_and_http_goes_on(target, host, status):
    """By each of its names, its port, and where it leads; llhttp refuses a target without a port by itself."""

    async def story(found: Street) -> None:
        caller = await found.call()
        reply = await caller.ask(f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert reply.status == status
        if reply.field("connection") != "close":
            assert (await caller.get(found.url("ok.example"))).body == b"page"
        assert found.counts.events["notices"] == ("blocked" in target + host)

    told(story)


def test_http_inside_a_tunnel_is_judged_by_its_host():
    """A listed page gets its notice there, its neighbours come from where the tunnel leads."""

    async def story(found: Street) -> None:
        caller = await found.connect("ok.example")
        asked = [("/", "blocked.example", 403), ("/a", "ok.example", 200), ("/listed", "pages.example", 451)]
        for path, host, status in asked:
            reply = await caller.ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert reply.status == status
        assert [head.split(b" ")[1] for head in found.shop.heads] == [b"/a"]

    told(story)
