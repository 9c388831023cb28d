from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.decide import decide, shared, strictest
from filterproxy.core.expressions import expressions
from filterproxy.core.model import Action, Body, Connection, Entry, Kind, Question, Request, Scope, Verdict
from tests.policies import NOW, build, override, table
from tests.policies import url as url_of

MANDATORY = table("law", "urls", mandatory=True, basis="law", https="inspect")
URLS = table("urls", "urls")
DOMAINS = table("domains", "domains")
ALLOWS = table("good", "domains", action="allow")
WORDS = table("words", "keywords")


def request(url, profile="default"):
    """Return the request of a URL."""
    return Request(profile, "GET", url_of(url))


def judged(policy, url, now=NOW, profile="default"):
    """Return the verdict on a URL's request."""
    return decide(request(url, profile), policy, now)


def below(policy, name):
    """Tell whether a name is blocked with all that is below it."""
    verdict = decide(Question("default", name), policy, NOW)
    assert verdict.blocked
    assert verdict.match is not None
    return verdict.match.covers_below


@pytest.mark.parametrize(
    ("spelling", "listed"),
    [
        ("http://EXAMPLE.com./%67allery/../gallery/1", True),
        ("https://example.com/gallery/1?any=query#f", True),
        ("http://example.com:8080/gallery/1", True),
        ("http://user@example.com//gallery/./1", True),
        ("http://notexample.com/gallery/1", False),
        ("http://example.com.other.test/gallery/1", False),
        ("http://example.com/gallery/11", False),
        ("http://example.com/gallery/1/", False),
        ("http://example.com/gallery/", False),
        ("http://example.com/", False),
        ("http://www.example.com/gallery/1", False),
        ("http://safe.example/?next=http://example.com/gallery/1", False),
    ],
)
def test_a_url_entry_covers_every_spelling_of_that_page_and_no_other(spelling, listed):
    """A listed page is blocked however it is spelled, and its neighbours are not."""
    assert judged(build({URLS: ["example.com/gallery/1"]}), spelling).blocked is listed


@pytest.mark.parametrize(
    ("line", "url", "listed"),
    [
        ("h.example/a?x=1", "http://h.example/a?x=1", True),
        ("h.example/a?x=1", "http://h.example/a", False),
        ("h.example/a?x=1", "http://h.example/a?x=12", False),
        ("h.example/dir/", "http://h.example/dir/?q", True),
        ("h.example/dir/", "http://h.example/dir/x", False),
        ("h.example/dir/", "http://h.example/dir", False),
        ("h.example", "http://h.example/", True),
        ("h.example", "http://h.example/x", False),
        ("h.example:81/a", "http://h.example:81/a", True),
        ("h.example:81/a", "http://h.example/a", False),
        ("https://h.example/a", "http://h.example/a", True),
        ("http://192.0.2.7:4000/bin", "http://192.0.2.7:4000/bin", True),
    ],
)
def test_a_line_means_its_page_or_that_exact_url(line, url, listed):
    """With a query that one, without it any query, a final slash is a page, a port counts where it is named."""
    assert judged(build({URLS: [line]}), url).blocked is listed


@pytest.mark.parametrize(
    ("line", "name", "covered", "all_below"),
    [
        ("a.example", "a.example", True, True),
        ("a.example", "b.a.example", True, True),
        ("a.example", "ba.example", False, False),
        ("a.example", "example", False, False),
        ("*.a.example", "a.example", False, False),
        ("*.a.example", "b.a.example", True, True),
        ("192.0.2.1", "192.0.2.1", True, False),
    ],
)
def test_a_domain_entry_covers_its_scope_at_label_bounds(line, name, covered, all_below):
    """Tree covers the name and all below, below only what is under it; `covers_below` allows NXDOMAIN (RFC 8020)."""
    verdict = decide(Question("default", name), build({DOMAINS: [line]}), NOW)
    assert verdict.blocked is covered
    assert (verdict.match.covers_below if verdict.match else False) is all_below


def test_exact_domains_leave_what_is_below():
    """`subdomains = false` blocks the name alone."""
    policy = build({table("hosts", "domains", subdomains=False): ["a.example"]})
    assert not below(policy, "a.example")
    assert not decide(Question("default", "b.a.example"), policy, NOW).blocked


def test_an_exception_below_a_name_denies_it_nxdomain():
    """Where anything below is spared, the name above must not be denied with all below it."""
    policy = build({DOMAINS: ["a.example"], ALLOWS: ["good.a.example"]})
    assert not below(policy, "a.example")
    assert below(policy, "x.a.example")
    assert not decide(Question("default", "good.a.example"), policy, NOW).blocked


def test_the_front_page_is_the_site_only_where_the_list_says_so():
    """`root = "site"` makes the host of a front page an exact domain entry."""
    site = table("sites", "urls", root="site")
    policy = build({site: ["http://h.example/", "g.example:81/"]})
    assert judged(policy, "http://h.example/any").blocked
    assert not judged(policy, "http://b.h.example/any").blocked
    assert decide(Question("default", "h.example"), policy, NOW).blocked
    assert judged(policy, "http://g.example:81/any").blocked
    assert not judged(policy, "http://g.example/any").blocked


def test_www_is_put_on_and_taken_off_only_where_the_list_says_so():
    """`www = true` looks the page up under both names."""
    policy = build({table("w", "urls", www=True): ["h.example/a", "www.g.example/b"]})
    assert judged(policy, "http://www.h.example/a").blocked
    assert judged(policy, "http://g.example/b").blocked
    assert not judged(policy, "http://www.www.g.example/b").blocked
    assert not judged(build({URLS: ["h.example/a"]}), "http://www.h.example/a").blocked


@pytest.mark.parametrize(
    ("https", "question", "connection"),
    [("pass", "allow", "allow"), ("inspect", "inspect", "inspect"), ("block-host", "block", "block")],
)
def test_a_url_becomes_its_host_only_on_purpose(https, question, connection):
    """Only `https = "block-host"` makes a page stand for its host, where no more than the host is seen."""
    policy = build({table("u", "urls", https=https): ["h.example/a"]})
    assert decide(Question("default", "h.example"), policy, NOW).action == question
    assert decide(Connection("default", "h.example"), policy, NOW).action == connection
    assert not judged(policy, "http://h.example/other").blocked
    assert judged(policy, "https://h.example/other").blocked is (https == "block-host")
    assert judged(policy, "https://h.example/a").blocked
    assert not decide(Question("default", "b.h.example"), policy, NOW).blocked


def test_overriding_every_page_of_a_host_frees_the_host():
    """A host blocked for its pages is free once all of them are spared, and not before."""
    of = table("u", "urls", https="block-host")
    one, two = (override("u", Entry(Kind.URL, f"h.example/{page}", Scope.PAGE)) for page in "ab")
    lines = ["h.example/a", "h.example/b"]
    assert decide(Connection("default", "h.example"), build({of: lines}, overrides=[one]), NOW).blocked
    assert not decide(Connection("default", "h.example"), build({of: lines}, overrides=[one, two]), NOW).blocked


@pytest.mark.parametrize(
    ("spared", "free"),
    [
        ([("h.example/a", "page"), ("h.example/a", "page")], False),
        ([("h.example/a", "page"), ("h.example/gone", "page")], False),
        ([("h.example/a", "page"), ("h.example/b?q", "exact")], False),
        ([("h.example/a", "page"), ("h.example:81/b", "page")], False),
        ([("h.example/a", "page"), ("h.example/b", "page")], True),
        ([("h.example", "domain")], True),
    ],
)
def test_a_host_is_freed_by_what_was_listed_and_not_by_numbers(spared, free):
    """Two overrides for one page, or one for a page no longer listed, free nothing else (T3)."""
    of = table("u", "urls", https="block-host")
    overrides = []
    for number, (value, scope) in enumerate(spared):
        host = scope == "domain"
        entry = Entry(Kind.DOMAIN if host else Kind.URL, value, Scope.EXACT if host else Scope(scope))
        overrides.append(replace(override("u", entry, until=NOW + timedelta(days=number + 1)), id=f"o{number}"))
    policy = build({of: ["h.example/a", "h.example/b"]}, overrides=overrides)
    assert decide(Connection("default", "h.example"), policy, NOW).blocked is not free


@pytest.mark.parametrize(
    ("line", "url", "listed"),
    [
        ("http://h.example:443/a", "https://h.example/a", True),
        ("h.example:0443/a", "https://h.example/a", True),
        ("h.example:443/a", "http://h.example/a", False),
        ("https://g.example:80/a", "http://g.example/a", True),
        ("https://g.example:80/a", "https://g.example/a", False),
        ("https://g.example:443/a", "http://g.example/a", True),
    ],
)
def test_a_named_port_is_the_port_that_is_connected_to(line, url, listed):
    """Also where the request's scheme leaves it unsaid; a scheme's own port names none."""
    assert judged(build({URLS: [line]}), url).blocked is listed


def test_a_site_is_listed_under_both_names_where_www_is_asked_for():
    """`root = "site"` with `www = true` covers no less than the page would."""
    policy = build({table("sites", "urls", root="site", www=True): ["h.example", "www.g.example"]})
    for name in ("h.example", "www.h.example", "g.example", "www.g.example"):
        assert judged(policy, f"http://{name}/any").blocked


def test_a_deep_url_is_hashed_once_for_all_lists(monkeypatch):
    """However many lists have pages on a host, a URL costs its length once."""
    from filterproxy.core import cover

    calls = []

    def counted(*args, **how):
        calls.append(args)
        return expressions(*args, **how)

    monkeypatch.setattr(cover, "expressions", counted)
    policy = build({table(f"u{number}", "urls"): ["h.example/a"] for number in range(5)})
    assert not judged(policy, "http://h.example/" + "d/" * 300).blocked
    assert len(calls) == 1


def test_an_override_spares_from_a_failed_list_too():
    """What was decided holds while the list it was decided for cannot be read."""
    of = table("c", "domains", on_failure="closed")
    policy = build({of: None}, overrides=[override("c", Entry(Kind.DOMAIN, "a.example", Scope.EXACT))])
    assert not decide(Question("default", "a.example"), policy, NOW).blocked
    assert decide(Question("default", "b.example"), policy, NOW).unavailable


def test_rank_follows_the_list():
    """A mandatory list is above the profile, the profile above subscribed lists, these above keywords."""
    lists = {MANDATORY: ["m.example/a"], DOMAINS: ["m.example", "s.example"], WORDS: ["gadget"]}
    everyone = {"id": "p", "networks": ["0.0.0.0/0"], "allow": ["m.example", "s.example"], "deny": ["d.example"]}
    policy = build(lists, [everyone])
    assert judged(policy, "http://m.example/a", profile="p").match.listing.id == "law"
    spared = judged(policy, "http://s.example/", profile="p")
    assert (spared.action, spared.match.listing.id, spared.spared_by.listing.id) == ("allow", "domains", "profile:p")
    denied = judged(policy, "http://d.example/", profile="p")
    assert (denied.action, denied.listing.basis, denied.listing.ede) == ("block", "subscriber", 17)
    assert judged(policy, "http://x.example/gadget", profile="p").action is Action.FLAG
    assert judged(policy, "http://s.example/gadget", profile="p").action is Action.ALLOW


def test_deny_beats_allow_in_a_profile():
    """What a profile denies it does not allow."""
    policy = build({}, [{"id": "p", "networks": ["::/0"], "allow": ["a.example"], "deny": ["a.example"]}])
    assert decide(Question("p", "a.example"), policy, NOW).blocked


def test_a_list_counts_only_where_it_is_subscribed_or_mandatory():
    """A profile that leaves a list is not judged by it, unless the list is mandatory."""
    policy = build(
        {DOMAINS: ["s.example"], MANDATORY: ["m.example/a"]}, [{"id": "p", "networks": ["::/0"], "lists": []}]
    )
    assert not judged(policy, "http://s.example/", profile="p").blocked
    assert judged(policy, "http://m.example/a", profile="p").blocked


def test_a_list_that_allows_spares_subscribed_lists_and_no_mandatory_one():
    """An allow list reaches other subscribed lists only."""
    policy = build({MANDATORY: ["m.example/a"], ALLOWS: ["m.example", "s.example"], DOMAINS: ["s.example"]})
    assert judged(policy, "http://m.example/a").blocked
    verdict = judged(policy, "http://s.example/")
    assert (verdict.blocked, verdict.spared_by.listing.id) == (False, "good")


@pytest.mark.parametrize(
    ("blocked", "spared", "url", "outcome"),
    [
        (("a.example", "tree"), ("b.a.example", "tree"), "http://b.a.example/", False),
        (("b.a.example", "tree"), ("a.example", "tree"), "http://b.a.example/", True),
        (("a.example", "tree"), ("a.example", "tree"), "http://a.example/", False),
        (("a.example", "exact"), ("a.example", "tree"), "http://a.example/", True),
        (("a.example", "tree"), ("a.example/page", "page"), "http://a.example/page", False),
        (("a.example", "tree"), ("a.example/page", "page"), "http://a.example/other", True),
        (("a.example/p?x", "exact"), ("a.example/p", "page"), "http://a.example/p?x", True),
        (("a.example/d/", "prefix"), ("a.example/d/e/", "prefix"), "http://a.example/d/e/f", False),
        (("a.example:81/d", "page"), ("a.example/d", "page"), "http://a.example:81/d", True),
    ],
)
def test_within_a_list_the_most_specific_wins_and_at_a_tie_the_exception(blocked, spared, url, outcome):
    """A list's own exceptions count, of whatever rank the list is."""

    def entry(said, action):
        value, scope = said
        return Entry(Kind.URL if "/" in value else Kind.DOMAIN, value, Scope(scope), action)

    extra = {"domains": [entry(blocked, Action.BLOCK), entry(spared, Action.ALLOW)]}
    assert judged(build({DOMAINS: []}, extra=extra), url).blocked is outcome


def test_an_override_spares_the_listing_it_names_and_nothing_else():
    """Neither another list nor another page is spared."""
    other = table("other", "urls")
    page = Entry(Kind.URL, "h.example/a", Scope.PAGE)
    lists = {URLS: ["h.example/a", "h.example/b"]}
    spared = judged(build(lists, overrides=[override("urls", page)]), "http://h.example/a")
    assert (spared.blocked, spared.spared_by.reference) == (False, "o1")
    assert judged(build(lists, overrides=[override("urls", page)]), "http://h.example/b").blocked
    both = build({**lists, other: ["h.example/a"]}, overrides=[override("urls", page)])
    assert judged(both, "http://h.example/a").match.listing.id == "other"


def test_only_an_override_spares_a_mandatory_list():
    """Made for that list, it does."""
    page = Entry(Kind.URL, "m.example/a", Scope.PAGE)
    policy = build({MANDATORY: ["m.example/a"]}, overrides=[override("law", page)])
    assert not judged(policy, "http://m.example/a").blocked


def test_validity_and_valid_until():
    """An entry counts from its first moment to its last, and the verdict says when it may change."""
    start, end = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    entry = Entry(Kind.DOMAIN, "a.example", Scope.TREE, not_before=start, not_after=end)
    policy = build({DOMAINS: []}, extra={"domains": [entry]})
    for now, blocked, until in ((NOW, False, start), (start, True, end), (end, False, None)):
        verdict = decide(Question("default", "a.example"), policy, now)
        assert (verdict.blocked, verdict.valid_until) == (blocked, until)


def test_an_override_ends_and_the_verdict_says_when():
    """What an override spared is blocked again when it expires."""
    end = NOW + timedelta(days=1)
    policy = build(
        {DOMAINS: ["a.example"]},
        overrides=[override("domains", Entry(Kind.DOMAIN, "a.example", Scope.EXACT), until=end)],
    )
    assert judged(policy, "http://a.example/").valid_until == end
    assert not judged(policy, "http://a.example/").blocked
    assert judged(policy, "http://a.example/", end).blocked


def test_an_entry_counts_in_its_territories():
    """An entry for elsewhere is not for here."""
    entry = Entry(Kind.DOMAIN, "a.example", Scope.TREE, territories=frozenset({"FR", "BE"}))
    for here, blocked in ((["BE"], True), (["GB"], False), ([], False)):
        policy = build({DOMAINS: []}, extra={"domains": [entry]}, operator={"territory": here})
        assert judged(policy, "http://a.example/").blocked is blocked


@pytest.mark.parametrize(
    ("of", "lines", "age", "refused"),
    [
        (table("c", "domains", on_failure="closed"), None, 0, True),
        (table("c", "domains", on_failure="open"), None, 0, False),
        (table("c", "domains", on_failure="closed", max_age="1d"), ["x.example"], 25, True),
        (table("c", "domains", on_failure="closed", max_age="1d"), ["x.example"], 23, False),
        (table("c", "urls", on_failure="closed"), None, 0, False),
        (table("c", "urls", on_failure="closed", https="block-host"), None, 0, True),
    ],
)
def test_a_failed_list_refuses_what_it_would_have_judged(of, lines, age, refused):
    """Closed means refused where the list would have had a say: a URL list says nothing to a DNS question."""
    policy = build({of: lines})
    verdict = decide(Question("default", "a.example"), policy, NOW + timedelta(hours=age))
    assert verdict.blocked is refused
    assert (verdict.unavailable is not None) is refused


def test_a_failed_url_list_refuses_requests_and_connections_it_would_have_looked_into():
    """A closed list that never loaded lets no request pass, nor a tunnel that it might have had opened."""
    policy = build({table("c", "urls", on_failure="closed", https="inspect"): None})
    assert judged(policy, "http://a.example/").unavailable
    assert decide(Connection("default", "a.example"), policy, NOW).unavailable
    assert not decide(Question("default", "a.example"), policy, NOW).blocked


def test_a_listing_answers_before_a_failure():
    """Where one list blocks and another failed, the person is told of the block."""
    policy = build({table("c", "domains", on_failure="closed"): None, DOMAINS: ["a.example"]})
    assert judged(policy, "http://a.example/").match.listing.id == "domains"


def test_keyword_lists_act_as_they_say_on_urls_only():
    """Flag unless asked otherwise; the strictest of several; never a host."""
    warns = table("warns", "keywords", action="warn")
    policy = build({WORDS: ["gadget"], warns: ["gadget"]})
    verdict = judged(policy, "http://h.example/gadget")
    assert (verdict.action, verdict.match.listing.id, verdict.blocked) == (Action.WARN, "warns", False)
    assert decide(Question("default", "gadget.example"), policy, NOW).action is Action.ALLOW


def test_every_name_of_a_request_is_judged_and_the_strictest_holds():
    """One listed name is enough; a warning is less than a block; the earliest end holds."""
    policy = build({DOMAINS: ["bad.example"]})
    verdicts = [decide(Connection("default", name), policy, NOW) for name in ("good.example", "bad.example")]
    assert strictest(verdicts).blocked
    assert strictest(reversed(verdicts)).blocked
    assert strictest([]) == Verdict()
    soon = replace(verdicts[0], valid_until=NOW)
    assert strictest([soon, verdicts[1]]).valid_until == NOW


def test_a_body_is_not_judged_yet():
    """No list holds hashes, so no body is refused for one."""
    assert decide(Body("default", ("sha256:00",)), build({DOMAINS: ["a.example"]}), NOW) == Verdict()


HOSTS = st.sampled_from(["example", "a.example", "b.a.example", "c.b.a.example", "ba.example"])
PATHS = st.sampled_from(["", "/", "/d", "/d/", "/d/e", "/d/e?x", "/d?x"])
LINES = st.lists(st.builds(str.__add__, HOSTS.filter(lambda name: "." in name), PATHS), max_size=6)
VISITS = st.builds(lambda name, path: url_of(f"http://{name}{path}"), HOSTS, PATHS)


@given(LINES, LINES, VISITS)
def test_adding_a_list_never_unblocks(first, second, url):
    """Whatever a list blocks stays blocked when another blocking list is added."""
    subject = Request("default", "GET", url)
    other = table("other", "urls", https="block-host")
    if decide(subject, build({URLS: first}), NOW).blocked:
        assert decide(subject, build({URLS: first, other: second}), NOW).blocked
        assert decide(subject, build({other: second, URLS: first}), NOW).blocked


@given(LINES, VISITS, VISITS)
def test_an_override_never_widens(lines, spared, url):
    """An override blocks nothing, and spares nothing but what it covers."""
    value = f"{spared.host}{spared.path}" + ("" if spared.query is None else f"?{spared.query}")
    entry = Entry(Kind.URL, value, Scope.PAGE if spared.query is None else Scope.EXACT)
    before = judged(build({URLS: lines}), url.text)
    after = judged(build({URLS: lines}, overrides=[override("urls", entry)]), url.text)
    covered = url.host == spared.host and url.path == spared.path and spared.query in (None, url.query)
    assert after.blocked is (before.blocked and not covered)


def rules(*entries, form="adblock", **options):
    """Return a policy over entries as a format's parser would give them."""
    of = table("rules", form, **options)
    return build({of: []}, extra={"rules": entries})


def domain(name, *, scope=Scope.TREE, **more):
    """Return an entry for a host."""
    return Entry(Kind.DOMAIN, name, scope, **more)


def pattern(expression, scope=Scope.HOST, **more):
    """Return an entry for an expression."""
    return Entry(Kind.PATTERN, expression, scope, **more)


def asked(policy, name):
    """Return the verdict on a DNS question."""
    return decide(Question("default", name), policy, NOW)


EXCEPTION = {"action": Action.ALLOW}
IMPORTANT = {"important": True}


@pytest.mark.parametrize(
    ("entries", "blocked"),
    [
        ([domain("a.example"), domain("example.example")], True),
        ([domain("www.a.example", scope=Scope.EXACT), domain("a.example", **EXCEPTION)], False),
        ([domain("www.a.example", scope=Scope.EXACT, **IMPORTANT), domain("a.example", **EXCEPTION)], True),
        ([domain("a.example", **IMPORTANT), domain("www.a.example", **EXCEPTION, **IMPORTANT)], False),
        ([domain("a.example", **IMPORTANT), pattern("^www", **EXCEPTION)], True),
        ([pattern("^www"), domain("www.a.example", **EXCEPTION)], False),
        ([pattern("^www", **IMPORTANT), domain("www.a.example", **EXCEPTION)], True),
        ([domain("a.example", excludes=("www.a.example",))], False),
        ([domain("a.example", excludes=("b.a.example",))], True),
        ([domain("a.example", excludes=("www.a.example",)), domain("www.a.example")], True),
        ([pattern("a[.]example$", excludes=("a.example",))], False),
    ],
)
def test_adblock_exceptions_beat_all_that_is_not_important(entries, blocked):
    """`@@` beats every rule of its list without `$important`, however specific; `$denyallow` spares from its rule."""
    assert asked(rules(*entries), "www.a.example").blocked is blocked


def test_elsewhere_the_most_specific_entry_wins():
    """In any other format an exact name beats an exception for all that is below its parent."""
    entries = [domain("www.a.example", scope=Scope.EXACT), domain("a.example", **EXCEPTION)]
    assert asked(rules(*entries, form="rpz"), "www.a.example").blocked


def test_an_exception_of_a_list_that_allows_wins_at_a_tie():
    """`@@||a^` in an allow list takes back what `||a^` gives."""
    good, bad = table("good", "adblock", action="allow"), table("bad", "domains")
    said = {"good": [domain("a.example"), domain("b.example"), domain("a.example", **EXCEPTION)]}
    policy = build({good: [], bad: ["a.example", "b.example"]}, extra=said)
    assert (asked(policy, "a.example").blocked, asked(policy, "b.example").blocked) == (True, False)


def test_nothing_is_denied_below_a_name_where_something_is_spared():
    """NXDOMAIN would deny what `$denyallow` or an expression spares (RFC 8020)."""
    assert below(rules(domain("a.example")), "a.example")
    assert not below(rules(domain("a.example", excludes=("x.b.a.example",))), "b.a.example")
    assert not below(rules(domain("a.example"), pattern("^spared", **EXCEPTION)), "a.example")


def test_a_host_expression_is_found_in_hosts_of_every_subject():
    """A name, a connection and a request are judged alike, and it never covers what is below."""
    policy = rules(pattern(r"(?:^|\.)ads[^.]*\.example$"))
    for subject in (Question("default", "x.ads1.example"), Connection("default", "ads.example"),
                    request("https://ads2.example/any")):  # fmt: skip
        verdict = decide(subject, policy, NOW)
        assert verdict.match is not None
        assert (verdict.blocked, verdict.match.kind, verdict.match.covers_below) == (True, Kind.PATTERN, False)
    assert not asked(policy, "badsx.example").blocked
    assert not judged(policy, "http://safe.example/?ads.example").blocked


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("http://any.example/Play/GAMES.html", True),
        ("https://any.example/?q=games", False),
        ("http://any.example/x?play/games", True),
        ("http://play.example/games", False),
    ],
)
def test_a_url_expression_is_searched_in_whole_urls(url, blocked):
    """Host, path and query in lower case; on hosts that no list names as well."""
    assert judged(rules(pattern("play/games", Scope.URL), form="squidguard"), url).blocked is blocked


def test_a_url_expression_says_nothing_of_a_bare_host():
    """DNS and SNI do not see a path."""
    policy = rules(pattern("any", Scope.URL), form="squidguard")
    assert not asked(policy, "any.example").blocked
    assert not decide(Connection("default", "any.example"), policy, NOW).blocked


def test_hashes_are_kept_and_block_no_address():
    """A hash list is stored for bodies; neither names nor URLs meet it, also where it fails closed."""
    entries = [Entry(Kind.HASH, "sha256:" + "ab" * 32, Scope.EXACT), Entry(Kind.HASH, "pdq:" + "cd" * 32, Scope.NEAR)]
    policy = rules(*entries, form="hashes", on_failure="closed")
    assert policy.bundle.segments[0].shares.hashes == 2
    assert policy.bundle.segments[0].near_hashes == ("pdq:" + "cd" * 32,)
    never = build({table("rules", "hashes", on_failure="closed"): None})
    for held in (policy, never):
        assert not judged(held, "http://a.example/").blocked


def test_a_detected_list_that_never_loaded_fails_closed_for_names():
    """While nobody knows what it would have said, everything it might judge is refused."""
    policy = build({table("any", None, on_failure="closed"): None})
    assert asked(policy, "a.example").unavailable is not None


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "t"]))
SCOPES = st.sampled_from([Scope.EXACT, Scope.BELOW, Scope.TREE])


@st.composite
def said(draw):
    """Draw an entry about a name, perhaps an exception, of limited validity or not for what is below another name."""
    return Entry(
        Kind.DOMAIN,
        draw(NAMES),
        draw(SCOPES),
        action=draw(st.sampled_from([Action.BLOCK, Action.BLOCK, Action.ALLOW])),
        not_before=draw(st.sampled_from([None, None, NOW + timedelta(minutes=1)])),
        not_after=draw(st.sampled_from([None, None, NOW + timedelta(minutes=2)])),
        excludes=draw(st.sampled_from([(), (), ("a.a.t",), ("b.t",)])),
        important=draw(st.booleans()),
    )


@given(
    st.lists(said(), max_size=8),
    st.lists(said(), max_size=4),
    st.lists(NAMES, max_size=3),
    st.lists(st.tuples(NAMES, st.integers(0, 3), st.sampled_from(["kids", "adults"])), max_size=12),
)
def test_what_names_share_is_what_each_would_get(flat, plain, pages, asked):
    """A verdict that is kept for all names below another is, at every moment and in every profile, each one's own."""
    adblock = table("ads", "adblock")
    extra = {"ads": flat, "domains": plain}
    lists = {adblock: (), DOMAINS: (), table("urls", "urls", https="inspect"): [f"{name}/x" for name in pages]}
    profiles = [{"id": "kids", "networks": ["10.0.0.0/8"]}]
    profiles += [{"id": "adults", "networks": ["0.0.0.0/0"], "lists": ["domains"], "allow": ["*.b.t"]}]
    warm = build(lists, profiles, extra=extra)
    for name, minutes, profile in asked:
        subject, now = Question(profile, name), NOW + timedelta(minutes=minutes)
        alone = decide(subject, build(lists, profiles, extra=extra), now)
        assert decide(subject, warm, now) == alone
        kept = shared(profile, name, warm)
        assert kept is None or kept == alone


def test_names_below_a_listed_one_share_one_verdict():
    """So a flood of invented names costs one decision; a name that a list says more of is decided by itself."""
    policy = build({DOMAINS: ["listed.example", "own.listed.example"]})
    first = decide(Question("default", "one.listed.example"), policy, NOW)
    assert shared("default", "two.listed.example", policy) is first
    assert shared("default", "own.listed.example", policy) is None
    assert shared("default", "one.own.listed.example", policy) is None
    assert shared("nobody", "two.listed.example", policy) is None
