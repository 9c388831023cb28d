from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import BadLine, Entry, ListFormat
from filterproxy.lists.formats import PARSERS, Options


def said(form, text, **options):
    """Return what a format makes of a text: (kind, value, scope, scheme) or the reason of a bad line."""
    items = PARSERS[ListFormat(form)](text.encode().splitlines(keepends=True), Options(**options))
    return [
        (item.kind.value, item.value, item.scope.value, item.scheme) if isinstance(item, Entry) else item.reason
        for item in items
    ]


def test_the_golden_list():
    """Every sort of line that a URL list may hold, and what it means."""
    text = (
        "\ufeff# comment\n\nhttp://H.example/a\nhttps://h.example/b?q=1\nh.example/dir/\nh.example\n"
        "h.example:8080/a\n[2001:db8::1]/a\nhttp://h.example/%2561\n"
        'h.example/a b\n*.h.example/a\nhttp://\nmailto:user@h.example\nh..example/a\nh.example/a/*\n"h.example/a\n'
        "http//h.example/a\nhttps/h.example\n"
    )
    assert said("urls", text) == [
        ("url", "h.example/a", "page", "http"),
        ("url", "h.example/b?q=1", "exact", "https"),
        ("url", "h.example/dir/", "page", ""),
        ("url", "h.example/", "page", ""),
        ("url", "h.example:8080/a", "page", ""),
        ("url", "[2001:db8::1]/a", "page", ""),
        ("url", "h.example/a", "page", "http"),
        "white space inside a URL",
        "a wildcard, which this format does not have",
        "not a URL",
        "not a web address",
        "not a URL",
        "a wildcard, which this format does not have",
        "not a web address",
        "not a web address",
        "not a web address",
    ]


def test_root_is_site():
    """A front page becomes its host where the list says so, a port then stays one."""
    assert said("urls", "h.example\nh.example:81\nh.example/?q\n", root_is_site=True) == [
        ("domain", "h.example", "exact", ""),
        ("url", "h.example:81/", "prefix", ""),
        ("url", "h.example/?q", "exact", ""),
    ]


def test_a_bad_line_of_a_confidential_list_keeps_its_text():
    """The number and the reason are reported, the text only where the list is open."""
    for confidential, text in ((False, "no URL here"), (True, "")):
        (bad,) = PARSERS[ListFormat.URLS]([b"no URL here\n"], Options(confidential=confidential))
        assert isinstance(bad, BadLine)
        assert (bad.line, bad.text) == (1, text)


@pytest.mark.parametrize("form", list(ListFormat))
def test_every_format_has_a_parser(form):
    """A format of the configuration is one that can be read."""
    assert list(PARSERS[form]([], Options())) == []


@given(st.sampled_from(ListFormat), st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_any_bytes_give_entries_or_bad_lines(form, lines, root):
    """Whatever a source holds, a parser never raises, and what it yields has a line of the source."""
    for item in PARSERS[form](lines, Options(root_is_site=root)):
        assert 1 <= item.line <= len(lines)


SEVERAL_A_LINE = {ListFormat.HOSTS, ListFormat.DNSMASQ, ListFormat.SQUIDGUARD}


@given(st.sampled_from(sorted(set(ListFormat) - SEVERAL_A_LINE)), st.text(max_size=40))
def test_any_text_gives_one_item_a_line_at_most(form, text):
    """A line is one entry, one bad line, or nothing, where a line cannot name several."""
    assert len(list(PARSERS[form]([text.encode("utf-8", "surrogatepass")], Options()))) <= 1
