from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterproxy.core.decide import decide
from filterproxy.core.model import Action, DnsAnswer, Entry, Https, Kind, ListFormat, Listing, Question, Scope
from filterproxy.core.policy import Override, Policy
from filterproxy.dns.transfer.coverage import DEEPEST
from filterproxy.dns.transfer.zone import Manner, build
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.publish import policy_of
from filterproxy.lists.refresh import compile_overrides
from filterproxy.settings import Settings
from tests.dns.transfer.zones import NAME, by_closest, by_longest, names, said, zone
from tests.policies import KEY, NOW, table

DENIED, EMPTY, SPARED = (frozenset({("CNAME", target)}) for target in (".", "*.", "rpz-passthru."))
NULL = frozenset({("A", "0.0.0.0"), ("AAAA", "::")})
NOTICE = frozenset({("A", "192.0.2.1")})
ANSWERS = {
    DnsAnswer.NODATA: EMPTY, DnsAnswer.REFUSED: EMPTY, DnsAnswer.NULL: NULL, DnsAnswer.NOTICE: NOTICE,
}  # fmt: skip


def spared(text, scope=Scope.TREE):
    """Return an exception."""
    return Entry(Kind.DOMAIN, text, scope, Action.ALLOW)


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (names("a.example"), {"a.example": EMPTY}),
        (names("*.a.example"), {"*.a.example": DENIED}),
        (names("a.example."), {"a.example": DENIED, "*.a.example": DENIED}),
        (names("a.example", "*.a.example"), {"a.example": EMPTY, "*.a.example": DENIED}),
        (names("a.example.", "b.a.example."), {"a.example": DENIED, "*.a.example": DENIED}),
        ([*names("a.example."), spared("a.example")], {}),
        ([*names("a.example."), spared("a.example", Scope.EXACT)], {"*.a.example": DENIED}),
        ([*names("b.example"), spared("a.b.example")], {"b.example": EMPTY}),
        (
            [*names("a.example."), spared("c.b.a.example")],
            {
                "a.example": EMPTY, "*.a.example": DENIED, "b.a.example": EMPTY, "*.b.a.example": DENIED,
                "c.b.a.example": SPARED, "*.c.b.a.example": SPARED,
            },
        ),
        ([Entry(Kind.URL, "a.example/x", Scope.PAGE)], {}),
    ],
)  # fmt: skip
def test_a_scope_becomes_the_name_what_is_below_it_or_both(entries, found):
    """Exact is the name, below the wildcard, tree both; NXDOMAIN is said only where all below is blocked."""
    assert said(zone(entries)) == found


@pytest.mark.parametrize(("how", "answer"), ANSWERS.items())
def test_a_zone_answers_as_the_list_does(how, answer):
    """Every answer of a list has its records; what a zone cannot say is an empty answer."""
    manner = Manner(NAME, Listing("list", dns=how), notice=("192.0.2.1",))
    assert said(build(names("a.example."), manner, now=NOW)) == {"a.example": answer, "*.a.example": answer}


def test_a_notice_without_addresses_is_an_empty_answer():
    """A list that leads to a notice nobody serves still blocks."""
    assert said(zone(names("a.example"), Listing("list", dns=DnsAnswer.NOTICE))) == {"a.example": EMPTY}


def test_what_no_zone_can_say_is_counted():
    """URLs, words, expressions, hashes, addresses and names that would not fit are counted, not bent."""
    found = zone([
        Entry(Kind.URL, "a.example/x", Scope.PAGE),
        Entry(Kind.URL, "a.example/y", Scope.PAGE, Action.ALLOW),
        Entry(Kind.KEYWORD, "word", Scope.WORD),
        Entry(Kind.PATTERN, "ads[0-9]", Scope.HOST),
        Entry(Kind.HASH, f"sha256:{'0' * 64}", Scope.EXACT),
        *names("192.0.2.1", "[2001:db8::1]"),
        *names(".".join(["a" * 49] * 5), f"{'a' * 64}.example", "x*y.example"),
        *names("32.1.2.0.192.rpz-ip", "*.rpz-client-ip"),
        *names("b.example"),
    ])  # fmt: skip
    counted = {"url": 1, "keyword": 1, "pattern": 1, "hash": 1, "address": 2, "name": 5}
    assert (dict(found.unenforceable), set(said(found))) == (counted, {"b.example"})


def test_a_name_as_long_as_a_name_can_be_stands_in_the_zone():
    """Only what does not fit is left out: the name may fit where the wildcard does not."""
    longest = ".".join(["a" * 49] * 4 + ["b" * (255 - 4 * 50 - len(NAME) - 3)])
    found = zone(names(f"{longest}.", f"c{longest}."))
    assert (dict(found.unenforceable), set(said(found))) == ({"name": 2}, {longest})


def test_a_listed_host_with_a_star_is_no_wildcard():
    """A URL's host may hold a star; it must not become a rule for all names."""
    listing = Listing("list", https=Https.BLOCK_HOST)
    entries = [Entry(Kind.URL, "*.example/x", Scope.PAGE), Entry(Kind.URL, "*/x", Scope.PAGE)]
    assert said(zone(entries, listing)) == {}


def test_depth_costs_a_bounded_number_of_records():
    """Names far below a listed one would each bring all that is between: beyond a bound they are counted."""
    deep = ".".join("x" * 60)
    found = zone([*names("example."), *(spared(f"{deep}.{n}.example") for n in range(100))])
    assert dict(found.unenforceable) == {"name": 100}
    assert len(found) <= 100 * 2 * DEEPEST


def test_what_counts_now_counts():
    """Validity and territory are as everywhere, and it is told when they next change something."""
    early, late, day = NOW - timedelta(days=1), NOW + timedelta(days=2), timedelta(days=1)
    a, b, c, d, e = names("a.example", "b.example", "c.example", "d.example", "e.example")
    found = build(
        [a._replace(not_after=late), b._replace(not_after=early), c._replace(not_before=late - day),
         d._replace(territories=frozenset({"GB"}), not_before=late - 2 * day),
         e._replace(territories=frozenset({"FR"}))],
        Manner(NAME, Listing("list"), territory=frozenset({"FR"})), now=NOW,
    )  # fmt: skip
    assert (set(said(found)), found.next_change) == ({"a.example", "e.example"}, late - day)


def test_an_override_ends():
    """What an override spares is blocked again when it ends, and then the zone is to be built anew."""
    override = spared("a.example", Scope.TREE)._replace(not_after=NOW + timedelta(hours=1))
    manner = Manner(NAME, Listing("list"))
    free = build(names("a.example."), manner, [override], now=NOW)
    again = build(names("a.example."), manner, [override], now=NOW + timedelta(hours=1))
    assert (said(free), free.next_change) == ({}, override.not_after)
    assert (set(said(again)), again.next_change) == ({"a.example", "*.a.example"}, None)


def test_the_same_list_is_the_same_zone_in_any_order():
    """Order and repetition change nothing, any entry and the key do."""
    entries = names("a.example.", "b.example", "c.a.example", "d.example")
    one, other = zone(entries), zone([*reversed(entries), *entries])
    assert bytes(one.records.packed) == bytes(other.records.packed)
    assert one.digest(KEY) == other.digest(KEY) != one.digest(b"other")
    assert zone(entries[1:]).digest(KEY) != one.digest(KEY) != zone(entries, ttl=30).digest(KEY)


def test_the_manner_of_a_list_is_that_of_the_configuration():
    """Its zone is named after it, and answers as long as our own answers hold."""
    configured = Settings.model_validate(
        {
            "operator": {"territory": ["FR"]},
            "dns": {"block_ttl": 45, "notice_addresses": ["192.0.2.1"], "transfer": {"zone": "rpz.example"}},
        }
    )
    found = Manner.of(configured, table("list", None), ListFormat.ADBLOCK)
    assert found.name == NAME
    assert found.listing.format is ListFormat.ADBLOCK
    assert (found.ttl, found.notice, found.territory) == (45, ("192.0.2.1",), frozenset({"FR"}))
    assert Manner.of(configured, table("list")).listing.format is ListFormat.DOMAINS


def test_representations_tell_no_name():
    """What ends up in a log or a traceback holds no entry."""
    found = zone(names("secret.example"))
    assert "secret" not in repr(found) + repr(found.records)


# The measure of exactness: a zone says of any name what our own answer says.

LABELS = st.sampled_from(["a", "b", "www"])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example"]))


def entry(kind, value, scope, action, not_after, important=False, excludes=()):
    """Return an entry; hypothesis would fill every other field too."""
    return Entry(kind, value, scope, action, not_after=not_after, important=important, excludes=excludes)


DOMAINS = st.builds(
    entry, st.just(Kind.DOMAIN), HOSTS, st.sampled_from([Scope.EXACT, Scope.BELOW, Scope.TREE]),
    st.sampled_from([Action.BLOCK, Action.BLOCK, Action.ALLOW]), important=st.booleans(),
    not_after=st.sampled_from([None, None, NOW - timedelta(1), NOW + timedelta(1)]),
    excludes=st.one_of(st.just(()), st.lists(HOSTS, max_size=2).map(tuple)),
)  # fmt: skip
URLS = st.builds(
    entry, st.just(Kind.URL), st.builds("{}{}/{}".format, HOSTS, st.sampled_from(["", ":8080"]), LABELS),
    st.sampled_from([Scope.PAGE, Scope.EXACT]), st.sampled_from([Action.BLOCK, Action.ALLOW]),
    not_after=st.sampled_from([None, None, NOW - timedelta(1), NOW + timedelta(1)]),
)  # fmt: skip
LISTINGS = st.builds(
    Listing, st.just("list"), dns=st.sampled_from(DnsAnswer), https=st.sampled_from(Https), www=st.booleans(),
    root_is_site=st.booleans(), mandatory=st.booleans(),
    format=st.sampled_from([ListFormat.DOMAINS, ListFormat.ADBLOCK, ListFormat.URLS]),
)  # fmt: skip


def policy(listing: Listing, entries, overrides) -> Policy:
    """Return the policy of one list and what is spared from it."""
    configured = Settings.model_validate({"lists": [table("list")]})
    stored = [Override(f"o{n}", "list", item, NOW + timedelta(5)) for n, item in enumerate(overrides)]
    listed = [compile_segment("list:list", entries, KEY, listing, loaded_at=NOW).segment()]
    made = compile_overrides(stored, cast("Settings", _Listed(listing)), KEY)
    found = policy_of(configured, [*listed, *(item.segment() for item in made)], KEY, 1, {})
    return Policy(found.bundle, [listing])


class _Listed:
    """Settings whose one list is this."""

    def __init__(self, listing):
        self.listings = [listing]


def expected(listing: Listing, verdict) -> frozenset[tuple[str, str]]:
    """Return what a zone must say for what our own answer would be."""
    if not verdict.blocked:
        return frozenset()
    if listing.dns is DnsAnswer.NXDOMAIN:
        return DENIED if verdict.match.covers_below else EMPTY
    return ANSWERS[listing.dns]


@settings(max_examples=400, deadline=None)
@given(
    LISTINGS, st.lists(st.one_of(DOMAINS, URLS), max_size=6),
    st.lists(st.one_of(DOMAINS, URLS).map(lambda entry: entry._replace(excludes=(), not_after=None)), max_size=2),
    st.lists(HOSTS, min_size=1, max_size=20), st.booleans(),
)  # fmt: skip
def test_a_zone_says_of_any_name_what_our_own_answer_says(listing, entries, overrides, asked, urls_again):
    """For any list and name, whichever way a resolver looks a zone up, its answer is ours."""
    if urls_again:  # overrides of the very URLs that are listed
        overrides += [entry for entry in entries if entry.kind is Kind.URL]
    ours = policy(listing, entries, overrides)
    ending = [entry._replace(not_after=NOW + timedelta(5)) for entry in overrides]
    manner = Manner(NAME, listing, notice=("192.0.2.1",))
    found = said(build(entries, manner, ending, now=NOW))
    for name in {
        *asked,
        *(f"new.{name}" for name in asked),
        *(f"new.new.{name}" for name in asked),
        "example",
        "new.example",
    }:
        wanted = expected(listing, decide(Question("default", name), ours, NOW))
        for looked_up in (by_longest, by_closest):
            answer = looked_up(found, name)
            assert (frozenset() if answer == SPARED else answer) == wanted, (name, looked_up.__name__, found)


@settings(max_examples=100, deadline=None)
@given(st.lists(DOMAINS, max_size=5), st.lists(HOSTS, min_size=1, max_size=10), st.booleans())
def test_an_expression_that_spares_is_heeded_for_every_listed_name(entries, asked, important):
    """What an exception by expression spares of the listed names is spared; and nothing is NXDOMAIN beside it."""
    listing = Listing("list", format=ListFormat.ADBLOCK)
    entries.append(Entry(Kind.PATTERN, "^b[.]", Scope.HOST, Action.ALLOW, important=important))
    ours = policy(listing, entries, [])
    found = zone(entries, listing)
    assert found.unenforceable["exception"] == 1
    for name in asked:
        wanted = expected(listing, decide(Question("default", name), ours, NOW))
        answer = by_longest(said(found), name)
        answer = frozenset() if answer == SPARED else answer
        assert answer == wanted or (name not in said(found) and name.startswith("b.") and answer == EMPTY)


def test_the_format_decides_which_exception_wins():
    """In an AdBlock list an important rule beats an exception, however near."""
    entries = [names("a.example.")[0]._replace(important=True), spared("b.a.example")]
    assert "b.a.example" not in said(zone(entries, replace(Listing("list"), format=ListFormat.ADBLOCK)))
    assert said(zone(entries))["b.a.example"] == SPARED
