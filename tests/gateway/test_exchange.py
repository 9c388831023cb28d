"""One request and its answer, through a whole gateway: what the origin hears, and what the client reads."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.pairs import run
from tests.gateway.street import LISTS, PAGE, Street, body_of, chunks, fields, street, until


def told(story, **how) -> None:
    """Run a story on a street."""

    async def within() -> None:
        async with street(**how) as found:
            await story(found)

    run("uvloop", within)


def test_a_request_is_written_anew_for_its_origin():
    """In origin form, for the host that was judged, without what was meant for a proxy, and with word of us."""

    async def story(found: Street) -> None:
        caller = await found.call()
        reply = await caller.get(
            found.url("ok.example", "/x?a=1"), "Proxy-Connection: keep-alive", "Connection: X-Gone, close", "X-Gone: 1",
            "X-Forwarded-For: 10.1.1.1", "Cookie: a=b; filterproxy_seen=1", "X-Kept: 2",
        )  # fmt: skip
        assert (reply.status, reply.body, reply.field("via")) == (200, b"page", "1.1 filterproxy")
        assert found.shop.heads == [
            b"GET /x?a=1 HTTP/1.1\r\nHost: ok.example:%d\r\nCookie: a=b\r\nX-Kept: 2\r\nVia: 1.1 filterproxy\r\n\r\n"
            % found.shop.port
        ]
        assert not await caller.ended()  # as it asked, and in peace

    told(story)


def test_a_host_that_a_list_names_is_judged_by_url():
    """The listed page gets the notice, its neighbour passes, and the origin hears nothing of the former."""

    async def story(found: Street) -> None:
        caller = await found.call()
        blocked = await caller.get(found.url("pages.example", "/listed"))
        assert blocked.status == 451
        assert blocked.field("link") is not None
        assert b"pages.example" not in blocked.body
        assert (await caller.get(found.url("pages.example", "/x/%2e%2e/listed"))).status == 451
        assert (await caller.get(found.url("pages.example", "/neighbour"))).body == b"page"
        assert (await caller.get(found.url("blocked.example"))).status == 403
        assert [head.split(b" ")[1] for head in found.shop.heads] == [b"/neighbour"]
        assert [verdict.action.value for verdict in found.counts.verdicts] == ["block", "block", "allow", "block"]
        assert found.counts.events["notices"] == 3

    told(story)


def test_every_name_counts_and_none_but_the_target_leads():
    """A listed Host beside another target is judged too; the origin is told the target's."""

    async def story(found: Street) -> None:
        caller, there = await found.call(), found.url("ok.example")
        lines = f"GET {there} HTTP/1.1\r\nHost: blocked.example\r\n\r\n".encode()
        assert (await caller.ask(lines)).status == 403
        lines = f"GET {there} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode()
        assert (await caller.ask(lines)).status == 200
        assert fields(found.shop.heads[0])["host"] == f"ok.example:{found.shop.port}"

    told(story)


def test_connections_to_origins_are_used_again_by_anybody():
    """One connection for many requests of two clients."""

    async def story(found: Street) -> None:
        for _ in range(2):
            caller = await found.call()
            for number in range(3):
                assert (await caller.get(found.url("ok.example", f"/{number}"))).body == b"page"
        assert (found.shop.connections, len(found.shop.heads), len(found.house.pool)) == (1, 6, 1)

    told(story)


@pytest.mark.parametrize(("field", "answer"), [
    ("Authorization: NTLM TlRMTVNTUAAB", b""),
    ("X: 1", b"WWW-Authenticate: Negotiate\r\n"),
])  # fmt: skip
def test_a_connection_that_has_a_clients_name_is_that_clients_alone(field, answer):
    """As NTLM and Negotiate give it; it ends with the client's."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            writer.write(PAGE.replace(b"Server: shop\r\n", answer))

        found.shop.handle = handle
        one, other = await found.call(), await found.call()
        await one.get(found.url("ok.example"), field)
        await other.get(found.url("ok.example"))
        await one.get(found.url("ok.example"))
        assert found.shop.connections == 2
        one.close()
        await until(lambda: found.shop.open == 1)

    told(story)


def test_a_body_goes_up_in_the_framing_that_it_came_in():
    """With a length, and in chunks with trailers."""

    async def story(found: Street) -> None:
        bodies: list[object] = []

        async def handle(reader, writer, head) -> None:
            bodies.append(await (chunks(reader) if b"chunked" in head else body_of(reader, head)))
            writer.write(PAGE)

        found.shop.handle = handle
        caller, url = await found.call(), found.url("ok.example").encode()
        start = b"POST %b HTTP/1.1\r\nHost: ok.example\r\n" % url
        assert (await caller.ask(start + b"Content-Length: 5\r\n\r\nhello")).body == b"page"
        assert (await caller.ask(start + b"Content-Length: 0\r\n\r\n")).body == b"page"
        pieces = b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-End: 1\r\nHost: x\r\n\r\n"
        assert (await caller.ask(start + pieces)).body == b"page"
        assert bodies == [b"hello", b"", (b"abcde", b"X-End: 1\r\n")]

    told(story)


@pytest.mark.parametrize(("answer", "status", "body", "keeps"), [
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", 200, b"abc", True),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end", True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", 200, b"old", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 100, b"", True),
])  # fmt: skip
def test_answers_of_every_framing_come_through(answer, status, body, keeps):
    """And the client's connection is good for the next request, whatever the origin does with its own."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            writer.write(answer)
            return b"until" in answer

        found.shop.handle = handle
        caller = await found.call()
        reply = await caller.get(found.url("ok.example"))
        assert (reply.status, reply.body) == (status, body)
        if status == 100:
            assert (await caller.reply()).body == b"ok"
        if b"X-T" in answer:
            assert reply.trailers == b"X-T: 1\r\n"
        found.shop.handle = None
        assert ((await caller.get(found.url("ok.example"))).status == 200) is keeps

    told(story)


def test_a_head_has_no_body_in_answer_whatever_it_says_of_its_length():
    """The length goes on, and the connection stands."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            writer.write(PAGE[:-4] if head.startswith(b"HEAD") else PAGE)

        found.shop.handle = handle
        caller, url = await found.call(), found.url("ok.example").encode()
        asked = b"HEAD %b HTTP/1.1\r\nHost: ok.example\r\n\r\n" % url
        for _ in range(2):
            reply = await caller.ask(asked, head=True)
            assert (reply.status, reply.field("content-length")) == (200, "4")
        assert (await caller.get(found.url("ok.example"))).body == b"page"
        assert found.shop.connections == 1

    told(story)


def test_a_client_of_http_1_0_gets_what_it_can_read():
    """No chunks and no interim response; its connection stands where it asks for it and the length is known."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            chunked = b"HTTP/1.1 103 Early Hints\r\n\r\n" + chunked
            writer.write(chunked if b"/chunks" in head else PAGE)

        found.shop.handle = handle
        caller = await found.call()
        reply = await caller.ask(f"GET {found.url('ok.example')} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
        assert (reply.body, reply.field("connection")) == (b"page", "keep-alive")
        reply = await caller.ask(f"GET {found.url('ok.example', '/chunks')} HTTP/1.0\r\n\r\n".encode())
        assert (reply.status, reply.body, reply.field("connection")) == (200, b"abc", "close")

    told(story)


def test_what_can_be_asked_twice_is_where_a_kept_connection_has_died():
    """A GET is asked again on a new one; a POST takes none that may have died."""

    async def story(found: Street) -> None:
        async def once(reader, writer, head) -> bool:
            await body_of(reader, head)
            writer.write(PAGE)
            await reader.readexactly(1)  # the next request: then it dies without a word
            return True

        caller = await found.call()
        found.shop.handle = once
        assert (await caller.get(found.url("ok.example"))).body == b"page"
        found.shop.handle = None
        assert (await caller.get(found.url("ok.example"))).body == b"page"
        assert found.shop.connections == 2
        found.shop.handle = once
        other = await found.call()
        assert (await other.get(found.url("two.example"))).body == b"page"
        url = found.url("two.example").encode()
        reply = await other.ask(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1" % url)
        assert reply.status == 502  # it was used just now, and died all the same: nobody asks twice
        assert found.counts.events["http_upstream_error"] == 1

    told(story)


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200 OK\r\nContent-", b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Sure\r\n\r\n",
    b"HTTP/1.1 101 Sure\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"HTTP/3.0 200 OK\r\n\r\n",
])  # fmt: skip
def test_an_origin_that_makes_no_sense_is_502(answer):
    """Its connection is not kept, the client's is."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            writer.write(answer)
            return True

        found.shop.handle = handle
        caller = await found.call()
        assert (await caller.get(found.url("ok.example"))).status == 502
        assert len(found.house.pool) == 0
        found.shop.handle = None
        assert (await caller.get(found.url("ok.example"))).status == 200

    told(story)


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
])  # fmt: skip
def test_an_answer_that_is_cut_short_is_no_whole_one(answer):
    """The client's connection is reset, so that nobody takes what came for all that there was."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            writer.write(answer)
            await writer.drain()
            await asyncio.sleep(0.05)
            return True

        found.shop.handle = handle
        caller = await found.call()
        caller.send(f"GET {found.url('ok.example')} HTTP/1.1\r\nHost: ok.example\r\n\r\n".encode())
        assert await caller.ended()

    told(story)


def test_an_answer_that_is_longer_than_it_says_ends_there():
    """What comes after it is nobody's: the connection is not kept, for it would answer somebody else."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            writer.write(PAGE + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

        found.shop.handle = handle
        one, other = await found.call(), await found.call()
        one.send(f"GET {found.url('ok.example')} HTTP/1.1\r\nHost: ok.example\r\n\r\n".encode())
        assert b"forged" not in await asyncio.wait_for(one.reader.read(9999), 5)
        found.shop.handle = None
        assert (await other.get(found.url("ok.example"))).body == b"page"
        assert found.shop.connections == 2

    told(story)


def test_an_early_answer_comes_through_though_the_body_is_still_on_its_way():
    """And the client's connection ends in peace after it."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> bool:
            writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno!")
            await reader.readexactly(1)
            return True

        found.shop.handle = handle
        caller = await found.call()
        head = f"POST {found.url('ok.example')} HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 9999999\r\n\r\n"
        reply = await caller.ask(head.encode() + b"x" * 1000)
        assert (reply.status, reply.body, reply.field("connection")) == (413, b"no!", "close")
        assert not await caller.ended()

    told(story)


def test_expect_is_answered_by_the_origin():
    """Its 100 lets the body come; a final answer in its place keeps it away."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            if b"/no" in head:
                writer.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await body_of(reader, head) == b"abc"
            writer.write(PAGE)

        found.shop.handle = handle
        for path, status in (("/", 100), ("/no", 417)):
            caller = await found.call()
            head = f"POST {
                found.url('ok.example', path)
            } HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            assert (await caller.ask(head.encode())).status == status
            if status == 100:
                assert (await caller.ask(b"abc")).body == b"page"

    told(story)


@pytest.mark.parametrize(("method", "hops", "status", "passed"), [
    ("OPTIONS", "0", 200, None), ("TRACE", "0", 405, None), ("OPTIONS", "3", 200, "2"), ("GET", "0", 200, "0"),
])  # fmt: skip
def test_max_forwards_is_counted_down(method, hops, status, passed):
    """For OPTIONS and TRACE alone; at 0 the request is ours to answer."""

    async def story(found: Street) -> None:
        caller = await found.call()
        url = found.url("ok.example")
        reply = await caller.ask(f"{method} {url} HTTP/1.1\r\nHost: x\r\nMax-Forwards: {hops}\r\n\r\n".encode())
        assert reply.status == status
        assert [fields(head)["max-forwards"] for head in found.shop.heads] == ([passed] if passed else [])

    told(story)


def test_a_warning_is_shown_once_and_its_cookie_stays_here():
    """Who has seen it passes; the origin never sees that cookie."""

    async def story(found: Street) -> None:
        caller, url = await found.call(), found.url("ok.example", "/warnword")
        first = await caller.get(url)
        assert first.status == 403
        cookie = (first.field("set-cookie") or "").split(";")[0]
        assert (await caller.get(url, f"Cookie: {cookie}")).body == b"page"
        assert b"filterproxy_seen" not in found.shop.heads[0].lower()
        assert (await caller.get(url, "Sec-Fetch-Dest: image")).field("set-cookie") is None
        assert [verdict.action.value for verdict in found.counts.verdicts] == ["warn", "flag", "warn"]

    told(story, lists=LISTS)


@pytest.mark.parametrize(("host", "status"), [
    ("nowhere.test", 502), ("inner.test", 403), ("10.0.0.1", 403), ("[::1]", 403), ("[64:ff9b::1]", 403), ("0x7f.1",
        502),
])  # fmt: skip
def test_where_nothing_is_or_may_be_reached(host, status):
    """A name that leads nowhere is 502; one that leads within, or an address of ours, 403."""

    async def story(found: Street) -> None:
        caller = await found.call()
        assert (await caller.get(f"http://{host}:1/")).status == status
        assert (await caller.get(found.url("ok.example"))).status == 200

    told(story)


def test_the_portal_is_reached_whatever_a_list_says():
    """People who meet a notice must get there."""

    async def story(found: Street) -> None:
        found.house.dialler._known["portal.example"] = (1e12, ["127.0.0.2"])
        caller = await found.call()
        reply = await caller.get("http://portal.example:8000/")
        assert reply.status in (502, 504)  # nobody is there, but nobody refused it
        assert found.counts.verdicts == []

    told(story, lists={next(iter(LISTS)): ["portal.example:8000/"]}, gateway={"limits": {"connect": 1}})


def test_an_origin_that_is_silent_is_504():
    """After as long as the settings say."""

    async def story(found: Street) -> None:
        async def handle(reader, writer, head) -> None:
            await reader.read(1)

        found.shop.handle = handle
        caller = await found.call()
        found.house.sweeper._loop = found.house.loop
        assert (await caller.get(found.url("ok.example"))).status == 504

    from filterproxy.gateway import origin

    before, origin.SILENT = origin.SILENT, 0.2  # type: ignore[misc]
    try:
        told(story)
    finally:
        origin.SILENT = before  # type: ignore[misc]


@pytest.mark.parametrize("size", [4, 400_000])
def test_what_an_origin_says_beyond_its_answer_does_not_spoil_it(size):
    """The answer is whole each time, its head known or not; who asked ahead is answered by a connection of its own."""

    async def story(found: Street) -> None:
        page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

        async def handle(reader, writer, head) -> None:
            writer.write(page + (PAGE if b" /more " in head else b""))

        found.shop.handle = handle
        for path in ("/", "/", "/more", "/more"):
            caller, url = await found.call(), found.url("ok.example")
            caller.send(
                f"GET {url[:-1]}{path} HTTP/1.1\r\nHost: x\r\n\r\nGET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            assert [len((await caller.reply()).body) for _ in range(2)] == [size, size]

    told(story)


def test_no_client_is_given_what_another_has_said():
    """A head of which the first part came with another request is not known by the rest of its bytes."""

    async def story(found: Street) -> None:
        one, two, url = await found.call(), await found.call(), found.url("ok.example").encode()
        start = b"GET %b HTTP/1.1\r\nHost: x\r\n" % url
        assert (await one.ask(start + b"\r\n" + start + b"Cookie: secret=1\r\n")).status == 200
        assert (await one.ask(b"X: y\r\nAccept: */*\r\n\r\n")).status == 200
        assert (await two.ask(b"GET %b HTTP/1.1\r\nAccept: */*\r\n\r\n" % url)).status == 400
        assert len(found.shop.heads) == 2

    told(story)
