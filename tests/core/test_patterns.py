from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Scope
from filterproxy.core.patterns import MAX_FOLDED, MAX_MARKS, Patterns, Term, _fold_any, fold, folded_text
from filterproxy.core.urls import Url
from tests.policies import url as url_of


@pytest.mark.parametrize(
    ("term", "scope", "url", "stands"),
    [
        ("gadget", Scope.WORD, "http://h.example/Gadget-1", True),
        ("gadget", Scope.WORD, "http://h.example/gadgets", False),
        ("gadget", Scope.WORD, "http://h.example/a?q=the+GADGET", True),
        ("gadget", Scope.WORD, "http://gadget.example/", True),
        ("gadget", Scope.WORD, "http://h.example/g%61dget", True),
        ("gadget", Scope.SUBSTRING, "http://h.example/megagadgets", True),
        ("gadget", Scope.QUERY_TERM, "http://h.example/gadget?q=other", False),
        ("gadget", Scope.QUERY_TERM, "http://h.example/a?q=gadget", True),
        ("gadget", Scope.QUERY_TERM, "http://h.example/a?q=gadgets", False),
        ("two words", Scope.WORD, "http://h.example/two_words", True),
        ("two words", Scope.WORD, "http://h.example/?q=two%20words", True),
        ("two words", Scope.WORD, "http://h.example/twowords", False),
        ("straße", Scope.WORD, "http://h.example/STRASSE", True),
        ("ｗｉｄｅ", Scope.WORD, "http://h.example/wide", True),
        ("gadget", Scope.WORD, "http://h.example/gad%C2%ADget", True),
        ("gadget", Scope.WORD, "http://h.example/gad%E2%80%8Bget", True),
        ("bücher", Scope.WORD, "http://bücher.example/", True),
        ("काम", Scope.WORD, "http://h.example/काम", True),
        ("काम", Scope.WORD, "http://h.example/कुम", False),
        ("foo bar", Scope.WORD, "http://h.example/foo?bar", False),
        ("example foo", Scope.WORD, "http://h.example/foo", False),
        ("gadget", Scope.QUERY_TERM, "http://gadget.example/gadget", False),
    ],
)
def test_a_term_stands_where_its_match_says(term, scope, url, stands):
    """A word between boundaries, a substring anywhere, a query-term in the query; spelling makes no difference."""
    patterns = Patterns([Term(folded_text(term), scope)])
    assert bool(patterns.find(fold(url_of(url)))) is stands


def test_one_text_may_stand_in_several_terms():
    """Two lists' lines with one text and different matches are told apart."""
    word, query = Term("gadget", Scope.WORD, 2), Term("gadget", Scope.QUERY_TERM, 5)
    patterns = Patterns([word, query])
    assert patterns.find(fold(url_of("http://h.example/gadget"))) == (word,)
    assert set(patterns.find(fold(url_of("http://h.example/?gadget")))) == {word, query}


def test_hostile_urls_cost_little():
    """Neither marks without end nor terms within terms make a URL expensive: a bound on steps, not on time."""
    marks = folded_text("a" + "\u0301\u0316" * 5000)
    assert len(marks) <= 1 + MAX_MARKS
    nested = Patterns(Term("a" * size, Scope.WORD) for size in range(2, 200))
    assert nested.find(fold(url_of("http://h.example/" + "a" * 60_000))) == ()
    assert len(fold(url_of("http://h.example/" + "b/" * 30_000)).text) < 2 * MAX_FOLDED


def test_no_terms_find_nothing():
    """An empty automaton is not asked, for it cannot be."""
    assert Patterns(()).find(fold(url_of("http://h.example/"))) == ()


@given(st.lists(st.text("abc ", min_size=1, max_size=4), max_size=8), st.text("abc/?+-", max_size=30))
def test_words_are_found_as_a_plain_search_finds_them(words, path):
    """The automaton and its checks agree with the obvious way to look for words."""
    terms = [Term(text, Scope.WORD) for text in {folded_text(word) for word in words} if text]
    folded = fold(url_of(f"http://h.example/{path}"))
    expected = {term for term in terms if f" {term.text} " in folded.text}
    assert set(Patterns(terms).find(folded)) == expected


@given(
    st.from_regex(r"[a-z0-9_-]{1,8}(\.[a-z0-9-]{1,8}){0,3}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="%#?"), max_size=30),
    st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="%#"), max_size=30),
)
def test_the_quick_way_of_folding_gives_the_same_words(host, path, query):
    """What has nothing escaped is folded in one pass; its words, and where the query begins, are the same."""
    found = Url("http", host, None, f"/{path}", query)
    quick, slow = fold(found), _fold_any(found)
    assert quick.text.split() == slow.text.split()
    assert quick.text[quick.query_from :].split() == slow.text[slow.query_from :].split()
    assert quick.text[quick.query_from] == " "
