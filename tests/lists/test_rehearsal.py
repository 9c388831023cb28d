"""Rehearsing keywords: the production matching, told in numbers, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.decide import decide
from filterproxy.core.model import Entry, Kind, Request, Scope
from filterproxy.core.urls import canonical
from filterproxy.lists import rehearsal
from filterproxy.lists.rehearsal import Rehearsal, longer_words
from tests.policies import NOW, build, entries, table

WORDS = ["gadget", "widg,substring,3", "red panda,word,5", "tail,query-term,2", "never"]
LIST = table("words", "keywords")


def rehearsed(*urls: str) -> Rehearsal:
    made = Rehearsal(entries(LIST, WORDS))
    for text in urls:
        made.add(text)
    return made


def test_each_term_tells_on_how_many_urls_and_hosts_it_acts():
    """Sorted by how often they act, with those that never do."""
    found = rehearsed(
        "http://a.example/gadget", "http://a.example/GADGET/gadget", "https://b.example/?q=g%61dget+tail",
        "http://c.example/widgets/widget", "http://d.example/red-panda", "http://", "http://a.example/fine",
    )  # fmt: skip
    told = [(item.term.text, item.urls, len(item.hosts)) for item in found.ranked()]
    assert told == [("gadget", 3, 2), ("widg", 1, 1), ("red panda", 1, 1), ("tail", 1, 1), ("never", 0, 0)]
    assert (found.urls, found.no_urls, found.acted_on) == (6, 1, 5)
    assert [found.from_score(score) for score in (1, 2, 3, 5, 10)] == [5, 3, 3, 1, 0]
    assert found.ranked()[0].examples == ["http://a.example/gadget", "https://b.example/?q=g%61dget+tail"]


def test_a_term_inside_longer_words_is_told_with_these_words():
    """Where a substring acts beside the word itself, the words show what would be blocked for its sake."""
    found = rehearsed("http://a.example/widgets-midwidg", "http://a.example/widg", "http://a.example/widgets")
    tally = found.ranked()[0]
    assert (tally.urls, tally.inside) == (3, 2)
    assert tally.words == {"widgets": 2, "midwidg": 1}


@pytest.mark.parametrize(("term", "text", "words"), [
    ("widg", " a widg b ", set()),
    ("widg", " widgwidg ", {"widgwidg"}),
    ("widg", " xwidg \n widgx", {"xwidg", "widgx"}),
    ("red panda", " tired pandas ", {"tired pandas"}),
    ("widg", "", set()),
])  # fmt: skip
def test_a_longer_word_reaches_from_space_to_space(term, text, words):
    """A word that is the term itself is no longer word."""
    assert longer_words(term, text) == words


@given(st.text(max_size=80), st.text(min_size=1, max_size=5))
def test_longer_words_are_never_missed_nor_invented(text, term):
    """Each one stands in the text and holds the term and more."""
    for word in longer_words(term, text):
        assert word in text
        assert term in word
        assert word != term


@given(st.lists(st.one_of(
    st.text(max_size=60),
    st.builds("http://{}.example/{}".format, st.sampled_from("ab"), st.text(alphabet="widgets- %a/?=", max_size=30)),
), max_size=10))  # fmt: skip
def test_it_counts_what_the_decision_would_act_on(texts):
    """Any lines: a URL is acted on here exactly where the product in force would act on it."""
    made, policy = rehearsed(*texts), build({LIST: WORDS})
    read = [url for url in map(canonical, texts) if url is not None]
    acted = [url for url in read if decide(Request("default", "GET", url), policy, NOW).match is not None]
    assert (made.urls, made.no_urls, made.acted_on) == (len(read), len(texts) - len(read), len(acted))


def test_what_is_kept_is_bounded(monkeypatch):
    """Beyond the bound hosts are no longer told apart, and that is said; counts stay exact."""
    monkeypatch.setattr(rehearsal, "HOSTS_OF_ONE", 5)
    monkeypatch.setattr(rehearsal, "MOST_WORDS", 3)
    made = Rehearsal([Entry(Kind.KEYWORD, "widg", Scope.SUBSTRING)])
    for number in range(20):
        made.add(f"http://h{number}.example/widg{number}?{'x' * 1000}")
    tally = made.ranked()[0]
    assert (tally.urls, tally.inside, len(tally.hosts), tally.more_hosts) == (20, 20, 5, True)
    assert (len(tally.words), len(tally.examples)) == (3, 3)
    assert max(map(len, tally.examples)) <= rehearsal.LONGEST_EXAMPLE
