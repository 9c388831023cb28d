from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists.sources import places
from filterproxy.lists.sources.places import Place


@pytest.mark.parametrize(("url", "host", "port", "target", "authority"), [
    ("https://lists.example/ads", "lists.example", 443, "/ads", "lists.example"),
    ("HTTPS://Lists.Example.:443", "lists.example", 443, "/", "lists.example"),
    ("https://lists.example:8443/a b?x=ü#f", "lists.example", 8443, "/a%20b?x=%C3%BC", "lists.example:8443"),
    ("https://[2001:DB8::1]:8443/", "2001:db8::1", 8443, "/", "[2001:db8::1]:8443"),
    ("https://2130706433/", "127.0.0.1", 443, "/", "127.0.0.1"),
    ("https://ä.example/", "xn--4ca.example", 443, "/", "xn--4ca.example"),
])  # fmt: skip
def test_a_place_is_what_a_url_names(url, host, port, target, authority):
    """One spelling of the host, whatever its spelling; the port where it is not 443."""
    found = Place.of(url)
    assert (found.host, found.port, found.target, found.authority) == (host, port, target, authority)
    assert Place.of(found.url) == found
    assert target == "/" or target not in repr(found)


@pytest.mark.parametrize("url", [
    "https://", "https://[::1", "http://lists.example/", "ftp://lists.example/", "https://u@lists.example/token",
    "https://u:token@lists.example/", "https://lists.example:0/", "https://lists.example:99999/", "https://a..b/",
    "https://lists.example/" + "token" * 2000, "\udc80",
])  # fmt: skip
def test_what_is_no_place_is_refused_without_a_word_of_it(url):
    """The message holds no path, no query and no password."""
    with pytest.raises(SourceError) as caught:
        Place.of(url)
    assert "token" not in str(caught.value)
    assert "lists.example" not in str(caught.value)


@pytest.mark.parametrize(("location", "url"), [
    ("/other?x", "https://lists.example/other?x"),
    ("other", "https://lists.example/a/other"),
    ("//cdn.example/x", "https://cdn.example/x"),
    ("https://cdn.example:8443/x", "https://cdn.example:8443/x"),
    ("http://lists.example/x", None),
    ("//u:p@cdn.example/x", None),
    ("file:///etc/passwd", None),
    ("//[", None),
    ("https://[::1", None),
])  # fmt: skip
def test_a_redirect_stays_on_https(location, url):
    """Relative to where it was said, and never to another scheme."""
    here = Place.of("https://lists.example/a/b?token=x")
    if url is None:
        with pytest.raises(SourceError, match="redirected to what is not an https URL"):
            here.redirected(location)
    else:
        assert here.redirected(location).url == url


def test_what_stands_beside_a_list_keeps_its_query():
    """A token in the query goes along; the path is what is another."""
    assert places.beside("https://lists.example/ads.txt?token=x", ".sig") == "https://lists.example/ads.txt.sig?token=x"


@pytest.mark.parametrize(("source", "remote", "shown"), [
    ("lists/ads.txt", False, "lists/ads.txt"),
    ("https://lists.example/token?token", True, "lists.example"),
    ("HTTPS://u:token@lists.example/", True, "https URL"),
])  # fmt: skip
def test_a_source_is_called_by_its_path_or_host(source, remote, shown):
    """What is shown of a URL can hold no secret."""
    assert (places.is_remote(source), places.shown(source)) == (remote, shown)


@given(st.text(max_size=80))
def test_any_text_is_a_place_or_refused(text):
    """Whatever a header says, it leads to an https URL or to a SourceError."""
    with suppress(SourceError):
        assert Place.of("https://lists.example/").redirected(text).url.startswith("https://")
