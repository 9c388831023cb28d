from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import ConfigError
from filterproxy.lists.own import compile_own, parse_own
from filterproxy.settings import Settings


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("A.example", ("domain", "a.example", "tree")),
        ("*.a.example", ("domain", "a.example", "below")),
        ("=a.example", ("domain", "a.example", "exact")),
        ("192.0.2.1", ("domain", "192.0.2.1", "exact")),
        ("a.example/page", ("url", "a.example/page", "page")),
        ("https://a.example/page?q", ("url", "a.example/page?q", "exact")),
        ("a.example/dir/*", ("url", "a.example/dir/", "prefix")),
        ("a.example:81/", ("url", "a.example:81/", "page")),
        ("", None),
        ("a b", None),
        ("http://", None),
        ("*.*.example", None),
        ("*/x", None),
        ("a.example/#/*", None),
        ("a.example/d?x/*", None),
        ("a.example/" + "d/" * 300 + "*", None),
    ],
)
def test_an_own_entry_means_what_it_says(text, meaning):
    """A host covers all below it unless marked; a URL covers its page, a final star what is below."""
    found = parse_own(text)
    assert (found and (found.kind, found.value, found.scope)) == meaning


@given(st.text(max_size=60))
def test_any_text_is_an_entry_or_none(text):
    """Reading an own entry never raises."""
    parse_own(text)


def test_an_entry_that_means_nothing_is_named():
    """The configuration error says which one."""
    settings = Settings.model_validate({"profiles": [{"id": "p", "deny": ["a.example", "?"]}]})
    with pytest.raises(ConfigError, match=r"profiles\.p\.deny\.1"):
        list(compile_own(settings, bytes(32)))
