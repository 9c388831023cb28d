from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.urls import MAX_DIRECTORIES, MAX_URL, canonical
from tests.policies import url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://EXAMPLE.com./%67allery/../gallery/1", "http://example.com/gallery/1"),
        ("example.com", "http://example.com/"),
        ("//example.com/a", "http://example.com/a"),
        ("http:/example.com/a", "http://example.com/a"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("https://u:p@example.com:443/a#f", "https://example.com/a"),
        ("example.com:8080/a", "http://example.com:8080/a"),
        ("example.com:443/a", "http://example.com:443/a"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("h.example/b%3Fc", "http://h.example/b%3Fc"),
        ("h.example/x%2F..%2Fy", "http://h.example/y"),
        ("h.example/%252e%252e/a", "http://h.example/a"),
        ("h.example/a%5c..%5cb", "http://h.example/b"),
        ("h.example/a//b///c", "http://h.example/a/b/c"),
        ("h.example/a/.", "http://h.example/a/"),
        ("h.example/%", "http://h.example/%25"),
        ("h.example/%zz", "http://h.example/%25zz"),
        ("h.example/\u00e9%ff", "http://h.example/%C3%A9%FF"),
        ("h.example/a b", "http://h.example/a%20b"),
        ("h.example/?next=http://other.example/", "http://h.example/?next=http://other.example/"),
        ("h.example/?a=%2523b", "http://h.example/?a=%23b"),
        ("h.example/a?", "http://h.example/a"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("ftp://h.example:21/a", "ftp://h.example/a"),
        ("ht\ttp:\n//h.example/\ra", "http://h.example/a"),
        ("\ufeffhttp://h.example/a", "http://h.example/a"),
        (" \x01http://h.example/a ", "http://h.example/a"),
        ("http:h.example/a", "http://h.example/a"),
        ("https:81/a", "http://https:81/a"),
        ("http://" + "\u4e2d" * 2000 + ".example/", None),
        ("", None),
        ("http://", None),
        ("gopher://h.example/", None),
        ("http://a..b/", None),
        ("http://h.example:99999/", None),
        ("http://\ud800/", None),
        ("http://h.example/" + "a" * MAX_URL, None),
        ("http://h.example/" + "%" * (MAX_URL // 2), None),
    ],
)
def test_every_spelling_of_a_url_has_one_form(text, expected):
    """Case, escapes, dots, slashes, ports, credentials and fragments make no difference; what is no URL is None."""
    found = canonical(text)
    assert (found and found.text) == expected


def test_what_is_escaped_more_than_sixteen_times_has_no_form():
    """Unescaping ends, so that nobody keeps us busy, and what it did not reach is refused."""
    nested = "%" + "25" * 15 + "41"
    assert url(f"h.example/{nested}").text == "http://h.example/A"
    assert canonical(f"h.example/%25{nested[1:]}") is None


@given(st.one_of(st.text(max_size=60), st.text("ab%25eEfF/.\\?#:@ \t\n2Fcée", max_size=60)))
def test_the_form_is_total_and_idempotent_in_its_parts(text):
    """Any text has a form or none; the form of the form is the same in every part, with or without its scheme."""
    for spelled in (text, f"http://h.example/{text}", f"h.example:81/?{text}"):
        found = canonical(spelled)
        if found is not None:
            assert canonical(found.text) == found
            again = canonical(found.text.partition("://")[2])
            assert again is None or (again.host, again.path, again.query) == (found.host, found.path, found.query)


def test_expressions_go_from_the_whole_to_the_root():
    """Path with query, path, then each directory above; with the port first where there is one."""
    assert url("http://h.example/a/b/c.html?x=1").expressions == (
        "h.example/a/b/c.html?x=1",
        "h.example/a/b/c.html",
        "h.example/a/b/",
        "h.example/a/",
        "h.example/",
    )
    assert url("http://h.example/a/b/").expressions == ("h.example/a/b/", "h.example/a/", "h.example/")
    assert url("http://h.example/").expressions == ("h.example/",)
    assert url("http://h.example:81/a").expressions == (
        "h.example:81/a", "h.example:81/", "h.example/a", "h.example/",
    )  # fmt: skip


def test_expressions_are_bounded():
    """A path of ten thousand directories costs no more look-ups than the limit."""
    assert len(url("http://h.example/" + "a/" * 10_000 + "b").expressions) == MAX_DIRECTORIES + 1


def test_a_url_hides_in_its_representation():
    """A listed address does not reach a log by way of a traceback."""
    assert "h.example" not in repr(canonical("http://h.example/a"))
