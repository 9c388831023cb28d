"""Which entries fall on a domain of ours, in whole labels and nothing beside them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.alerts import Owned
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.regular import fault
from filterproxy.settings import load_text

OWNED = Owned(["shop.example", "a.customer.test", "intranet", "192.0.2.7", "[2001:db8::7]"])
DOMAIN, URL, PATTERN = Kind.DOMAIN, Kind.URL, Kind.PATTERN


@pytest.mark.parametrize(("kind", "scope", "value", "hit"), [
    (DOMAIN, Scope.TREE, "shop.example", "shop.example"),
    (DOMAIN, Scope.EXACT, "www.shop.example", "shop.example"),
    (DOMAIN, Scope.BELOW, "shop.example", "shop.example"),
    (DOMAIN, Scope.TREE, "notshop.example", None),
    (DOMAIN, Scope.TREE, "shop.example.test", None),
    (DOMAIN, Scope.TREE, "customer.test", "a.customer.test"),
    (DOMAIN, Scope.BELOW, "customer.test", "a.customer.test"),
    (DOMAIN, Scope.EXACT, "customer.test", None),
    (DOMAIN, Scope.TREE, "test", "a.customer.test"),
    (DOMAIN, Scope.TREE, "mail.intranet", "intranet"),
    (DOMAIN, Scope.EXACT, "192.0.2.7", "192.0.2.7"),
    (DOMAIN, Scope.EXACT, "1.192.0.2.7.example", None),
    (URL, Scope.PAGE, "shop.example/gallery/1.html", "shop.example"),
    (URL, Scope.EXACT, "www.shop.example:8443/a?b", "shop.example"),
    (URL, Scope.PREFIX, "customer.test/a/", None),
    (URL, Scope.PAGE, "safe.example/?next=shop.example/", None),
    (URL, Scope.PAGE, "[2001:db8::7]:8080/a", "[2001:db8::7]"),
    (URL, Scope.PAGE, "[2001:db8::8]/a", None),
    (URL, Scope.PAGE, "192.0.2.7/a", "192.0.2.7"),
    (PATTERN, Scope.HOST, r"^(.*\.)?shop\.example$", "shop.example"),
    (PATTERN, Scope.HOST, r"^cdn[0-9]+\.shop\.example$", "shop.example"),
    (PATTERN, Scope.HOST, r"^sh[aeiou]p\.", "shop.example"),
    (PATTERN, Scope.HOST, r"customer\.", "a.customer.test"),
    (PATTERN, Scope.HOST, r"^customer\.", None),
    (PATTERN, Scope.URL, r"^shop\.example/$", "shop.example"),
    (PATTERN, Scope.URL, r"/casino/", None),
    (PATTERN, Scope.HOST, r"casino", None),
    (PATTERN, Scope.HOST, r"(unclosed", None),
    (Kind.KEYWORD, Scope.SUBSTRING, "shop.example", None),
    (Kind.HASH, Scope.EXACT, "md5:00", None),
])  # fmt: skip
def test_an_entry_falls_on_a_domain_of_ours(kind, scope, value, hit):
    """At or below it, on a parent whose entry covers it, or by an expression."""
    assert OWNED.hit(Entry(kind, value, scope)) == hit


def test_what_a_rule_leaves_out_is_not_hit():
    """An AdBlock rule for a parent with $denyallow for ours spares ours, and names the next."""
    owned = Owned(["one.customer.test", "two.customer.test"])
    rule = Entry(DOMAIN, "customer.test", Scope.TREE, excludes=("one.customer.test",))
    assert owned.hit(rule) == "two.customer.test"
    rule = Entry(DOMAIN, "customer.test", Scope.TREE, excludes=("one.customer.test", "two.customer.test"))
    assert owned.hit(rule) is None


def test_the_settings_name_them_in_any_spelling():
    """They are kept in the one spelling that lists have."""
    owned = Owned.of(load_text('[alerts]\ndomains = ["SHOP.example.", "bücher.example"]'))
    assert owned.hit(Entry(DOMAIN, "xn--bcher-kva.example", Scope.EXACT)) == "xn--bcher-kva.example"
    assert owned.hit(Entry(DOMAIN, "shop.example", Scope.EXACT)) == "shop.example"
    assert not Owned.of(load_text(""))


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "b-a"]), min_size=1, max_size=4).map(".".join)


@given(st.lists(LABELS, max_size=4), LABELS, st.sampled_from([Scope.EXACT, Scope.BELOW, Scope.TREE]))
def test_domains_are_hit_as_a_slow_reading_says(domains, host, scope):
    """The quick way says what comparing with each domain says."""
    above = [name for name in domains if host == name or host.endswith("." + name)]
    below = [name for name in domains if scope is not Scope.EXACT and name.endswith("." + host)]
    expected = max(above, key=len) if above else below[0] if below else None
    assert Owned(domains).hit(Entry(DOMAIN, host, scope)) == expected


@given(st.lists(LABELS, max_size=4), st.text("ab.\\-[]()*+?^$|", max_size=12))
def test_any_expression_is_looked_for_without_fault(domains, expression):
    """What re2 finds in a domain is found, whatever the expression; what it does not take falls on none."""
    found = Owned(domains).hit(Entry(PATTERN, expression, Scope.HOST))
    assert found is None or found in domains
    if found is None and fault(expression) is None and not re.search(r"[\\^$]|[|]", expression):
        assert not any(re.search(expression, name) for name in domains)
