from __future__ import annotations

from filterproxy.core.model import BadLine, Entry, Kind, Scope
from filterproxy.lists.compile import compile_segment
from tests.policies import KEY, NOW, entries, table


def test_the_same_entries_make_the_same_version():
    """Order, repetition and time make no other list; one entry more does."""
    of = table("a", "urls")
    lines = ["h.example/a", "h.example/b?x", "g.example/"]
    one = compile_segment("list:a", entries(of, lines), KEY, of.listing, loaded_at=NOW)
    two = compile_segment("list:a", entries(of, [*reversed(lines), *lines]), KEY, of.listing)
    more = compile_segment("list:a", entries(of, [*lines, "g.example/c"]), KEY, of.listing)
    assert one.version == two.version != more.version
    assert one.shares == two.shares


def test_shares_count_what_there_is():
    """Domains, URLs, plain ones among these, terms: each entry once."""
    of = table("a", "urls", root="site")
    found = [
        *entries(of, ["h.example/a", "http://h.example/b", "g.example", "h.example/a"]),
        Entry(Kind.KEYWORD, "gadget", Scope.WORD),
    ]
    shares = compile_segment("list:a", found, KEY, of.listing).shares
    assert (shares.domains, shares.urls, shares.plain_urls, shares.terms, shares.entries) == (1, 2, 1, 1, 4)


def test_how_far_a_list_is_enforced_is_part_of_its_version():
    """The same pages written with another scheme, or with bad lines beside, are another version."""
    of = table("a", "urls")
    one, two = (
        compile_segment("list:a", entries(of, [line]), KEY) for line in ("http://h.example/", "https://h.example/")
    )
    three = compile_segment("list:a", [*entries(of, ["http://h.example/"]), BadLine(2, "no")], KEY)
    assert len({one.version, two.version, three.version}) == 3
    assert three.shares.bad_lines == 1


def test_nothing_of_a_list_shows_in_representations():
    """A traceback that prints what was compiled prints no entry."""
    of = table("a", "urls")
    found = entries(of, ["h.example/a"])
    assert "h.example" not in repr((found, compile_segment("list:a", found, KEY, of.listing)))
