"""What stands before the path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.authority import authority_of, bare, host_of, place, url_of


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a.example", "a.example"),
        ("A.Example.:8080", "a.example"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ("0x7f.1", "127.0.0.1"),
        ("a.example:", "a.example"),
        ("user@a.example", None),
        ("a.example:80:80", None),
        ("a.example:port", None),
        ("[a.example]", None),
        ("", None),
    ],
)
def test_a_host_is_read_out_of_an_authority(text, host):
    """As a URL would spell it; what is no authority has none."""
    assert host_of(text) == host


def test_a_url_is_made_of_its_parts():
    """It says where it goes; the port only where it is not the scheme's own."""
    plain, other = url_of("http", "A.example:80", "/x"), url_of("https", "[2001:db8::1]:8443", "/")
    assert plain is not None
    assert other is not None
    assert (place(plain), authority_of(plain)) == (("a.example", 80), "a.example")
    assert (place(other), authority_of(other)) == (("[2001:db8::1]", 8443), "[2001:db8::1]:8443")
    assert bare(other.host) == "2001:db8::1"
    assert url_of("ftp", "a.example", "/") is None
    assert url_of("http", "a.example:99999", "/") is None


@given(st.text(max_size=40))
def test_whatever_is_given_there_is_a_host_or_none(text):
    """And a host has one spelling."""
    found = host_of(text)
    assert found is None or host_of(found) == found
