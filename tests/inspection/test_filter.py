"""The addon in a running mitmproxy: what passes, what is answered, what is closed."""

from __future__ import annotations

import ssl

import pytest

from tests.inspection.world import world as started
from tests.policies import build, table


def is_our_page(reply, status):
    """Tell whether this is a page of ours with that status, and nothing of mitmproxy's."""
    named = {name: reply.headers.get(name) for name in ("server", "cache-control", "content-type")}
    ours = {"server": None, "cache-control": "no-store", "content-type": "text/html; charset=utf-8"}
    return (reply.status, named) == (status, ours) and "default-src" in reply.headers["content-security-policy"]


async def asked_over(wire, alpn, host, method="GET"):
    """Ask for the root over either HTTP."""
    if alpn == "h2":
        return await wire.http2_reply(host, "/", method=method)
    await wire.send(f"{method} / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return await wire.reply()


async def test_an_allowed_page_passes_and_a_listed_one_on_the_same_host_does_not(world):
    """The full URL decides, not the host."""
    allowed, listed = await world.get("http://pages.example:PORT/"), await world.get("http://pages.example:PORT/listed")
    assert (allowed.status, allowed.body, listed.status) == (200, b"the page", 451)
    assert world.origin.lines == ["GET / HTTP/1.1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://PAGES.example.:PORT/%6Cisted?any=1",
        "http://pages.example:PORT//x/../listed",
        "http://pages.example:PORT/%2e/%256cisted",
        "http://pages.example:PORT/deep/?a=b",
        "http://below.blocked.example:PORT/",
    ],
)
async def test_every_spelling_of_a_listed_page_is_answered(world, url):
    """What the origin would read as the listed page never reaches it."""
    reply = await world.get(url)
    assert reply.status in (403, 451)
    assert world.origin.connections == 0


async def test_the_notice_is_whole_and_names_no_address(world):
    """R1, R2: 451 for law, a blocked-by link, nothing kept, and the address nowhere in it."""
    reply = await world.get("http://pages.example:PORT/listed", "Accept-Language: en")
    assert reply.status == 451
    assert 'rel="blocked-by"' in reply.headers["link"]
    assert reply.headers["cache-control"] == "no-store"
    assert b"listed" not in reply.raw.split(b"\r\n\r\n")[0]
    assert b"pages.example" not in reply.raw
    assert world.counts.events["notices"] == 1
    assert world.counts.actions == ["block"]


async def test_head_gets_the_status_without_a_body(world):
    """A notice for HEAD has headers only."""
    reply = await world.get("http://pages.example:PORT/listed", method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (451, "0")


@pytest.mark.parametrize(
    "frame", ["Content-Length: 9\r\n\r\nthe input", "Transfer-Encoding: chunked\r\n\r\n9\r\nthe input\r\n0\r\n\r\n"]
)
async def test_a_body_is_streamed_to_an_allowed_page(world, frame):
    """Uploads pass, in both framings."""
    host = f"pages.example:{world.origin.port}"
    reply = await world.raw(f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{frame}".encode())
    assert reply.status == 200
    assert b"the input" in world.origin.bodies[0]


async def test_a_connect_to_a_blocked_host_is_refused_with_the_notices_status(world):
    """No tunnel to a blocked domain."""
    wire, reply = await world.tunnel("blocked.example")
    await wire.close()
    assert reply.status == 403
    assert world.origin.connections == 0


async def test_a_host_with_listed_pages_of_an_inspected_list_is_opened(world):
    """Inside TLS the full URL decides, and the certificate is our CA's."""
    async with await world.tls("pages.example") as wire:
        host = f"pages.example:{world.origin.tls_port}"
        await wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        allowed = await wire.reply()
        await wire.send(f"GET /listed HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        listed = await wire.reply()
    assert (allowed.body, listed.status) == (b"the page", 451)
    assert world.origin.lines == ["GET / HTTP/1.1"]


async def test_any_other_host_is_passed_through_with_its_own_certificate(world):
    """TLS of a host without listed pages is not opened."""
    async with await world.tls("ok.example", ca=world.settings.inspection.upstream_ca) as wire:
        await wire.send(b"GET /listed HTTP/1.1\r\nHost: pages.example\r\n\r\n")
        assert (await wire.reply()).status == 200
    assert world.counts.actions == ["allow"]


async def test_all_tls_is_opened_where_the_operator_says_so(tmp_path, free_port):
    """`tls = "all"` opens every host, `none` none."""
    async with started(tmp_path, free_port, inspection={"tls": "all"}) as world, await world.tls("ok.example") as wire:
        await wire.send(f"GET / HTTP/1.1\r\nHost: ok.example:{world.origin.tls_port}\r\n\r\n".encode())
        assert (await wire.reply()).status == 200


async def test_no_tls_is_opened_where_the_operator_says_so(tmp_path, free_port):
    """`tls = "none"` passes even inspected hosts through."""
    async with (
        started(tmp_path, free_port, inspection={"tls": "none"}) as world,
        await world.tls("pages.example", ca=world.settings.inspection.upstream_ca) as wire,
    ):
        await wire.send(b"GET / HTTP/1.1\r\nHost: pages.example\r\n\r\n")
        assert (await wire.reply()).status == 200


async def test_a_blocked_server_name_ends_the_tunnel(world):
    """An innocent CONNECT does not carry a blocked SNI."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await world.tls("ok.example", "blocked.example")
    assert world.origin.connections == 0
    assert world.counts.actions == ["block"]


async def test_an_inspected_server_name_is_opened_behind_an_innocent_connect(world):
    """A listed page is not hidden by CONNECT naming another host (T9)."""
    async with await world.tls("ok.example", "pages.example") as wire:
        await wire.send(b"GET /listed HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert (await wire.reply()).status == 451
    assert world.origin.heads == []


async def test_a_tunnel_without_a_server_name_is_judged_by_its_connect(world):
    """No SNI hides nothing."""
    async with await world.tls("pages.example", "127.0.0.1") as wire:
        await wire.send(f"GET /listed HTTP/1.1\r\nHost: pages.example:{world.origin.tls_port}\r\n\r\n".encode())
        assert (await wire.reply()).status == 451


async def test_the_host_of_a_list_that_blocks_hosts_is_refused_at_connect_only(world):
    """`https = "block-host"` says nothing about plain HTTP, where the page is seen."""
    wire, reply = await world.tunnel("hosted.example")
    await wire.close()
    assert reply.status == 403
    assert (await world.get("http://hosted.example:PORT/other")).status == 200


async def test_plain_http_in_a_tunnel_is_judged(world):
    """A tunnel is no way around the full URL, whatever goes before the request."""
    for before in ("", "\r\n", " "):
        wire, reply = await world.tunnel("pages.example", world.origin.port)
        assert reply.status == 200
        async with wire:
            await wire.send(f"{before}GET /listed HTTP/1.1\r\nHost: pages.example\r\n\r\n".encode())
            assert (await wire.reply()).status in (451, 400, 0)
    assert world.origin.heads == []


@pytest.mark.parametrize("first", [b"\x00\x01\x02\x03\x04 binary\r\n\r\n", b"SSH-2.0-client\r\n\r\n"])
async def test_what_is_neither_http_nor_tls_goes_nowhere(world, first):
    """Raw bytes could be a request in disguise."""
    wire, reply = await world.tunnel("pages.example", world.origin.port)
    assert reply.status == 200
    async with wire:
        await wire.send(first)
        assert (await wire.reply()).status in (0, 400)
    assert world.origin.connections == 0


async def test_tls_within_opened_tls_is_closed(world):
    """A second handshake inside ours would be passed on unseen."""
    async with await world.tls("pages.example") as wire:
        inner = ssl.create_default_context(cafile=str(world.settings.inspection.upstream_ca))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = inner.wrap_bio(incoming, outgoing, server_hostname="ok.example")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        await wire.send(outgoing.read())
        assert await wire.ended()
    assert world.origin.connections == 0


async def test_tls_to_the_proxy_itself_is_closed(world):
    """The proxy's own port speaks plain HTTP only."""
    async with await world.connect() as wire:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await wire.writer.start_tls(ssl.create_default_context(cafile=str(world.ca)), server_hostname="ok.example")


# Conflicting names (T9, T10)


@pytest.mark.parametrize(
    ("url", "host", "status"),
    [
        ("http://pages.example:PORT/listed", "ok.example", 451),
        ("http://ok.example:PORT/listed", "pages.example:PORT", 451),
        ("http://ok.example:PORT/", "inner.test", 200),
    ],
)
async def test_every_name_of_a_plain_request_is_judged_and_a_mismatch_alone_is_not(world, url, host, status):
    """One listed name is enough; two names that differ are not."""
    port = str(world.origin.port)
    reply = await world.raw(
        f"GET {url.replace('PORT', port)} HTTP/1.1\r\nHost: {host.replace('PORT', port)}\r\n\r\n".encode()
    )
    assert reply.status == status


async def test_an_absolute_form_replaces_host(world):
    """The origin is told what the request line says (RFC 9112, section 3.2.2)."""
    port = world.origin.port
    await world.raw(f"GET http://ok.example:{port}/a?b HTTP/1.1\r\nX: y\r\nHost: inner.test\r\n\r\n".encode())
    assert world.origin.heads == [f"GET /a?b HTTP/1.1\r\nHost: ok.example:{port}\r\nX: y\r\n\r\n".encode()]


async def test_an_absolute_form_inside_tls_replaces_host_too(world):
    """Both names are judged there as well, and the origin sees one."""
    async with await world.tls("pages.example") as wire:
        host = f"pages.example:{world.origin.tls_port}"
        await wire.send(f"GET https://inner.test/listed HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await wire.reply()).status == 451
        await wire.send(f"GET https://inner.test/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert (await wire.reply()).status == 200
    assert world.origin.heads == [b"GET / HTTP/1.1\r\nHost: inner.test\r\n\r\n"]


async def test_every_name_inside_tls_is_judged(world):
    """Host, SNI and CONNECT: the listed one may be any of them."""
    async with await world.tls("pages.example") as wire:
        await wire.send(b"GET /listed HTTP/1.1\r\nHost: inner.test\r\n\r\n")
        assert (await wire.reply()).status == 451
        await wire.send(b"GET / HTTP/1.1\r\nHost: blocked.example\r\n\r\n")
        assert (await wire.reply()).status == 403
        await wire.send(b"GET / HTTP/1.1\r\nHost: inner.test\r\n\r\n")
        assert (await wire.reply()).status == 200


@pytest.mark.parametrize(
    ("authority", "path", "fields", "status"),
    [
        ("pages.example:PORT", "/", (), 200),
        ("pages.example:PORT", "/listed", (), 451),
        ("inner.test:PORT", "/", (), 421),
        ("pages.example:9", "/", (), 421),
        ("inner.test:PORT", "/listed", (), 451),
        ("blocked.example", "/", (), 403),
        ("pages.example:PORT", "/", (("host", "inner.test"),), 0),
        ("pages.example:PORT", "/", (("host", "pages.example:PORT"),), 200),
        ("pages.example:PORT", "/a#/../listed", (), 400),
        ("pages.example:PORT", "@ok.example/", (), 400),
    ],
)
async def test_http2_is_judged_by_authority_and_served_only_where_it_leads(world, authority, path, fields, status):
    """An :authority that this connection does not lead to gets 421; one that contradicts Host ends the connection."""
    port = str(world.origin.tls_port)
    given = [(name, value.replace("PORT", port)) for name, value in fields]
    async with await world.tls("pages.example", alpn="h2") as wire:
        assert await wire.http2(authority.replace("PORT", port), path, *given) == status
    assert len(world.origin.heads) == (status == 200)


@pytest.mark.parametrize(
    "head",
    [
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nHost: ok.example",
        "GET / HTTP/1.1\r\nHost: ok.example:PORT\r\nhost: inner.test:PORT",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example/x",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: user@ok.example",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost:",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example:99999",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nX: a\r\n b",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nX : a",
        "GET http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nX: a\0b",
        "GET http://ok.example:PORT/\0 HTTP/1.1\r\nHost: ok.example",
        "GET http://ok.example:PORT/a#b HTTP/1.1\r\nHost: ok.example",
        "GET http://ok.example:PORT/a b HTTP/1.1\r\nHost: ok.example",
        "GET http://ok.example:PORT/ HTTP/2.0\r\nHost: ok.example",
        "GET http://ok.example:PORT/ HTTP/1.9\r\nHost: ok.example",
        "G(T http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example",
        "POST http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        "POST http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 4\r\nContent-Length: 5",
        "POST http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nContent-Length: +4",
        "POST http://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: xchunked",
        "GET http:///x HTTP/1.1\r\nHost: ok.example",
        "GET http://user@ok.example:PORT/ HTTP/1.1\r\nHost: ok.example",
        "GET ftp://ok.example:PORT/ HTTP/1.1\r\nHost: ok.example",
        "GET / HTTP/1.1",
        "CONNECT ok.example HTTP/1.1\r\nHost: ok.example",
        "CONNECT ok.example:PORT HTTP/1.1\r\nHost: ok.example\r\nHost: ok.example",
        "CONNECT ok.example:PORT HTTP/1.1\r\nHost: a b",
        "GET http://ok.example:PORT/" + "%25" * 40_000 + " HTTP/1.1\r\nHost: ok.example",
        "nonsense",
    ],
)
async def test_a_malformed_request_gets_400_without_an_echo(world, head):
    """What servers might read in two ways is not passed on, and nothing of it comes back."""
    reply = await world.raw(head.replace("PORT", str(world.origin.port)).encode() + b"\r\n\r\n")
    assert reply.status == 400, reply
    assert b"ok.example" not in reply.raw
    assert world.origin.connections == 0


# Where it may go, and for whom


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0x0a000001", "167772161", "[::1]", "[::]",
     "[::ffff:10.0.0.1]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]", "[2002:808:808::1]", "[fe80::1]", "[fd00::1]"],
)  # fmt: skip
async def test_inner_addresses_are_refused(world, host):
    """The proxy is no door into the operator's own network."""
    assert (await world.get(f"http://{host}/")).status == 403
    wire, reply = await world.tunnel(host, 443)
    await wire.close()
    assert reply.status == 403


@pytest.mark.parametrize("address", ["10.0.0.1", "::1", "fd00::1", "169.254.169.254"])
async def test_a_name_that_resolves_to_an_inner_address_is_refused(tmp_path, free_port, address):
    """Checked at the moment of dialling, so that no second answer can differ."""
    async with started(tmp_path, free_port, answers={"rebound.example": address}) as world:
        assert (await world.get("http://rebound.example/")).status == 403
        wire, reply = await world.tunnel("rebound.example", 443)
        await wire.close()
        assert reply.status == 403


async def test_the_proxy_does_not_talk_to_itself(world):
    """A request for the proxy's own port would go round without end."""
    assert (await world.get(f"http://127.0.0.1:{world.port}/")).status == 403
    assert (await world.get(f"http://ok.example:{world.port}/")).status == 403


async def test_only_the_ports_of_the_web_are_tunnelled_to(tmp_path, free_port):
    """CONNECT to a mail server is refused, unless a program of this machine asks, which could by itself."""
    for trust, statuses in ((False, {403}), (True, {200, 502})):
        async with started(tmp_path, free_port, gateway={"trust_local": trust}) as world:
            wire, reply = await world.tunnel("ok.example", 25)
            await wire.close()
            assert reply.status in statuses


async def test_the_portal_is_reached_wherever_it_lies(tmp_path, free_port):
    """An appeal is posted through the proxy, even where a list or a network would forbid it."""
    policy = build({table("all", "domains"): ["portal.example", "ok.example"]})
    async with started(
        tmp_path, free_port, policy=policy, gateway={"allow_targets": [], "trust_local": False}
    ) as world:
        assert (await world.get("http://ok.example:PORT/")).status == 403
        reply = await world.get("http://portal.example:8000/appeal")
        assert reply.status == 502  # nobody listens there in this test: it was dialled


async def test_a_client_outside_the_networks_is_not_served(tmp_path, free_port):
    """No open proxy."""
    async with started(tmp_path, free_port, gateway={"clients": ["192.0.2.0/24"]}) as world:
        assert (await world.get("http://ok.example:PORT/")).status == 403
        wire, reply = await world.tunnel("ok.example")
        await wire.close()
        assert reply.status == 403
        assert world.counts.events["http_refused_client"] == 2
        assert world.origin.connections == 0


async def test_a_client_without_a_profile_is_not_served(tmp_path, free_port):
    """Whom no profile holds, nobody may be judged for."""
    policy = build({}, [{"id": "away", "networks": ["192.0.2.0/24"]}])
    async with started(tmp_path, free_port, policy=policy) as world:
        assert (await world.get("http://ok.example:PORT/")).status == 403


async def test_a_list_that_must_not_fail_refuses_with_503(tmp_path, free_port):
    """A fail-closed list that never loaded: try again later."""
    policy = build({table("law", "urls", on_failure="closed"): None})
    async with started(tmp_path, free_port, policy=policy) as world:
        reply = await world.get("http://ok.example:PORT/")
        assert (reply.status, "retry-after" in reply.headers) == (503, True)


# Warnings


async def test_a_warning_is_shown_once_and_its_cookie_stays_here(world):
    """The reload passes as flagged, and the origin never sees our cookie."""
    url = "http://words.example:PORT/warnword"
    warned = await world.get(url)
    cookie = warned.headers["set-cookie"].split(";")[0]
    assert warned.status == 403
    assert warned.headers["set-cookie"].endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax")
    passed = await world.get(url, f"Cookie: a=b; {cookie}; c=d")
    assert (passed.status, world.counts.actions) == (200, ["warn", "flag"])
    assert b"Cookie: a=b; c=d\r\n" in world.origin.heads[0]


async def test_a_warnings_cookie_is_good_for_one_host_and_not_for_ever(world):
    """Another host warns anew, and so does another hour."""
    cookie = (await world.get("http://words.example:PORT/warnword")).headers["set-cookie"].split(";")[0]
    assert (await world.get("http://ok.example:PORT/warnword", f"Cookie: {cookie}")).status == 403
    world.moment[0] = world.moment[0].replace(hour=15)
    assert (await world.get("http://words.example:PORT/warnword", f"Cookie: {cookie}")).status == 403
    assert world.origin.heads == []


async def test_a_picture_cannot_say_yes_for_a_person(world):
    """What no person looks at sets no cookie."""
    reply = await world.get("http://words.example:PORT/warnword", "Accept: image/avif,*/*;q=0.8")
    assert (reply.status, "set-cookie" in reply.headers) == (403, False)


async def test_a_flag_passes_and_is_counted(world):
    """Flagging changes nothing for the person."""
    assert (await world.get("http://words.example:PORT/flagword")).status == 200
    assert world.counts.actions == ["flag"]


# What goes on, and what stays


async def test_what_was_meant_for_the_proxy_is_taken_off(world):
    """Hop-by-hop fields end here, and no trace of the client is added."""
    await world.get(
        "http://ok.example:PORT/", "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive", "Keep: this",
        "Connection: keep-alive, X-Hop", "X-Hop: gone", "Upgrade: h2c", "HTTP2-Settings: AAA", "TE: trailers",
    )  # fmt: skip
    head = world.origin.heads[0].lower()
    assert head.startswith(b"get / http/1.1\r\nhost: ok.example:")
    assert b"keep: this" in head
    assert not [
        name
        for name in (b"proxy-", b"\r\nx-hop", b"upgrade", b"http2", b"\r\nte:", b"forwarded", b"via")
        if name in head
    ]


async def test_an_offer_of_quic_is_taken_off(world):
    """Alt-Svc would lead past the proxy."""
    world.origin.extra = [b'Alt-Svc: h3=":443"', b"X-Kept: yes"]
    reply = await world.get("http://ok.example:PORT/")
    assert ("alt-svc" in reply.headers, reply.headers["x-kept"]) == (False, "yes")


async def test_a_websocket_passes_where_its_url_does(world):
    """An upgrade is judged as the request it is, and its messages are not kept."""
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    assert (await world.get("http://pages.example:PORT/listed", *upgrade)).status == 451
    async with await world.connect() as wire:
        host = f"ok.example:{world.origin.port}"
        head = "\r\n".join((f"GET http://{host}/ HTTP/1.1", f"Host: {host}", *upgrade))
        await wire.send(f"{head}\r\n\r\n".encode())
        assert (await wire.reply()).status == 101
        await wire.send(b"\x81\x82\0\0\0\0hi")
        assert await wire.reader.readexactly(4) == b"\x81\x02hi"


async def test_an_origin_that_cannot_be_reached_is_502_without_a_word_of_it(world):
    """Mitmproxy's own page would name host and port."""
    reply = await world.get("http://ok.example:9/")
    assert reply.status == 502
    assert b"ok.example" not in reply.raw
    assert b"127.0.0.1" not in reply.raw
    assert world.counts.events["http_upstream_error"] == 1
    wire, reply = await world.tunnel("nowhere.example", 443)
    await wire.close()
    assert reply.status == 502


async def test_an_origin_with_a_foreign_certificate_is_not_trusted(tmp_path, free_port):
    """Opening TLS must not hide what the browser would have refused."""
    async with started(tmp_path, free_port, inspection={"upstream_ca": None}) as world:
        async with await world.tls("pages.example") as wire:
            await wire.send(f"GET / HTTP/1.1\r\nHost: pages.example:{world.origin.tls_port}\r\n\r\n".encode())
            assert (await wire.reply()).status == 502
        assert world.origin.heads == []


@pytest.mark.parametrize("tls", ["listed", "all"])
async def test_a_listed_page_gets_its_notice_on_a_name_that_leads_nowhere(tmp_path, free_port, tls):
    """A tunnel that will be opened is not held up by the name: what is asked for inside is answered there."""
    policy = build({table("gone", "urls", https="inspect", basis="law", mandatory=True): ["gone.example/listed"]})
    async with (
        started(tmp_path, free_port, policy=policy, inspection={"tls": tls}) as world,
        await world.tls("gone.example") as wire,
    ):
        host = f"gone.example:{world.origin.tls_port}"
        await wire.send(f"GET /listed HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        listed = await wire.reply()
        await wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        other = await wire.reply()
    assert (listed.status, 'rel="blocked-by"' in listed.headers["link"]) == (451, True)
    assert is_our_page(other, 502)


async def test_a_name_that_leads_nowhere_is_told_at_connect_where_nothing_is_opened(world):
    """Whatever the Host field of the CONNECT names: the TLS will be judged without it."""
    name = f"nowhere.example:{world.origin.tls_port}"
    reply = await world.raw(f"CONNECT {name} HTTP/1.1\r\nHost: pages.example\r\n\r\n".encode())
    assert reply.status == 502


async def test_all_opened_tells_inside_what_may_not_be_reached(tmp_path, free_port):
    """A name with an inner address is resolved for the first request only, and refused as ever."""
    inner = {"ok.example": "10.0.0.1"}
    async with started(tmp_path, free_port, inspection={"tls": "all"}, answers=inner) as world:
        for alpn in ("http/1.1", "h2"):
            async with await world.tls("ok.example", alpn=alpn) as wire:
                reply = await asked_over(wire, alpn, f"ok.example:{world.origin.tls_port}")
            assert is_our_page(reply, 403)
            assert b"does not connect to this address" in reply.body
        assert world.origin.connections == 0


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("broken", ["untrusted", "closed", "unknown"])
async def test_an_origin_that_fails_inside_tls_gets_our_page(tmp_path, free_port, alpn, broken):
    """Mitmproxy's own page may be kept, names its version, and tells what the certificate says."""
    inspection = {"tls": "all", **({"upstream_ca": None} if broken == "untrusted" else {})}
    async with started(tmp_path, free_port, inspection=inspection) as world:
        if broken == "closed":
            world.origin.stop_tls()
        name = "nowhere.example" if broken == "unknown" else "ok.example"
        for method in ("GET", "HEAD") if alpn == "h2" else ("GET",):
            async with await world.tls(name, alpn=alpn) as wire:
                reply = await asked_over(wire, alpn, f"{name}:{world.origin.tls_port}", method)
            assert is_our_page(reply, 502)
            assert (reply.body == b"") is (method == "HEAD")
            assert name.encode() not in reply.raw + reply.body
        assert world.origin.heads == []


async def test_one_connection_serves_many_origins_and_reuses_theirs(world):
    """Keep-alive works on both sides."""
    async with await world.connect() as wire:
        for name in ("ok.example", "ok.example", "inner.test"):
            host = f"{name}:{world.origin.port}"
            await wire.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await wire.reply()).status == 200
    assert world.origin.connections == 2


async def test_nothing_is_kept_of_what_went_by(world):
    """A process that serves for weeks holds no finished flow and no closed tunnel."""
    import gc

    from mitmproxy.http import HTTPFlow

    for _ in range(20):
        await world.get("http://ok.example:PORT/")
        async with await world.tls("pages.example") as wire:
            await wire.send(b"GET /listed HTTP/1.1\r\nHost: pages.example\r\n\r\n")
            await wire.reply()
    gc.collect()
    assert world.addon.running_flows == 0
    assert len([item for item in gc.get_objects() if isinstance(item, HTTPFlow)]) <= 4
