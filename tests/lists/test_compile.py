from __future__ import annotations

import pytest

from filterproxy.core.membership import digest
from filterproxy.core.model import Action, BadLine, Entry, Kind, Scope
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.entries import unpacked
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


@pytest.mark.parametrize(("confidential", "kept"), [(True, ""), (False, "case-7")])
def test_a_reference_of_a_confidential_list_reaches_no_worker(confidential, kept):
    """It may be the address itself; it stays with the sealed entries alone."""
    listing = table("x", "urls", confidential=confidential).listing
    entry = Entry(Kind.URL, "a.example/page", Scope.PAGE, reference="case-7")
    compiled = compile_segment("list:x", [entry], KEY, listing)
    references = {facts.reference for _, facts in compiled.segment().membership.find(digest("a.example/page", KEY))}
    assert references == {kept}
    assert next(unpacked(compiled.entries)).reference == "case-7"


def test_what_spares_a_list_is_kept_as_its_entries_are():
    """Sealed: zones for other resolvers are made of both."""
    entry = Entry(Kind.DOMAIN, "a.example", Scope.EXACT, Action.ALLOW)
    assert list(unpacked(compile_segment("override:x", [entry], KEY).entries)) == [entry]
    assert not compile_segment("profile:x", [entry], KEY).entries
