"""What is changed on the way."""

from __future__ import annotations

import pytest
from mitmproxy import http

from filterproxy.core.urls import canonical
from filterproxy.inspection import forward
from filterproxy.inspection.passthrough import Tunnel
from tests.inspection.test_subjects import request


def cleaned(*fields, version=b"HTTP/1.1"):
    given = request(fields=[(name.encode(), value.encode()) for name, value in fields], version=version)
    forward.clean_request(given)
    return [(name.decode(), value.decode()) for name, value in given.headers.fields]


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ([("Proxy-Authorization", "x"), ("A", "b")], [("A", "b")]),
        ([("Connection", "x-1, close"), ("X-1", "1"), ("x-2", "2")], [("Connection", "x-1, close"), ("x-2", "2")]),
        ([("Connection", "Host, Content-Length"), ("Host", "a"), ("Content-Length", "0")],
         [("Connection", "Host, Content-Length"), ("Host", "a"), ("Content-Length", "0")]),
        ([("Upgrade", "h2c"), ("HTTP2-Settings", "AA")], []),
        ([("Upgrade", "WebSocket"), ("Connection", "Upgrade")], [("Upgrade", "WebSocket"), ("Connection", "Upgrade")]),
        ([("TE", "trailers")], []),
        ([("Cookie", "a=b; filterproxy_seen=1.x; c=d"), ("cookie", "filterproxy_seen=2")], [("Cookie", "a=b; c=d")]),
        ([("Cookie", "filterproxy_seenx=1")], [("Cookie", "filterproxy_seenx=1")]),
    ],
)  # fmt: skip
def test_what_was_meant_for_the_proxy_ends_here(fields, left):
    """Hop-by-hop fields, those that Connection names, upgrades but to WebSocket, and our cookie."""
    assert cleaned(*fields) == left


def test_http2_keeps_te():
    """GRPC needs its trailers."""
    assert cleaned(("te", "trailers"), version=b"HTTP/2.0") == [("te", "trailers")]


def test_our_cookies_are_found_among_others():
    """Several may be there, in several fields."""
    given = request(fields=[(b"Cookie", b"a=b; filterproxy_seen=1"), (b"Cookie", b"filterproxy_seen=2=3; x")])
    assert forward.seen_cookies(given) == ["1", "2=3"]


def test_a_plain_request_goes_where_it_was_judged():
    """Host and dialled name are the canonical target's."""
    given = request("OK.example.", 8080, fields=[(b"X", b"y"), (b"host", b"other.test")])
    target = canonical("http://ok.example:8080/")
    assert target is not None
    forward.readdress(given, target, None)
    assert given.data.host == "ok.example"
    assert given.headers.fields == ((b"Host", b"ok.example:8080"), (b"X", b"y"))


def test_a_request_inside_tls_keeps_its_host():
    """In origin form nothing is changed."""
    given = request(fields=[(b"Host", b"OK.example")])
    target = canonical("https://ok.example/")
    assert target is not None
    forward.readdress(given, target, Tunnel("ok.example", 443))
    assert given.headers.fields == ((b"Host", b"OK.example"),)


def test_a_response_offers_no_way_past_the_proxy():
    """Alt-Svc goes, the rest stays."""
    given = http.Response.make(200, b"", {"Alt-Svc": "h3", "A": "b"})
    forward.clean_response(given)
    assert ("alt-svc" in given.headers, given.headers["a"]) == (False, "b")
