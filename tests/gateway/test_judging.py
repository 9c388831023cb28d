"""Which names a request gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.targets import Targets
from filterproxy.gateway.judging import Fixed, Judge, Place, split, urls
from tests.gateway.street import FEW, LISTS
from tests.policies import build

POLICY, WORDS = build(FEW), build(LISTS)
PORTAL = [("portal.example", 8000)]
TUNNEL = Fixed(Place("tunnel.example", 8080), ("tunnel.example:8080",))


def judge() -> Judge:
    return Judge(Targets((), PORTAL, ()))


@pytest.mark.parametrize(("target", "parts"), [
    (b"http://a.example/x?y", (b"a.example", b"/x?y")), (b"http://a.example", (b"a.example", b"/")),
    (b"HTTP://A:80/", (b"A:80", b"/")), (b"http://a?x=/y", (b"a", b"/?x=/y")), (b"/x", (b"", b"/x")), (b"*", (b"",
        b"*")),
    (b"https://a/", None), (b"a/b", None), (b"http:///x", None), (b"ftp://a/", None), (b"http:a/", None), (b"", None),
    (b"//a/b", (b"", b"//a/b")),
])  # fmt: skip
def test_a_target_is_split(target, parts):
    """Absolute with http, or in origin form; nothing else."""
    assert split(target) == parts


@pytest.mark.parametrize(("authority", "host", "fixed", "place", "names"), [
    (b"a.example", b"a.example", None, ("a.example", 80), ("a.example",)),
    (b"A.example:8080", b"b.example", None, ("a.example", 8080), ("a.example:8080", "b.example")),
    (b"[2001:DB8::1]", None, None, ("2001:db8::1", 80), ("[2001:db8::1]",)),
    (b"0x7f.1", b"x", None, ("127.0.0.1", 80), ("127.0.0.1", "x")),
    (b"", b"a.example", TUNNEL, ("tunnel.example", 8080), ("a.example", "a.example:8080", "tunnel.example:8080")),
    (b"", None, TUNNEL, ("tunnel.example", 8080), ("tunnel.example:8080",)),
    (b"", b"a.example", None, None, None), (b"a b", b"a", None, None, None), (b"a", b"", None, None, None),
    (b"a", b"\xff", None, None, None), (b"u@a", b"a", None, None, None), (b"a:99999", b"a", None, None, None),
    (b"a\\b", b"a", None, None, None),
])  # fmt: skip
def test_every_name_is_read(authority, host, fixed, place, names):
    """The target leads, unless all go to one place; what cannot be read is no request."""
    found = judge().named(POLICY, "default", authority, host, fixed)
    assert (None if found is None else tuple(found.place)) == place
    assert (None if found is None else found.names) == names


@pytest.mark.parametrize(("host", "free"), [
    (b"ok.example", True), (b"pages.example", False), (b"blocked.example", False), (b"deep.blocked.example", False),
])  # fmt: skip
def test_a_host_that_no_list_names_needs_no_more(host, free):
    """Unless some list reads the URLs of all."""
    judged = judge()
    for _ in range(2):
        found = judged.named(POLICY, "default", host, host, None)
        assert found is not None
        assert found.free is free
    found = judged.named(POLICY, "default", b"ok.example", host, None)
    assert found is not None
    assert found.free is free
    words = judged.named(WORDS, "default", host, host, None)
    assert words is not None
    assert not words.free


def test_another_policy_has_another_memory():
    """What was known under one that says something else is known no more."""
    judged = judge()
    before = judged.named(build({}), "default", b"blocked.example", None, None)
    after = judged.named(POLICY, "default", b"blocked.example", None, None)
    assert before is not None
    assert after is not None
    assert (before.free, after.free) == (True, False)


@pytest.mark.parametrize(("host", "own"), [(b"portal.example:8000", True), (b"portal.example", False), (b"x", False)])
def test_the_portal_is_known_where_all_names_are_its_own(host, own):
    """Name and port."""
    found = judge().named(POLICY, "default", b"portal.example:8000", host, None)
    assert found is not None
    assert found.own is own


def test_a_url_is_made_for_each_name():
    """The same only once; what has no canonical form has none under any."""
    found = judge().named(POLICY, "default", b"a.example:8080", b"b.example", None)
    assert found is not None
    made = urls(found, b"/x/../y?z")
    assert made is not None
    assert [url.text for url in made] == ["http://a.example:8080/y?z", "http://b.example/y?z"]
    assert [url.text for url in urls(found, b"*") or ()] == ["http://a.example:8080/", "http://b.example/"]
    assert urls(found, b"/" + b"%25" * 40 + b"41") is not None
    assert urls(found, b"/%" + b"25" * 40 + b"41") is None


@given(st.binary(max_size=60), st.one_of(st.none(), st.binary(max_size=60)), st.booleans())
def test_whatever_is_named_is_read_or_not(authority, host, fixed):
    """And what was read goes to the place of its first name."""
    found = judge().named(POLICY, "default", authority, host, TUNNEL if fixed else None)
    if found is not None:
        assert found.place == (TUNNEL.place if fixed else found.place)
        assert found.authority.isascii()
