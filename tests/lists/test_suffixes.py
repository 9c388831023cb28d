"""Public suffixes, as the list's own package understands them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from filterproxy.lists.suffixes import Suffixes

ICANN = Suffixes.icann()
LIBRARY = PublicSuffixList(only_icann=True)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("com", True),
        ("example", True),  # a single label that no rule names
        ("co.uk", True),
        ("example.co.uk", False),
        ("example.com", False),
        ("xn--p1ai", True),
        ("anything.ck", True),  # *.ck
        ("www.ck", False),  # !www.ck
        ("x.anything.ck", False),
        ("kobe.jp", True),  # *.kobe.jp
        ("ward.kobe.jp", True),
        ("city.kobe.jp", False),  # !city.kobe.jp
        ("pvt.k12.ma.us", True),
        ("k12.ma.us", True),
        ("github.io", False),  # the private section
        ("192.0.2.1", False),
        ("[2001:db8::1]", False),
    ],
)
def test_a_suffix_and_what_is_above_one_is_held(name, holds):
    """Rules, wildcards and exceptions of the ICANN section count; companies' own suffixes do not."""
    assert ICANN.holds(name) is holds


@given(st.lists(st.sampled_from(["a", "co", "uk", "ck", "www", "jp", "kobe", "city", "com", "us", "ma"]), min_size=1))
def test_no_public_suffix_is_missed(labels):
    """Whatever the package's own code calls a public suffix is one here."""
    name = ".".join(labels)
    if LIBRARY.publicsuffix(name) == name:
        assert ICANN.holds(name)


def test_the_digest_tells_one_version_from_another():
    """Other rules, another digest; the same rules, the same."""
    assert Suffixes.of("com\nco.uk").digest == Suffixes.of("// said\nco.uk\ncom\n").digest
    assert Suffixes.of("com").digest != Suffixes.of("*.com").digest != Suffixes.of("!www.com\ncom").digest
