from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.expressions import expressions
from filterproxy.core.membership import digest
from filterproxy.core.urls import MAX_DIRECTORIES
from tests.policies import KEY, url

PATHS = st.text("ab/", max_size=12)
QUERIES = st.sampled_from(["", "?x", "?x=/y"])


@given(PATHS, QUERIES, st.sampled_from(["", ":81"]))
def test_they_are_what_the_url_spells_out(path, query, port):
    """The digests are those of `Url.expressions`, each under the text that it says it is."""
    found = url(f"http://h.example{port}/{path}{query}")
    hashed = expressions(found, KEY, ported=found.port is not None)
    assert all(digest(item.text(found), KEY) == item.digest for item in hashed)
    assert {item.text(found) for item in hashed} == set(found.expressions)


@pytest.mark.parametrize(("text", "port"), [("http://h.example/a", 80), ("https://h.example/a", 443)])
def test_a_port_that_is_not_named_is_the_schemes(text, port):
    """An entry that names the scheme's own port is looked up under it."""
    found = url(text)
    assert f"h.example:{port}/a" in {item.text(found) for item in expressions(found, KEY, ported=True)}


def test_they_are_bounded():
    """A path of ten thousand directories has no more than the limit."""
    assert len(expressions(url("http://h.example/" + "a/" * 10_000), KEY, ported=False)) == MAX_DIRECTORIES + 1
