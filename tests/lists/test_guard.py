"""What a list must not block before people have decided it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.model import Action, Entry, Https, Kind, ListFormat, Listing, Scope
from filterproxy.errors import ConfigError
from filterproxy.lists.formats import PARSERS, Options
from filterproxy.lists.guard import Guard, check
from filterproxy.lists.suffixes import Suffixes
from filterproxy.lists.top_sites import TopSites
from filterproxy.settings import load_text

EXACT, TREE, BELOW, PAGE, PREFIX = Scope.EXACT, Scope.TREE, Scope.BELOW, Scope.PAGE, Scope.PREFIX
GUARD = Guard(
    ["isp.co.uk", "portal.example"],
    TopSites(["top.example", "user.blogs.test", "sub.deep.site.test", "192.0.2.7"]),
    Suffixes.icann(),
)
EVERY = ("own", "top-sites", "suffixes")
PLAIN = Listing("plain")
HOSTS = Listing("hosts", https=Https.BLOCK_HOST)
SITES = Listing("sites", root_is_site=True)
WWW = Listing("www", root_is_site=True, www=True)


def hit(entry, listing=PLAIN, kinds=EVERY):
    return GUARD.hit(entry, listing, kinds)


@pytest.mark.parametrize(
    ("name", "scope", "guarded"),
    [
        # public suffixes, in any scope
        ("co.uk", EXACT, "co.uk, a public suffix"),
        ("co.jp", BELOW, "co.jp, a public suffix"),
        ("co.uk", BELOW, "isp.co.uk, one of the operator's own domains"),
        ("anything.ck", TREE, "anything.ck, a public suffix"),
        ("www.ck", TREE, None),
        ("kobe.jp", EXACT, "kobe.jp, a public suffix"),
        ("test", TREE, "test, a public suffix"),
        # top sites, whole
        ("top.example", EXACT, "top.example, one of the top sites"),
        ("top.example", TREE, "top.example, one of the top sites"),
        ("top.example", BELOW, "www.top.example, one of the top sites"),
        ("www.top.example", EXACT, "top.example, one of the top sites"),
        ("www.top.example", TREE, "top.example, one of the top sites"),
        ("www.top.example", BELOW, None),
        ("a.top.example", TREE, None),
        ("nottop.example", TREE, None),
        ("192.0.2.7", EXACT, "192.0.2.7, one of the top sites"),
        ("192.0.2.8", EXACT, None),
        ("blogs.test", EXACT, None),
        ("blogs.test", TREE, "user.blogs.test, one of the top sites"),
        ("blogs.test", BELOW, "user.blogs.test, one of the top sites"),
        ("site.test", TREE, "sub.deep.site.test, one of the top sites"),
        ("other.blogs.test", TREE, None),
        # the operator's own, and whatever is below
        ("isp.co.uk", EXACT, "isp.co.uk, one of the operator's own domains"),
        ("mail.isp.co.uk", EXACT, "isp.co.uk, one of the operator's own domains"),
        ("a.b.isp.co.uk", BELOW, "isp.co.uk, one of the operator's own domains"),
        ("www.portal.example", EXACT, "portal.example, one of the operator's own domains"),
        ("notisp.co.uk", TREE, None),
        ("ordinary.example", TREE, None),
        ("[2001:db8::1]", EXACT, None),
    ],
)
def test_a_domain_entry_is_held_where_it_covers_what_is_guarded(name, scope, guarded):
    """A suffix, a top site or a name of our own is held back whatever the scope covers it; neighbours are not."""
    assert hit(Entry(Kind.DOMAIN, name, scope)) == (guarded and f"would block {guarded}")


@pytest.mark.parametrize(
    ("value", "scope", "listing", "held"),
    [
        ("top.example/bad/page", PAGE, PLAIN, False),  # what URL lists are for
        ("top.example/bad/", PREFIX, PLAIN, False),
        ("top.example/?q=1", EXACT, SITES, False),
        ("top.example/", PAGE, PLAIN, False),  # the front page alone
        ("top.example/", PAGE, SITES, True),
        ("top.example/", PREFIX, PLAIN, True),
        ("top.example:8080/", PREFIX, PLAIN, True),
        ("www.top.example/", PREFIX, PLAIN, True),
        ("top.example/bad/page", PAGE, HOSTS, True),  # DNS and SNI would block the host
        ("top.example:8443/x?y", EXACT, HOSTS, True),
        ("user.top.example/bad", PAGE, HOSTS, False),
        ("blogs.test/", PREFIX, HOSTS, False),  # of that name alone
        ("co.uk/", PREFIX, PLAIN, True),
        ("co.uk/x", PAGE, PLAIN, False),
        ("co.uk/x", PAGE, HOSTS, True),
        ("www.isp.co.uk/x", PAGE, HOSTS, True),
        ("isp.co.uk/x", PAGE, PLAIN, False),
        ("mail.isp.co.uk/", PREFIX, PLAIN, True),
        ("[2001:db8::1]:81/", PREFIX, HOSTS, False),
        ("192.0.2.7/", PREFIX, PLAIN, True),
    ],
)
def test_a_url_entry_is_held_where_it_blocks_a_whole_site(value, scope, listing, held):
    """A page on a top site is not held; its whole site is, also where the list has the host stand for its pages."""
    assert (hit(Entry(Kind.URL, value, scope), listing) is not None) is held


def test_www_is_looked_at_where_the_list_looks_it_up():
    """A list that puts `www.` on or takes it off covers the other spelling as well."""
    guard = Guard([], TopSites(["www.only.example"]), Suffixes.icann())
    entry = Entry(Kind.URL, "only.example/", PREFIX)
    assert guard.hit(entry, PLAIN, EVERY) is None
    assert guard.hit(entry, WWW, EVERY) == "would block www.only.example, one of the top sites"
    site = Entry(Kind.DOMAIN, "only.example", EXACT)  # a front page, where the list says `root = "site"`
    assert guard.hit(site, PLAIN, EVERY) is None
    assert guard.hit(site, WWW, EVERY) == "would block www.only.example, one of the top sites"


@pytest.mark.parametrize(
    ("expression", "scope", "guarded"),
    [
        (r"^top\.example$", Scope.HOST, "top.example, one of the top sites"),
        (r"^www\.top\.", Scope.HOST, "top.example, one of the top sites"),
        (r"blogs", Scope.HOST, "user.blogs.test, one of the top sites"),
        (r"(^|\.)isp\.co", Scope.HOST, "isp.co.uk, one of the operator's own domains"),
        (r"\.uk$", Scope.HOST, "isp.co.uk, one of the operator's own domains"),
        (r"\.com$", Scope.HOST, "com, a public suffix"),
        (r"^ad[0-9]+\.", Scope.HOST, None),
        (r"zqkvx", Scope.HOST, None),
        (r"top\.example/", Scope.URL, "top.example, one of the top sites"),
        (r"^top\.example/$", Scope.URL, None),  # its front page alone
        (r"top\.example/bad", Scope.URL, None),
        (r"/banner/", Scope.URL, None),
        (r"(", Scope.HOST, None),
    ],
)
def test_an_expression_is_held_where_it_is_found_in_what_is_guarded(expression, scope, guarded):
    """Alone or with the others of its list, one that would block a site, or nearly all names, is held back."""
    entry = Entry(Kind.PATTERN, expression, scope)
    assert hit(entry) == (guarded and f"would block {guarded}")
    others = [Entry(Kind.PATTERN, rf"^x{number}\.", Scope.HOST) for number in range(600)]
    [(last, reason)] = [pair for pair in GUARD.sift([entry, *others], PLAIN, EVERY) if pair[0] is entry]
    assert (last, reason) == (entry, hit(entry))


def test_expressions_of_a_whole_list_are_searched_in_every_suffix():
    """Alone, an expression is searched in the shortest suffixes only; with its list in all of them."""
    entry = Entry(Kind.PATTERN, r"^[a-z]+\.gov\.uk$", Scope.HOST)
    assert hit(entry) is None
    assert [reason for _, reason in GUARD.sift([entry], PLAIN, EVERY)] == ["would block gov.uk, a public suffix"]


def test_a_list_is_sifted_as_it_streams_by():
    """Every item comes out once, each held one with its reason, and patterns last."""
    entries = [
        Entry(Kind.PATTERN, r"^top\.", Scope.HOST),
        Entry(Kind.DOMAIN, "top.example", TREE),
        Entry(Kind.DOMAIN, "other.example", TREE),
    ]
    bad = Options().bad(4, "nothing", "")
    found = list(GUARD.sift([*entries, bad], PLAIN, EVERY))
    assert [(item, reason is not None) for item, reason in found] == [
        (entries[1], True), (entries[2], False), (bad, False), (entries[0], True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "listing"),
    [
        (Entry(Kind.DOMAIN, "top.example", TREE, Action.ALLOW), PLAIN),
        (Entry(Kind.PATTERN, "top", Scope.HOST, Action.ALLOW), PLAIN),
        (Entry(Kind.DOMAIN, "top.example", TREE), Listing("a", action=Action.ALLOW)),
        (Entry(Kind.PATTERN, "top", Scope.HOST), Listing("a", action=Action.ALLOW)),
        (Entry(Kind.KEYWORD, "top.example", Scope.SUBSTRING), Listing("k", action=Action.WARN)),
        (Entry(Kind.KEYWORD, "top.example", Scope.SUBSTRING), PLAIN),
        (Entry(Kind.HASH, "md5:00", EXACT), PLAIN),
    ],
)
def test_what_blocks_no_name_is_never_held(entry, listing):
    """Exceptions, lists that allow, flag or warn, keywords and hashes pass."""
    assert hit(entry, listing) is None
    assert [reason for _, reason in GUARD.sift([entry], listing, EVERY)] == [None]


@pytest.mark.parametrize(
    ("name", "kind", "others"),
    [
        ("isp.co.uk", "own", ("top-sites", "suffixes")),
        ("top.example", "top-sites", ("own", "suffixes")),
        ("co.jp", "suffixes", ("own", "top-sites")),
    ],
)
def test_a_list_asks_the_guards_that_it_names(name, kind, others):
    """What a list's `guard` leaves out holds nothing back."""
    entry = Entry(Kind.DOMAIN, name, EXACT)
    assert hit(entry, kinds=(kind,)) is not None
    assert hit(entry, kinds=others) is None
    assert hit(entry, kinds=()) is None


@pytest.mark.parametrize("name", ["isp.co.uk", "mail.isp.co.uk", "top.example", "blogs.test", "co.uk"])
def test_of_a_confidential_list_the_reason_names_nothing(name):
    """A name in the reason would be a listed address: only the guard's sort is said."""
    reason = hit(Entry(Kind.DOMAIN, name, TREE), Listing("secret", confidential=True))
    assert reason in {
        "would block one of the operator's own domains whole", "would block one of the top sites whole",
        "would block a public suffix whole",
    }  # fmt: skip


def test_a_rule_that_leaves_the_site_out_passes():
    """What an entry does not cover it does not block."""
    assert hit(Entry(Kind.DOMAIN, "top.example", TREE, excludes=("top.example",))) is None
    assert hit(Entry(Kind.DOMAIN, "top.example", TREE, excludes=("www.top.example",))) is not None


def settings(path=""):
    top = f'top_sites = "{path}"' if path else ""
    portal = '[portal]\nurl = "https://notice.test:8443"\nnames = ["help.test"]'
    return load_text(f'[operator]\ndomains = ["ISP.example."]\n{top}\n{portal}')


def test_the_guard_of_a_configuration_knows_the_portal():
    """The operator's domains and every host of the portal are ours, in one spelling."""
    guard = Guard.of(settings())
    for name in ("isp.example", "notice.test", "help.test"):
        assert guard.hit(Entry(Kind.DOMAIN, name, EXACT), PLAIN, ("own",)) is not None
    check(settings())
    for make in (Guard.of, check):
        with pytest.raises(ConfigError, match=r"^operator.domains.0: not a domain name$"):
            make(load_text('[operator]\ndomains = ["a b"]'))


def test_the_sites_are_read_again_when_the_file_changes_and_kept_when_it_turns_bad(tmp_path, caplog):
    """A new file counts at once; a missing or bad one is a ConfigError at start and leaves the last one later."""
    path = tmp_path / "top.csv"
    for make in (Guard.of, check):
        with pytest.raises(ConfigError, match="operator.top_sites"):
            make(settings(path))
    path.write_text("1,one.example\n")
    first = Guard.of(settings(path))
    assert first.renewed(settings(path)) is first
    one, two = (Entry(Kind.DOMAIN, name, EXACT) for name in ("one.example", "two.example"))
    path.write_text("1,one.example\n2,two.example\n")
    second = first.renewed(settings(path))
    assert second.fingerprint != first.fingerprint
    assert (first.hit(two, PLAIN, EVERY), second.hit(two, PLAIN, EVERY) is not None) == (None, True)
    with caplog.at_level(logging.ERROR):
        path.write_text("1,one.example\nnonsense here\n")
        third = second.renewed(settings(path))
        assert third.renewed(settings(path)) is third
        path.unlink()
        fourth = third.renewed(settings(path))
        assert fourth.renewed(settings(path)) is fourth
    assert len(caplog.records) == 2
    assert second.fingerprint == third.fingerprint == fourth.fingerprint
    assert fourth.hit(one, PLAIN, EVERY) is not None
    path.write_text("1,one.example\n")
    assert fourth.renewed(settings(path)).fingerprint == first.fingerprint


def test_the_fingerprint_changes_with_everything_that_is_guarded():
    """Own domains, sites and suffixes each count; the order in which own domains are written does not."""
    icann, sites = Suffixes.of("com"), TopSites(["a.example"])
    prints = {
        Guard(own, top, rules).fingerprint
        for own, top, rules in [
            (["a.test"], sites, icann),
            (["a.test", "b.test"], sites, icann),
            (["b.test", "a.test"], sites, icann),
            (["a.test"], TopSites(), icann),
            (["a.test"], sites, Suffixes.of("org")),
        ]
    }
    assert len(prints) == 4
    assert all(len(text) == 32 for text in prints)


WORDS = ("top.example", "co.uk", "||", "^", "@@", "/", "*", ".", "www.", "0.0.0.0", "a", ":80", ",", "CNAME", " ")
LINES = st.lists(st.lists(st.sampled_from(WORDS)).map("".join).map(str.encode))


@given(LINES, st.sampled_from(ListFormat), st.sampled_from([PLAIN, HOSTS, SITES, WWW]))
def test_whatever_a_format_says_is_judged(lines, form, listing):
    """Every entry of every format gets a reason or none, and never an exception."""
    items = list(PARSERS[form](lines, Options(listing.root_is_site)))
    for item, reason in GUARD.sift(items, listing, EVERY):
        assert reason is None or reason.startswith("would block ")
        if isinstance(item, Entry):
            alone = GUARD.hit(item, listing, EVERY)
            assert alone is None or reason is not None
    assert sum(1 for _ in GUARD.sift(items, listing, EVERY)) == len(items)


NAMES = st.lists(st.sampled_from(["top", "example", "www", "co", "uk", "blogs", "test", "isp", "user"]), min_size=1)


@given(NAMES.map(".".join), st.sampled_from([EXACT, TREE, BELOW]))
def test_nothing_guarded_slips_by_the_quick_look(name, scope):
    """The table of marks leaves out nothing that the slow look would find."""
    slow = GUARD._said(GUARD._found(name, scope, (), EVERY), PLAIN)
    assert hit(Entry(Kind.DOMAIN, name, scope)) == slow
