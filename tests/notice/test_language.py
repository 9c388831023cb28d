"""The words are found, and the language is the one asked for."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.notice.language import Catalogue, catalogues, choose

KNOWN = {name: Catalogue(name, {}) for name in ("en", "de", "fr")}


@pytest.mark.parametrize(("header", "language"), [
    ("", "en"),
    ("de", "de"),
    ("de-AT,de;q=0.9,en;q=0.8", "de"),
    ("en;q=0.5, fr;q=0.9", "fr"),
    ("fr;q=0, xx", "en"),
    ("*", "en"),
    ("fr;q=nonsense, DE ; q=0.1", "de"),
    ("x" * 300 + ",de", "en"),  # a header this long is read no further
])  # fmt: skip
def test_the_language_is_the_one_liked_best(header, language):
    """Accept-Language is followed by weight; English answers for what we do not speak."""
    assert choose(header, KNOWN).language == language


@given(st.text(max_size=300))
def test_any_header_gives_a_language(header):
    """Whatever a browser sends as Accept-Language, one of ours is chosen."""
    assert choose(header, KNOWN).language in KNOWN


def test_the_catalogue_fills_in_words_and_days():
    """Words are found by table and name, filled in, and days are written as people do."""
    t = catalogues("filterproxy.notice")["en"]
    assert t("notice.title_url") == "This page is blocked"
    assert "Example Net" in t("notice.lead", operator="Example Net")
    assert t.day(date(2026, 3, 1)) == "1 March 2026"
    assert "notice.title_url" in t
    assert "notice.nothing" not in t
    assert "nothing.at_all" not in t
    with pytest.raises(KeyError):
        t("notice.nothing")


@pytest.mark.parametrize("packages", [("filterproxy.notice",), ("filterproxy.notice", "filterproxy.portal")])
def test_every_language_says_all_that_english_says(packages):
    """A language that lacks a key would break a page for those who read it."""
    known = catalogues(*packages)
    english = {(table, name) for table, words in known["en"]._tables.items() for name in words}
    for catalogue in known.values():
        assert {(table, name) for table, words in catalogue._tables.items() for name in words} == english
