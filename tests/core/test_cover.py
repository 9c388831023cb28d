from __future__ import annotations

from datetime import timedelta

from filterproxy.core.cover import Cover, earlier
from filterproxy.core.model import Entry, Kind, Request, Scope
from tests.policies import NOW, build, table, url

URLS = table("urls", "urls")


def test_the_most_specific_of_each_sort_is_found():
    """An exact URL before its page before its directory before its host, exceptions apart."""
    extra = {"urls": [Entry(Kind.URL, "h.example/d/", Scope.PREFIX), Entry(Kind.DOMAIN, "h.example", Scope.TREE)]}
    policy = build({URLS: ["h.example/d/a", "h.example/d/a?x"]}, extra=extra)
    for text, scope in (("d/a?x", "exact"), ("d/a?y", "page"), ("d/b", "prefix"), ("e", "tree")):
        cover = Cover(Request("default", "GET", url(f"http://h.example/{text}")), policy, NOW)
        block, allow = cover.best(URLS.listing, 0)
        assert allow is None
        assert block is not None
        assert block.scope == scope


def test_a_hit_hides_its_address():
    """A listed address does not reach a log by way of a traceback."""
    policy = build({URLS: ["h.example/a"]})
    cover = Cover(Request("default", "GET", url("http://h.example/a")), policy, NOW)
    assert "h.example" not in repr(cover.best(URLS.listing, 0))


def test_the_earlier_moment_counts():
    """None is no moment."""
    assert earlier(None, None) is None
    assert earlier(NOW, None) == earlier(None, NOW) == NOW
    assert earlier(NOW + timedelta(1), NOW) == NOW
