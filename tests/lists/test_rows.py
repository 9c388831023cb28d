from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core import membership as rows
from filterproxy.core.bundle import Segment
from filterproxy.core.membership import Facts, digest
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.core.names import is_address, suffixes
from filterproxy.lists.rows import CODES, Rows

KEY = b"k" * 32
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def built(entries, *, named=False, www=False, sites=False):
    """Return the membership of these entries and what was counted; each entry with whether it allows."""
    gathered = Rows(Listing("x", www=www, root_is_site=sites), KEY, named=named)
    for entry, allows in entries:
        gathered.add(entry, allows=allows)
    parts, facts, counts = gathered.arrays()
    header: dict[str, Any] = {"name": "list:x", "shares": {}, "format": "", "loaded_at": None, "version": ""}
    whole = {name: bytes(part) for name, part in parts.items()} | {"patterns": b"", "facts": json.dumps(facts).encode()}
    segment = Segment.of(header, whole)
    return segment.membership, counts


def found(index, text):
    """Return the rows of a text, in no order: code and facts."""
    return Counter(index.find(digest(text, KEY)))


def domain(value, scope=Scope.TREE, **more):
    return Entry(Kind.DOMAIN, value, scope, **more)


def url(value, scope=Scope.PAGE, **more):
    return Entry(Kind.URL, value, scope, **more)


WITH = rows.HAS_FACTS
CASES = [
    ("an entry is one row", [(domain("a.test"), False)], {}, "a.test", [(rows.TREE, Facts())]),
    ("and nothing above it", [(domain("a.test"), False)], {}, "test", []),
    ("one that stands twice is one", [(domain("a.test"), False)] * 2, {}, "a.test", [(rows.TREE, Facts())]),
    (
        "in two scopes it is two",
        [(domain("a.test"), False), (domain("a.test", Scope.BELOW), False)],
        {}, "a.test", [(rows.TREE, Facts()), (rows.BELOW, Facts())],
    ),
    (
        "an exception marks the names above it",
        [(domain("a.b.test"), True)],
        {}, "b.test", [(rows.ABOVE, Facts())],
    ),
    (
        "one for what is below a name marks that name too",
        [(domain("a.test", Scope.BELOW), True)],
        {}, "a.test", [(rows.BELOW | rows.ALLOWS, Facts()), (rows.ABOVE, Facts())],
    ),
    (
        "so does what a rule leaves out",
        [(domain("test", excludes=("a.b.test",)), False)],
        {}, "b.test", [(rows.ABOVE, Facts())],
    ),
    (
        "facts are a row's own",
        [(domain("a.test", reference="r"), False), (domain("a.test", reference="s"), False)],
        {}, "a.test", [(rows.TREE | WITH, Facts(reference="r")), (rows.TREE | WITH, Facts(reference="s"))],
    ),
    (
        "an important rule says so",
        [(domain("a.test", important=True), False)],
        {}, "a.test", [(rows.TREE | rows.IMPORTANT, Facts())],
    ),
    (
        "a host tells how many pages live there",
        [(url("a.test/1"), False), (url("a.test/2"), False), (url("a.test/2"), False)],
        {}, "a.test", [(rows.HOST | WITH, Facts(count=2))],
    ),
    (
        "with a port, without, and exceptions apart",
        [(url("a.test/1"), False), (url("a.test:81/1"), False), (url("a.test/2"), True)],
        {}, "a.test",
        [(rows.HOST, Facts()), (rows.HOST | rows.PORTS, Facts()), (rows.HOST | rows.ALLOWS, Facts())],
    ),
    (
        "a host keeps when its pages count, not whose they are",
        [(url("a.test/1", reference="r", not_after=WHEN), False)],
        {}, "a.test", [(rows.HOST | WITH, Facts(not_after=WHEN))],
    ),
    (
        "with www the other host is found as well",
        [(url("www.a.test/1"), False), (url("b.test/1"), False)],
        {"www": True}, "a.test", [(rows.HOST, Facts())],
    ),
    (
        "a site of www covers the other name",
        [(domain("a.test", Scope.EXACT), False)],
        {"www": True, "sites": True}, "www.a.test", [(rows.EXACT | rows.OTHER, Facts())],
    ),
    (
        "but an address has no www",
        [(domain("192.0.2.1", Scope.EXACT), False)],
        {"www": True, "sites": True}, "www.192.0.2.1", [],
    ),
    (
        "an override's host names what it spares",
        [(url("a.test/1", reference="o"), True)],
        {"named": True}, "a.test",
        [(rows.HOST | rows.ALLOWS | WITH, Facts(entries=((*digest("a.test/1", KEY), rows.PAGE),)))],
    ),
    (
        "a hash is a row",
        [(Entry(Kind.HASH, "md5:" + "0" * 32, Scope.EXACT), False)],
        {}, "md5:" + "0" * 32, [(rows.HASH, Facts())],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "how", "text", "wanted"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_an_entry_has_the_rows_that_it_needs(entries, how, text, wanted):
    """What a look-up of one name finds."""
    index, _ = built(entries, **how)
    assert found(index, text) == Counter(wanted)


def test_entries_are_counted_by_sort():
    """Those that block and those that allow, each once; a URL is plain where it first stood with http."""
    entries = [
        (domain("a.test"), False), (domain("a.test"), True), (domain("b.test", important=True), False),
        (url("a.test/1", scheme="http"), False), (url("a.test/1", scheme="https"), False), (url("a.test/2"), False),
        (url("a.test/3", scheme="http"), True), (Entry(Kind.HASH, "md5:" + "0" * 32, Scope.EXACT), False),
    ]  # fmt: skip
    _, counts = built(entries)
    assert counts == {"domains": (2, 1), "urls": (2, 1), "plain_urls": (1, 1), "hashes": (1, 0)}


def test_no_entry_is_no_row():
    """An empty list is a membership that finds nothing."""
    index, counts = built([])
    assert (len(index), found(index, "a.test"), counts["domains"]) == (0, Counter(), (0, 0))


HOSTS = st.sampled_from(["a.test", "www.a.test", "b.a.test", "x.b.a.test", "c.example", "192.0.2.1", "[2001:db8::1]"])
FACTS = st.fixed_dictionaries({}, optional={
    "reference": st.sampled_from(["", "r", "s"]),
    "not_before": st.sampled_from([None, WHEN]),
    "territories": st.sampled_from([frozenset(), frozenset({"GB"}), frozenset({"GB", "IE"})]),
})  # fmt: skip
DOMAINS = st.builds(
    lambda name, scope, excludes, important, facts: domain(
        name, Scope.EXACT if is_address(name) else scope, important=important, excludes=excludes, **facts
    ),
    HOSTS, st.sampled_from([Scope.EXACT, Scope.BELOW, Scope.TREE]),
    st.sampled_from([(), ("x.b.a.test",), ("a.test", "c.example")]), st.booleans(), FACTS,
)  # fmt: skip
URLS = st.builds(
    lambda host, port, path, scope, scheme, facts: url(f"{host}{port}{path}", scope, scheme=scheme, **facts),
    HOSTS, st.sampled_from(["", ":81"]), st.sampled_from(["/", "/1", "/2/"]),
    st.sampled_from([Scope.PAGE, Scope.EXACT, Scope.PREFIX]), st.sampled_from(["", "http", "https"]), FACTS,
)  # fmt: skip
HASHES = st.builds(lambda digit: Entry(Kind.HASH, f"md5:{digit * 32}", Scope.EXACT), st.sampled_from("01"))
ENTRIES = st.lists(st.tuples(st.one_of(DOMAINS, URLS, HASHES), st.booleans()), max_size=25)


def other(host):
    return host[4:] if host.startswith("www.") else f"www.{host}"


def parts_of(value):
    """Return the host of a URL's value and whether it names a port."""
    authority = value.partition("/")[0]
    return authority.removesuffix(":81"), authority.endswith(":81")


class Model:
    """What the rows of entries are, with plain dictionaries of names in clear."""

    def __init__(self, entries, *, named, www, sites):
        self._seen: dict[tuple[str, int, Facts], Entry] = {}
        self.rows: dict[str, set[tuple[int, Facts]]] = defaultdict(set)
        hosts: dict[tuple[str, int, Facts], list[tuple[int, int, int]]] = defaultdict(list)
        for entry, allows in entries:
            code = CODES[entry.kind, entry.scope] | rows.ALLOWS * allows | rows.IMPORTANT * entry.important
            facts = Facts(
                entry.not_before, entry.not_after, entry.territories, entry.reference,
                excludes=tuple(digest(name, KEY) for name in entry.excludes),
            )  # fmt: skip
            if (entry.value, code, facts) in self._seen:
                continue
            self._seen[entry.value, code, facts] = entry
            self._put(entry.value, code, facts)
            if entry.kind is Kind.DOMAIN:
                self._beside(entry, code, facts, allows=allows, sites=www and sites)
            elif entry.kind is Kind.URL:
                host, ported = parts_of(entry.value)
                what = rows.HOST | rows.ALLOWS * allows | rows.PORTS * ported
                for name in (host, other(host)) if www else (host,):
                    hosts[name, what, replace(facts, reference="")].append(
                        (*digest(entry.value, KEY), code & rows.WHAT)
                    )
        for (name, code, facts), here in hosts.items():
            known = tuple(sorted(here)) if named else ()
            self._put(name, code, replace(facts, count=len(here), entries=known))

    def _put(self, text, code, facts):
        self.rows[text].add((code | (WITH if facts != Facts() else 0), facts))

    def _beside(self, entry, code, facts, *, allows, sites):
        if sites and entry.scope is Scope.EXACT and not is_address(entry.value):
            self._put(other(entry.value), code | rows.OTHER, facts)
        if allows:
            for name in suffixes(entry.value)[0 if entry.scope is Scope.BELOW else 1 :]:
                self._put(name, rows.ABOVE, Facts())
        for name in entry.excludes:
            for parent in suffixes(name)[1:]:
                self._put(parent, rows.ABOVE, Facts())

    def counts(self):
        found = {name: [0, 0] for name in ("domains", "urls", "plain_urls", "hashes")}
        sorts = {Kind.DOMAIN: "domains", Kind.URL: "urls", Kind.HASH: "hashes"}
        for (_, code, _), entry in self._seen.items():
            allows = bool(code & rows.ALLOWS)
            found[sorts[entry.kind]][allows] += 1
            found["plain_urls"][allows] += entry.kind is Kind.URL and entry.scheme == "http"
        return {name: tuple(both) for name, both in found.items()}


TEXTS = ["test", "example", "www.c.example", "www.b.a.test", "www.192.0.2.1", "a.test/9", "192.0.2.1:81", "d.test"]


@given(ENTRIES, st.booleans(), st.booleans(), st.booleans())
def test_rows_and_counts_are_those_of_a_plain_dictionary(entries, named, www, sites):
    """Whatever a list says, and however often: each look-up finds what dictionaries of names would, and no more."""
    index, counts = built(entries, named=named, www=www, sites=sites)
    model = Model(entries, named=named, www=www, sites=sites)
    assert counts == model.counts()
    assert len(index) == sum(map(len, model.rows.values()))
    for text in {*model.rows, *TEXTS}:
        said = [(code, _sorted(facts)) for code, facts in found(index, text).elements()]
        assert Counter(said) == Counter(model.rows.get(text, ()))


def _sorted(facts):
    return replace(facts, entries=tuple(sorted(facts.entries)))


@given(ENTRIES, st.randoms())
def test_the_order_of_a_list_makes_no_other_arrays(entries, random):
    """Shuffled, the same list has the same rows, bit for bit, where no entry stands with two schemes."""
    once = list({(entry[:3], entry[5:], allows): (entry, allows) for entry, allows in entries}.values())
    listing = Listing("x")
    made = []
    for _ in range(2):
        gathered = Rows(listing, KEY)
        for entry, allows in once:
            gathered.add(entry._replace(scheme=""), allows=allows)
        parts = gathered.arrays()[0]
        made.append((parts["highs"], parts["lows"], parts["offsets"]))
        random.shuffle(once)
    assert made[0] == made[1]


def test_an_allowing_entry_of_a_list_is_said_by_who_adds_it():
    """`allows` is what counts, not the entry's own word: a list that allows turns it about."""
    index, _ = built([(domain("a.test", action=Action.ALLOW), False)])
    assert found(index, "a.test") == Counter([(rows.TREE, Facts())])
