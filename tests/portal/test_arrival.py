"""The client and the host that count, whatever else a request says."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from filterproxy.portal.arrival import Arrival, in_origin_form
from filterproxy.settings import load_text

SETTINGS = load_text('[portal]\ntrusted_proxies = ["192.0.2.0/28", "::1"]')


async def who(scope, receive, send):
    await PlainTextResponse(f"{scope['client'][0]} {scope['scheme']} {dict(scope['headers'])[b'host'].decode()}")(
        scope, receive, send
    )


@pytest.mark.parametrize(("peer", "hops", "client"), [
    ("192.0.2.1", ["198.51.100.7"], "198.51.100.7"),
    ("192.0.2.1", ["203.0.113.5, 198.51.100.7"], "198.51.100.7"),
    ("192.0.2.1", ["203.0.113.5", "198.51.100.7"], "198.51.100.7"),
    ("::ffff:192.0.2.1", ["2001:db8::1"], "2001:db8::1"),
    ("192.0.2.1", ["203.0.113.5, nonsense"], "nonsense"),
    ("192.0.2.1", [""], ""),
    ("192.0.2.1", [], "192.0.2.1"),
    ("192.0.2.99", ["198.51.100.7"], "192.0.2.99"),
])  # fmt: skip
def test_only_the_last_hop_of_a_trusted_proxy_counts(peer, hops, client):
    """What others wrote before it, and whoever is not trusted, change nothing; nor do the other forwarded fields."""
    browser = TestClient(Arrival(who, SETTINGS), "http://a.example", client=(peer, 1))
    headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", "b.example"), ("forwarded", "for=b.example")]
    answer = browser.get("/", headers=[*headers, *(("x-forwarded-for", hop) for hop in hops)])
    assert answer.text == f"{client} http a.example"


@pytest.mark.parametrize(("target", "host", "path"), [
    (b"/x", b"a.example", b"/x"),
    (b"http://b.example/x%41", b"b.example", b"/x%41"),
    (b"HTTP://b.example:81", b"b.example:81", b"/"),
    (b"http://u@b.example/", b"u@b.example", b"/"),
    (b"http:///x", b"", b"/x"),
    (b"ftp://b.example/", b"a.example", b"ftp://b.example/"),
    (b"*", b"a.example", b"*"),
])  # fmt: skip
def test_the_request_lines_authority_takes_the_place_of_the_host_field(target, host, path):
    """RFC 9112, section 3.2.2: an origin server accepts the absolute form and does not read Host then."""
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "raw_path": target, "path": target.decode()}
    found = in_origin_form({**scope, "headers": [(b"host", b"a.example"), (b"x", b"y")]})
    assert [value for name, value in found["headers"] if name == b"host"] == [host]
    assert (b"x", b"y") in found["headers"]
    assert found["raw_path"] == path


def test_the_path_of_an_absolute_form_is_unescaped_once():
    """As that of any other request."""
    scope = {"raw_path": b"http://b.example/%2541?", "path": "", "headers": []}
    assert in_origin_form(scope)["path"] == "/%41?"
