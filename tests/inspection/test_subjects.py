"""Which URLs a request asks for, and which requests are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from filterproxy.core.authority import authority_of, bare, host_of, place
from filterproxy.inspection.passthrough import Tunnel
from filterproxy.inspection.subjects import asked


def request(
    host="ok.example",
    port=80,
    path=b"/",
    *,
    scheme=b"http",
    fields=(),
    authority=b"",
    version=b"HTTP/1.1",
    method=b"GET",
):
    """Return a request as mitmproxy hands it over."""
    return http.Request(
        host=host, port=port, method=method, scheme=scheme, authority=authority, path=path, http_version=version,
        headers=http.Headers(fields), content=None, trailers=None, timestamp_start=0.0, timestamp_end=None,
    )  # fmt: skip


def texts(found):
    return None if found is None else [url.text for url in found.urls]


HOST = (b"Host", b"ok.example")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (request(fields=[HOST]), ["http://ok.example/"]),
        (request(fields=[]), ["http://ok.example/"]),
        (request(port=8080, fields=[HOST]), ["http://ok.example:8080/", "http://ok.example/"]),
        (request("OK.example.", fields=[HOST]), ["http://ok.example/"]),
        (request("bücher.example"), ["http://xn--bcher-kva.example/"]),
        (request("0x7f.1"), ["http://127.0.0.1/"]),
        (request("2001:db8::1", 8080), ["http://[2001:db8::1]:8080/"]),
        (request(path=b"/\xff\xc3\xa9?\xff"), ["http://ok.example/%FF%C3%A9?%FF"]),
        (request(path=b"*", method=b"OPTIONS"), ["http://ok.example/"]),
        (request(path=b"*"), None),
        (request(path=b""), None),
        (request(path=b"x"), None),
        (request(scheme=b"ftp"), None),
        (request(fields=[(b"Host", b"\xff")]), None),
        (request(fields=[(b"Host", b"a"), (b"host", b"a")]), None),
        (request(version=b"HTTP/2.0"), None),
    ],
)
def test_a_plain_request_asks_for_its_target_and_its_host(given, found):
    """Where it goes comes first; what cannot be read in one way is nothing."""
    assert texts(asked(given, None, http2=False)) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (request(fields=[HOST]), ["https://ok.example/", "https://outer.test/", "https://sni.test/"]),
        (request(authority=b"abs.test", fields=[HOST]),
         ["https://abs.test/", "https://ok.example/", "https://outer.test/", "https://sni.test/"]),
        (request(version=b"HTTP/1.0"), ["https://outer.test/", "https://sni.test/"]),
        (request(), None),
    ],
)  # fmt: skip
def test_a_request_inside_tls_asks_under_every_name(given, found):
    """Absolute form, Host, CONNECT and SNI."""
    given.scheme = "https"
    assert texts(asked(given, Tunnel("outer.test", 443, "sni.test"), http2=False)) == found


@pytest.mark.parametrize(
    ("authority", "fields", "misdirected"),
    [
        (b"outer.test", (), False),
        (b"sni.test:443", (), False),
        (b"other.test", (), True),
        (b"outer.test:8443", (), True),
        (b"", [(b"host", b"outer.test")], False),
        (b"", [(b"host", b"other.test")], True),
        (b"outer.test", [(b"host", b"outer.test:443")], False),
        (b"outer.test", [(b"host", b"sni.test")], None),
        (b"user@outer.test", (), None),
    ],
)
def test_an_authority_of_http2_is_served_where_its_tunnel_leads(authority, fields, misdirected):
    """421 for another origin, nothing at all for two that differ."""
    given = request(scheme=b"https", authority=authority, fields=fields, version=b"HTTP/2.0")
    found = asked(given, Tunnel("outer.test", 443, "sni.test"), http2=True)
    assert (None if found is None else found.misdirected) == misdirected


@given(
    st.binary(max_size=80),
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=4),
    st.binary(max_size=40),
    st.booleans(),
)
def test_any_request_is_read_or_refused(path, fields, authority, tunnelled):
    """Whatever mitmproxy lets through, it is URLs or None."""
    given = request(path=b"/" + path, fields=fields, authority=authority)
    found = asked(given, Tunnel("outer.test", 443) if tunnelled else None, http2=False)
    assert found is None or found.target in found.urls


@given(st.sampled_from(["Host", "X"]), st.sampled_from(["\0", "\r", "\n", "\r\n "]))
def test_no_line_can_be_hidden_in_a_field(name, mark):
    """NUL, CR and LF in a value are read by servers each in its own way."""
    assert asked(request(fields=[(name.encode(), f"a{mark}b".encode())]), None, http2=False) is None


def test_small_forms():
    """What the other files take from here."""
    found = asked(request("2001:db8::1", 8080), None, http2=False)
    assert found is not None
    assert (place(found.target), authority_of(found.target)) == (("[2001:db8::1]", 8080), "[2001:db8::1]:8080")
    assert (bare("[::1]"), bare("a.test")) == ("::1", "a.test")
    assert [host_of(text) for text in ("A.test:80", "[::1]", "a b", "a:b:c", "")] == [
        "a.test",
        "[::1]",
        None,
        None,
        None,
    ]
