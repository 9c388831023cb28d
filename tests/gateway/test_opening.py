"""What a tunnel begins with, through a whole gateway: TLS by names, HTTP by URLs, anything else by its place."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.vouched import FIELD, vouched
from filterproxy.gateway.opening import LONGEST_LINE, begins
from tests.gateway import hellos
from tests.gateway.pairs import run
from tests.gateway.street import KEY, Street, fields, street, until
from tests.policies import NOW

DENIED, FAILED, UNREADABLE, NAMELESS = (b"\x15\x03\x01\x00\x02\x02" + bytes((code,)) for code in (49, 80, 50, 112))


def hello(name: str | None, *, ech: bool = False) -> bytes:
    """Return a hello for a server of this name."""
    said = [hellos.alpn(b"h2")]
    if name is not None:
        said.append(hellos.server_name(name.encode()))
    return hellos.hello(*said, *([hellos.encrypted()] if ech else []))


def told(story, **how) -> None:
    """Run a story on a street."""

    async def within() -> None:
        async with street(**how) as found:
            await story(found)

    run("uvloop", within)


async def echoes(found: Street) -> None:
    """Let the shop say back what it hears, whatever it is."""

    async def serve(reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                found.shop.heard.append(bytearray(data))
                writer.write(b"<" + data + b">")
        writer.close()

    found.shop._server.close()
    found.shop._server = await asyncio.start_server(serve, "127.0.0.1", found.shop.port)


@pytest.mark.parametrize(("data", "what"), [
    (b"GET / HTTP/1.1\r\n", "http"), (b"\r\nGET / HTTP/1.1\r\n", "http"), (b"\n\nget /", "http"), (b"GET /\r\n",
        "http"),
    (b"XYZZY / HTTP/1.1\r\n", "http"), (b"PRI * HTTP/2.0\r\n", "http"), (b"G", None), (b"GET", None), (b"GET ", "http"),
    (b"\r\n", None), (b"FOO bar", None), (b"FOO bar\r\n", "other"), (b"SSH-2.0-x\r\n", "other"), (b"\x00\x01", "other"),
    (b"{ json", "other"), (b"{ GET / HTTP/1.1\r\n", "http"), (b"x" * 65, "other"), (b"A " + b"x" * LONGEST_LINE,
        "other"),
    (b"\x80GET / HTTP/1.1", "http"), (b" GET / HTTP/1.0\r\n", "http"), (b"post\t/", "http"),
])  # fmt: skip
def test_what_any_server_might_take_for_http_is_http(data, what):
    """The rest is not, as soon as that is clear."""
    assert begins(data) == what


@given(st.binary(max_size=300), st.integers(0, 300))
def test_what_was_clear_stays_so(data, cut):
    """More bytes decide what was open; what was decided stays, but that a line may yet call itself HTTP."""
    before, after = begins(data[:cut]), begins(data)
    assert before in (None, after) or (before, after) == ("other", "http")


def test_tls_passes_to_its_host_unread():
    """Every byte of both sides, the hello first; many tunnels' bytes are nobody else's."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect("ok.example")
        first = hello("ok.example")
        caller.send(first)
        assert await caller.reader.readexactly(len(first) + 2) == b"<" + first + b">"
        caller.send(b"more")
        assert await caller.reader.readexactly(6) == b"<more>"
        assert (found.counts.events["http_tunnels"], found.counts.verdicts[-1].action.value) == (1, "allow")
        assert found.house.seats.taken == 1
        caller.writer.write_eof()
        assert await caller.rest() == b""

    told(story)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_hello_comes_in_any_pieces(cut):
    """Nothing reaches the origin before it is whole."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect("ok.example")
        first = hello("ok.example")
        for at in range(0, len(first), cut):
            assert found.shop.heard == []
            caller.send(first[at : at + cut])
            await asyncio.sleep(0.001)
        assert await caller.reader.readexactly(len(first) + 2) == b"<" + first + b">"

    told(story)


def test_a_hello_without_an_end_costs_little():
    """It is looked at when there is more to see, not with every byte."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect("ok.example")
        first = hello("ok.example")
        long = first[:3] + (16_000).to_bytes(2) + b"\x01" + (60_000).to_bytes(3) + bytes(15_000)
        begun = asyncio.get_running_loop().time()
        for at in range(0, len(long), 20):
            caller.send(long[at : at + 20])
            await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() - begun < 5
        assert found.shop.heard == []

    told(story)


@pytest.mark.parametrize(("host", "name", "said"), [
    ("ok.example", "blocked.example", DENIED), ("ok.example", "deep.blocked.example", DENIED), ("ok.example", None,
        None),
    ("ok.example", "bad name", UNREADABLE), ("ok.example", "pages.example", None),
])  # fmt: skip
def test_the_servers_name_is_judged_beside_the_tunnels(host, name, said):
    """A listed one ends it, in TLS's own words, and the origin hears nothing; a host of listed pages passes."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect(host)
        first = hello(name)
        caller.send(first)
        if said is None:
            assert await caller.reader.readexactly(1) == b"<"
        else:
            assert await caller.rest() == said
            assert found.shop.heard == []

    told(story)


def test_a_listed_host_gets_no_tunnel():
    """Nor a listed Host field, nor a port that is not allowed, nor a target that makes no sense; each is answered."""

    async def story(found: Street) -> None:
        port = found.shop.port
        for target, host, status in [
            (f"blocked.example:{port}", f"blocked.example:{port}", 403), (f"ok.example:{port}", "blocked.example", 403),
            ("ok.example:81", "ok.example:81", 403), ("ok.example", "ok.example", 400), ("ok.example:0", "x", 400),
            (f"ok.example:{port}", "a b", 400), (f"user@ok.example:{port}", "x", 400), (f"nowhere.test:{port}", "x",
                502),
            (f"inner.test:{port}", "x", 403), (f"192.0.2.66:{port}", "x", 403),
        ]:  # fmt: skip
            caller = await found.call()
            reply = await caller.ask(f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (target, reply.status) == (target, status)
            assert (await caller.get(found.url("ok.example"))).status == 200  # the connection stands

    told(story)


def test_http_inside_a_tunnel_is_judged_by_url_and_goes_to_its_end():
    """Whatever host it names: that is judged, and so is the tunnel's."""

    async def story(found: Street) -> None:
        caller = await found.connect("ok.example")
        for host, path, status in [
            ("ok.example", "/", 200), ("pages.example", "/listed", 451), ("pages.example", "/other", 200),
            ("blocked.example", "/", 403), ("nowhere.test", "/there", 200),
        ]:  # fmt: skip
            reply = await caller.ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (host, reply.status) == (host, status)
        tunnel = await found.connect("pages.example")
        assert (await tunnel.ask(b"GET /listed HTTP/1.1\r\nHost: ok.example\r\n\r\n")).status == 451
        assert [fields(head)["host"] for head in found.shop.heads] == ["ok.example", "pages.example", "nowhere.test"]

    told(story)


@pytest.mark.parametrize("setting", ["pass", "refuse"])
def test_what_is_neither_tls_nor_http_passes_or_not(setting):
    """As the settings say; so does a server that speaks first."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect("ok.example")
        caller.send(b"\x00binary")
        assert await caller.rest_or(9) == (b"<\x00binary>" if setting == "pass" else b"")
        found.shop._server.close()

        async def greet(_, writer) -> None:
            writer.write(b"220 hello\r\n")
            with contextlib.suppress(OSError):
                await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()

        found.shop._server = await asyncio.start_server(greet, "127.0.0.1", found.shop.port)
        caller = await found.connect("ok.example")
        assert await caller.rest_or(11) == (b"220 hello\r\n" if setting == "pass" else b"")

    told(story, gateway={"unknown": setting})


@pytest.mark.parametrize(("host", "name", "ech", "settings", "passes"), [
    ("127.0.0.1", None, False, {}, True), ("127.0.0.1", None, False, {"no_sni": "refuse"}, False),
    ("ok.example", None, False, {"no_sni": "refuse"}, True),
    ("127.0.0.1", "front.example", True, {"ech_names": ["front.example"]}, True),
    ("127.0.0.1", "front.example", True, {"ech_names": ["front.example"], "ech": "refuse"}, False),
    ("127.0.0.1", "other.example", True, {"ech_names": ["front.example"], "ech": "refuse"}, True),
    ("ok.example", "front.example", True, {"ech_names": ["front.example"], "ech": "refuse"}, True),
    ("front.example", "front.example", True, {"ech_names": ["front.example"], "ech": "refuse"}, False),
    ("127.0.0.1", "front.example", False, {"ech_names": ["front.example"], "ech": "refuse"}, True),
])  # fmt: skip
def test_a_name_that_cannot_be_known_passes_or_not(host, name, ech, settings, passes):
    """As the settings say, where nothing else tells it. The extension alone hides nothing: most often it is GREASE."""

    async def story(found: Street) -> None:
        await echoes(found)
        caller = await found.connect(host)
        caller.send(hello(name, ech=ech))
        if passes:
            assert await caller.reader.readexactly(1) == b"<"
        else:
            assert await caller.rest() == NAMELESS
            assert found.shop.heard == []

    told(story, gateway=settings)


@pytest.mark.parametrize(("tls", "host", "goes"), [
    ("listed", "pages.example", True), ("listed", "ok.example", False), ("all", "ok.example", True), ("none",
        "pages.example", False),
])  # fmt: skip
def test_what_is_to_be_looked_into_goes_to_the_inspector(tls, host, goes):
    """With the client's address under a MAC, and its hello; the origin is not even dialled."""

    async def story(found: Street) -> None:
        await echoes(found)
        heads: list[bytes] = []

        async def inspect(reader, writer) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with contextlib.suppress(OSError):
                while data := await reader.read(9999):
                    writer.write(b"[" + data + b"]")
            writer.close()

        server = await asyncio.start_server(inspect, "127.0.0.1", 0)
        found.house.inspector.port = server.sockets[0].getsockname()[1]
        caller = await found.connect(host)
        caller.send(hello(host))
        assert await caller.reader.readexactly(1) == (b"[" if goes else b"<")
        if goes:
            place = f"{host}:{found.shop.port}"
            assert heads[0].startswith(f"CONNECT {place} HTTP/1.1\r\n".encode())
            said = fields(heads[0])[FIELD.decode().lower()].encode()
            assert vouched(KEY, said, place, NOW.timestamp()) == "127.0.0.1"
            assert found.shop.heard == []
        caller.close()
        await until(lambda: not found.house.tunnels)
        server.close()

    told(story, inspection={"enabled": True, "tls": tls})


@pytest.mark.parametrize("port", [None, 1])
def test_without_an_inspector_what_is_to_be_looked_into_is_refused(port):
    """And all else goes on."""

    async def story(found: Street) -> None:
        await echoes(found)
        found.house.inspector.port = port
        caller = await found.connect("pages.example")
        caller.send(hello("pages.example"))
        assert await caller.rest() == FAILED
        assert found.counts.events["http_uninspected"] == 1
        other = await found.connect("ok.example")
        other.send(hello("ok.example"))
        assert await other.reader.readexactly(1) == b"<"

    told(story, inspection={"enabled": True})


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"GE", b"\x16\x03\x01\x00\x05hello"])
@pytest.mark.parametrize("who", ["client", "origin"])
def test_whoever_goes_at_the_beginning_nothing_is_left(said, who):
    """No place, no connection; the street is empty at the end."""

    async def story(found: Street) -> None:
        caller = await found.connect("ok.example")
        caller.send(said)
        await until(lambda: found.shop.connections == 1)
        await asyncio.sleep(0.03)
        if who == "client":
            caller.reset()
        else:
            await found.shop.stop()
            await asyncio.sleep(0.03)
            caller.close()
        await found.empty()

    told(story)


def test_a_beginning_must_come_within_its_time():
    """Once a byte of it came; a tunnel where nobody says anything may stand as long as any."""

    async def story(found: Street) -> None:
        slow, silent = await found.connect("ok.example"), await found.connect("ok.example")
        slow.send(b"\x16\x03")
        assert await slow.rest() == b""
        silent.send(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert (await silent.reply()).body == b"page"

    told(story, gateway={"limits": {"head": 1}})
