"""Questions over HTTPS (RFC 8484): against a real HTTP/2 server, and its faults."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.dns.upstreams.doh import Url
from tests.dns.upstreams.peers import FINE, UNREACHED, USELESS, asking, named
from tests.dns.upstreams.servers import NAME, HttpServer, Server


@pytest.fixture(scope="module")
def tls(authority):
    return authority.context(NAME, alpn=("h2",))


def test_https_is_spoken_on_every_loop(authority, tls, run):
    """One connection serves all questions at once; the id is 0, the length hidden, the answer's AD believed."""

    async def story() -> None:
        async with HttpServer(tls) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
            answers = await asyncio.gather(*(here.ask() for _ in range(50)))
            assert all(item.answers == 1 and item.ad for item in answers)
            assert (server.connections, len(server.seen)) == (1, 50)
            assert {item.header.id for item in server.seen} == {0}
            assert server.requests[0] == {
                ":method": "POST",
                ":scheme": "https",
                ":authority": f"{NAME}:{server.port}",
                ":path": "/dns-query",
                "accept": "application/dns-message",
                "content-type": "application/dns-message",
                "content-length": "128",
            }

    run(story)


def test_the_host_is_spelled_as_a_url_spells_it():
    """The usual port is left out, and an IPv6 address stands in brackets."""
    found = [dict(Url(*item, "/q").headers(1))[b":authority"] for item in [("a.example", 443), ("2001:db8::1", 8443)]]
    assert found == [b"a.example", b"[2001:db8::1]:8443"]


@pytest.mark.parametrize(
    "more", [{"status": "500"}, {"status": "404"}, {"status": "302", "location": "/x"}, {"kind": "text/html"}]
)
async def test_what_is_no_dns_message_is_no_answer(authority, tls, more):
    """An error page is a failure at once, and rests nobody: the server was reached."""

    def says(connection, stream, asked, honest):
        connection.answer(stream, honest, **more)
        return True

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
        before = asyncio.get_running_loop().time()
        assert await here.failure() == USELESS
        assert asyncio.get_running_loop().time() - before < 1
        assert not here.upstreams._peers[0].health.resting


@pytest.mark.parametrize(
    "change",
    [
        lambda honest: b"",
        lambda honest: honest[:11],
        lambda honest: honest[:-2],
        lambda honest: b"\1" + honest[1:],
        lambda honest: honest[:12] + b"\4mine" + honest[17:],
        lambda honest: honest[:2] + bytes([honest[2] | 2]) + honest[3:],
        lambda honest: honest + bytes(200_000),
    ],
)
async def test_a_body_that_is_no_answer_is_none(authority, tls, change):
    """Empty, damaged, to another question, cut, or longer than a message can be: it ends at once."""

    def says(connection, stream, asked, honest):
        if asked.q.qname.matchGlob("fine.*"):
            body = change(honest)
            if len(body) > 65_000:
                connection.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/dns-message")])
                feed(connection, stream, body)
            else:
                connection.answer(stream, body)
            return True
        return False

    def feed(connection, stream, body):
        if stream not in connection.h2.streams or connection.h2.streams[stream].closed:
            return
        room = min(connection.h2.local_flow_control_window(stream), 16_000)
        if room:
            connection.h2.send_data(stream, body[:room])
            connection.flush()
        if body[room:]:
            asyncio.get_running_loop().call_later(0.01, feed, connection, stream, body[room:])

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
        assert await here.failure() == USELESS
        assert (await here.ask(named("other.example"))).rcode == 3
        assert server.connections == 1
        await asyncio.sleep(0.05)


async def test_a_stream_that_is_refused_is_asked_again_and_one_that_is_broken_off_is_not(authority, tls):
    """REFUSED_STREAM says that nothing was done yet (RFC 9113, section 8.7)."""
    codes = iter([ErrorCodes.REFUSED_STREAM, ErrorCodes.REFUSED_STREAM, None, ErrorCodes.INTERNAL_ERROR])

    def says(connection, stream, asked, honest):
        code = next(codes)
        if code is None:
            return False
        connection.h2.reset_stream(stream, code)
        return True

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
        assert (await here.ask()).answers == 1
        assert await here.failure() == USELESS
        assert (server.connections, len(server.seen)) == (1, 4)


async def test_a_server_that_says_goodbye_costs_no_answer(authority, tls):
    """After GOAWAY whatever waits is asked on another connection."""

    def says(connection, stream, asked, honest):
        if connection.server.connections == 1 and stream > 1:
            connection.h2.close_connection(last_stream_id=1)
            connection.flush()
            return True
        return False

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
        await here.ask()
        answers = await asyncio.gather(*(here.ask() for _ in range(5)))
        assert [item.answers for item in answers] == [1] * 5
        assert server.connections == 2


async def test_a_server_that_only_says_goodbye_is_left(authority, tls):
    """However often it is asked, it ends: a question is asked on few connections."""

    def says(connection, stream, asked, honest):
        connection.h2.close_connection()
        connection.flush()
        return True

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=2) as here:
        assert await here.failure() == UNREACHED
        assert server.connections <= 9


async def test_silence_ends_in_time_and_is_told_to_the_server(authority, tls):
    """A question given up is reset, so that it takes none of the places for others."""

    def says(connection, stream, asked, honest):
        return bool(asked.q.qname.matchGlob("fine.*"))

    limits: dict[SettingCodes | int, int] = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    server = HttpServer(tls, says=says, settings=limits)
    async with server, asking(server.address, ca=authority.ca, timeout=0.3) as here:
        await here.ask(named("other.example"))
        waiting = [here.begin(FINE) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert not any(item.done() for item in waiting)
        assert {(item.rcode, item.ede) for item in await asyncio.gather(*waiting)} == {UNREACHED}
        assert (await here.ask(named("other.example"))).rcode == 3


async def test_no_more_streams_are_opened_than_the_server_takes(authority, tls):
    """Questions wait for their turn, and each has its answer."""
    limits: dict[SettingCodes | int, int] = {SettingCodes.MAX_CONCURRENT_STREAMS: 3}
    server, most = HttpServer(tls, settings=limits), 0

    def says(connection, stream, asked, honest):
        nonlocal most
        most = max(most, connection.h2.open_inbound_streams)
        asyncio.get_running_loop().call_later(0.01, connection.answer, stream, honest)
        return True

    server.says = says
    async with server, asking(server.address, ca=authority.ca, timeout=2) as here:
        await here.ask()
        answers = await asyncio.gather(*(here.ask() for _ in range(20)))
        assert [item.answers for item in answers] == [1] * 20
    assert (most, server.connections) == (3, 1)


async def test_whoever_speaks_no_http2_is_no_upstream(authority):
    """It must be agreed on within TLS (ALPN): HTTP/1.1 is not tried."""
    for alpn in ((), ("http/1.1",)):
        async with Server(tls=authority.context(NAME, alpn=alpn)) as server:
            port = server.address.rpartition(":")[2]
            async with asking(f"https://{NAME}:{port}/q#127.0.0.1", ca=authority.ca, timeout=1) as here:
                assert await here.failure() == UNREACHED
        assert server.seen == []


async def test_a_certificate_for_another_name_is_refused(authority):
    """The URL's host counts, not the address that it is reached at."""
    async with (
        HttpServer(authority.context("127.0.0.1", alpn=("h2",))) as server,
        asking(server.address, ca=authority.ca, timeout=1) as here,
    ):
        assert await here.failure() == UNREACHED
    assert server.seen == []


async def test_headers_are_bounded(authority, tls):
    """A response whose headers have no end is no response."""

    def says(connection, stream, asked, honest):
        connection.answer(stream, honest, **{f"x-{number}": "y" * 1000 for number in range(10)})
        return True

    async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=1) as here:
        assert await here.failure() in {USELESS, UNREACHED}


@settings(max_examples=20)
@given(junk=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=3), framed=st.booleans())
def test_any_bytes_end_in_an_answer_that_is_none(authority, tls, junk, framed):
    """Whatever a server says instead of HTTP/2, or within it, each question ends once and no error gets out."""

    def says(connection, stream, asked, honest):
        for item in junk:
            head = len(item).to_bytes(3) + item[:1] + b"\0" + stream.to_bytes(4)
            connection.transport.write(head + item if framed else item)
        return True

    async def story() -> None:
        async with HttpServer(tls, says=says) as server, asking(server.address, ca=authority.ca, timeout=0.1) as here:
            answers = await asyncio.gather(here.ask(), here.ask(named("other.example")))
            assert {(item.rcode, item.ede) for item in answers} <= {UNREACHED, USELESS}

    asyncio.run(story())
