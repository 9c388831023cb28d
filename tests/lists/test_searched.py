"""Expressions, searched in many names at once within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Kind, Scope
from filterproxy.lists import searched
from filterproxy.lists.searched import Searched
from filterproxy.lists.suffixes import Suffixes
from filterproxy.lists.top_sites import TopSites

SITES = [f"site{number}.example" for number in range(100)]
HERE = Searched(["isp.test"], TopSites(SITES), Suffixes.of("com\nco.uk\nuk"))
EVERY = ("own", "top-sites", "suffixes")


def pattern(expression, scope=Scope.HOST, action=Action.BLOCK):
    return Entry(Kind.PATTERN, expression, scope, action)


def test_each_expression_has_its_own_answer():
    """However many come together, each is answered by its number, and those that hit nothing are left out."""
    entries = [pattern(r"^none\."), pattern("site7"), pattern(r"\.com$"), pattern("isp"), pattern("isp", Scope.URL)]
    assert HERE.find(entries, EVERY) == {
        1: ("top-sites", "site7.example"), 2: ("suffixes", "com"), 3: ("own", "isp.test"), 4: ("own", "isp.test"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry", [pattern("isp", action=Action.ALLOW), pattern("("), Entry(Kind.KEYWORD, "isp", Scope.SUBSTRING)]
)
def test_what_is_no_expression_that_blocks_is_passed_over(entry):
    """Exceptions, what re2 does not take, and other scopes hit nothing."""
    assert HERE.find([entry], EVERY) == {}


def test_the_most_visited_sites_are_searched_first(monkeypatch):
    """Where there is too much to search, what is left out are the sites that fewest people visit."""
    assert HERE.find([pattern("site99")], EVERY, most=50) == {}
    assert HERE.find([pattern("site49")], EVERY, most=50) == {0: ("top-sites", "site49.example")}
    monkeypatch.setattr(searched, "_LOOKS", 100)
    assert HERE.find([pattern("site49"), pattern("site50")], EVERY) == {0: ("top-sites", "site49.example")}


@given(st.text(max_size=20), st.sampled_from([Scope.HOST, Scope.URL]))
def test_any_text_is_an_answer_or_none(expression, scope):
    """Whatever a list calls an expression, the search ends without an exception."""
    assert set(HERE.find([pattern(expression, scope)], EVERY)) <= {0}
