from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.names import host, is_address, suffixes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.COM.", "example.com"),
        ("a_b.example", "a_b.example"),
        ("☃.example", "xn--n3h.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("1.2.3", "1.2.0.3"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[2001:DB8::0:1]", "[2001:db8::1]"),
        ("::ffff:192.0.2.1", "[::ffff:c000:201]"),
        ("", None),
        (".", None),
        ("a..b", None),
        (".example", None),
        ("a b.example", None),
        ("a%41.example", None),
        ("a/b", None),
        ("user@host.example", None),
        ("host.example:80", None),
        ("999.1.1.1", None),
        ("fe80::1%eth0", None),
        ("[1]", None),
        ("x" * 300, None),
        ("\ud800.example", None),
    ],
)
def test_every_host_has_one_spelling(text, expected):
    """However a host is written, lists, URLs and DNS names agree on one spelling, or that it is none."""
    assert host(text) == expected


@given(st.text(max_size=80))
def test_a_spelling_is_final(text):
    """The spelling of a spelling is itself, whatever was typed, and nothing raises."""
    found = host(text)
    assert found is None or host(found) == found


def test_suffixes_are_the_name_and_its_parents():
    """Labels bound labels: a parent begins after a dot, and an address has none."""
    assert suffixes("a.b.example") == ("a.b.example", "b.example", "example")
    assert suffixes("192.0.2.1") == ("192.0.2.1",)
    assert suffixes("[2001:db8::1]") == ("[2001:db8::1]",)


def test_addresses_are_told_from_names():
    """A name may end in a digit's letter neighbour, never in a number."""
    assert is_address("192.0.2.1")
    assert is_address("[::1]")
    assert not is_address("a.b1")
    assert not is_address("example")
