"""Pages are made of templates, words and one style, all from the package."""

from __future__ import annotations

import re

import pytest

PAGES = ["/notice", "/appeal", "/appeal/status", "/transparency", "/nowhere"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_and_loads_only_our_style(browser, path):
    """A page has a language, a title, one heading, and loads nothing but the stylesheet of this site."""
    answer = browser.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in answer.text
    assert answer.text.count("<h1>") == 1
    assert "Example Net" in answer.text
    assert re.findall(r'(?:src|srcset)="', answer.text) == []
    loads = re.findall(r'<link rel="stylesheet" href="([^"]*)"', answer.text)
    assert len(loads) == 1
    assert loads[0].startswith("/static/portal.css?v=")
    assert "<script" not in answer.text
    assert len(answer.content) < 30_000


def test_the_style_is_there_and_may_be_kept(browser):
    """The stylesheet is served from the package and, named by its digest, may be kept for ever."""
    answer = browser.get(re.findall(r'href="(/static/[^"]*)"', browser.get("/appeal").text)[0])
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert "prefers-color-scheme:dark" in answer.text
    assert "url(" not in answer.text
    assert "@import" not in answer.text


@pytest.mark.parametrize(("path", "varies"), [
    *((path, True) for path in PAGES), ("/transparency.json", True), ("/transparency.csv", False), ("/healthz", False),
    ("/static/portal.css", False),
])  # fmt: skip
def test_what_is_told_in_words_varies_with_the_language(browser, path, varies):
    """`Vary` stands where an answer depends on Accept-Language, and nowhere else: the style is kept once."""
    assert (browser.get(path).headers.get("vary") == "Accept-Language") is varies
    assert ("content-language" in browser.get(path).headers) is (varies and not path.endswith(".json"))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_the_headers(browser, path):
    """R1: strict policy, nosniff, no frame; nothing is kept but the public record; no cookie is set."""
    headers = browser.get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "set-cookie" not in headers
    assert headers["cache-control"] == ("public, max-age=300" if path == "/transparency" else "no-store")
    assert headers["x-robots-tag"] == ("all" if path == "/transparency" else "noindex")


def test_the_page_one_is_on_is_marked(browser):
    """The navigation says which page this is."""
    assert 'href="/appeal" aria-current="page"' in browser.get("/appeal").text
