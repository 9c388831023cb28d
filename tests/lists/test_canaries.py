"""Canaries: made beside each list, judged as it is, secret, and the same for as long as the key is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.decide import decide
from filterproxy.core.model import Action, Connection, Question, Request, Subject
from filterproxy.core.policy import Policy
from filterproxy.lists import canaries
from filterproxy.lists.canaries import canaried, canaries_of, compile_canaries
from filterproxy.lists.publish import policy_of
from filterproxy.settings import Settings
from tests.policies import KEY, NOW, table, url

FORMATS = ("urls", "domains", "wildcard", "hosts", "adblock", "squidguard", "rpz", "dnsmasq", "csv")


def policy(settings: Settings) -> Policy:
    """Return the policy over nothing but the canaries."""
    segments = [item.segment() for item in compile_canaries(settings, KEY, NOW)]
    return policy_of(settings, segments, KEY, 1, {})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("more", [{}, {"mandatory": True}, {"basis": "law", "confidential": True}])
def test_a_canary_is_judged_as_its_list_is(form, more):
    """What a format can say is blocked with the list's own settings, under a name that is not the list's."""
    of = table("one", form, **more)
    settings = Settings.model_validate({"lists": [of]})
    found, in_force = canaries_of(of, KEY), policy(settings)
    asked: list[Subject] = []
    if found.name:
        asked += [Question("default", found.name), Connection("default", found.name)]
    if found.page:
        asked += [Request("default", "GET", url(f"http://{found.page}?q"))]
    assert asked
    for subject in asked:
        verdict = decide(subject, in_force, NOW)
        assert verdict.blocked
        assert verdict.listing is not None
        assert (verdict.listing.id, verdict.listing.title) == ("canary:one", "one")
        assert (verdict.listing.ede, verdict.listing.mandatory) == (of.listing.ede, of.mandatory)


@pytest.mark.parametrize(("form", "more", "whole"), [
    ("domains", {}, True), ("domains", {"subdomains": False}, False), ("hosts", {}, False),
    ("hosts", {"subdomains": True}, True), ("urls", {"root": "site"}, False), ("rpz", {}, True),
])  # fmt: skip
def test_a_canary_covers_what_a_name_of_its_list_does(form, more, whole):
    """What is below a listed name is blocked exactly where the list's settings say so."""
    of = table("one", form, **more)
    in_force = policy(Settings.model_validate({"lists": [of]}))
    found = canaries_of(of, KEY)
    assert found.whole is whole
    assert decide(Question("default", f"below.{found.name}"), in_force, NOW).blocked is whole


def test_an_exception_spares_and_takes_nothing_from_the_other_canaries():
    """Where a format has exceptions one is there, below a name of its own: the other can still be NXDOMAIN."""
    of = table("one", "adblock")
    in_force, found = policy(Settings.model_validate({"lists": [of]})), canaries_of(of, KEY)
    assert not decide(Question("default", found.excepted), in_force, NOW).blocked
    assert decide(Question("default", found.excepted.partition(".")[2]), in_force, NOW).blocked
    match = decide(Question("default", found.name), in_force, NOW).match
    assert match is not None
    assert match.covers_below


@pytest.mark.parametrize("action", ["flag", "warn", "block"])
def test_a_word_of_a_keyword_list_acts_as_the_list_says(action):
    """The listed word acts between boundaries, with the list's action."""
    of = table("words", "keywords", action=action)
    in_force, found = policy(Settings.model_validate({"lists": [of]})), canaries_of(of, KEY)
    acts = decide(Request("default", "GET", url(f"http://a.example/b-{found.term.upper()}")), in_force, NOW)
    assert acts.action is Action(action)
    assert not decide(Request("default", "GET", url(f"http://a.example/x{found.term}")), in_force, NOW).match


def test_a_list_that_allows_spares_what_other_canaries_hold():
    """Its canary is blocked where nobody subscribes to it, and spared where somebody does."""
    blocks, allows = table("blocks"), table("allows", action="allow")
    settings = Settings.model_validate({
        "lists": [blocks, allows],
        "profiles": [{"id": "with"}, {"id": "without", "lists": ["blocks"]}],
    })  # fmt: skip
    in_force, name = policy(settings), canaries_of(allows, KEY).name
    spared = decide(Question("with", name), in_force, NOW)
    assert not spared.blocked
    assert spared.spared_by is not None
    assert spared.spared_by.listing.id == "canary:allows"
    assert decide(Question("without", name), in_force, NOW).blocked


def test_a_canary_ranks_right_behind_its_list():
    """A mandatory list's canaries are mandatory, others are their profile's; none is ever asked to fail closed."""
    lists = [
        table("court", basis="court", mandatory=True),
        table("other", on_failure="closed"),
        table("word", "keywords"),
    ]
    settings = Settings.model_validate({"lists": lists, "profiles": [{"id": "all"}, {"id": "few", "lists": ["word"]}]})
    all_of_them, few = (policy(settings).view(name) for name in ("all", "few"))
    assert [item.listing.id for item in all_of_them.mandatory] == ["court", "canary:court"]
    assert [item.listing.id for item in all_of_them.blocking] == ["other", "canary:other"]
    assert [item.listing.id for item in all_of_them.keywords] == ["word", "canary:word"]
    assert [item.listing.id for item in all_of_them.closed] == ["other"]
    assert [item.listing.id for item in few.blocking] == []
    assert [item.listing.id for item in few.mandatory] == ["court", "canary:court"]


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.binary(min_size=32, max_size=32))
def test_names_follow_from_the_key_and_nothing_else(one, other, key):
    """The same list has the same canaries; another list, another use or another key has others."""
    assert canaries.mac(one, "name", key) == canaries.mac(one, "name", key)
    assert (canaries.mac(one, "name", key) == canaries.mac(other, "name", key)) is (one == other)
    assert canaries.mac(one, "name", key) != canaries.mac(one, "page", key)
    assert canaries.mac(one, "name", key) != canaries.mac(one, "name", b"k" * 32) or key == b"k" * 32


def test_a_list_whose_licence_has_ended_has_none():
    """On the last day there are canaries, on the next there are none."""
    settings = Settings.model_validate(
        {"lists": [table("one", licence_until=date(2026, 3, 1)), table("hashes", "hashes")]}
    )
    assert [item.id for item in canaried(settings, datetime(2026, 3, 1, 23, tzinfo=UTC))] == ["one"]
    assert canaried(settings, datetime(2026, 3, 2, tzinfo=UTC)) == ()


def test_canaries_never_take_the_room_that_lists_need():
    """However many lists there are, lists, overrides and canaries together can be handed to a process at once."""
    for number in (10, 79, 80, 81, 119, 120, 200):
        lists = [{"id": f"l{at}", "source": "x", "format": "domains"} for at in range(number)]
        made = len(canaried(Settings.model_validate({"lists": lists}), NOW))
        assert made == number or 2 * number + made >= canaries.SEGMENTS
        assert made == 0 or 2 * number + made <= canaries.SEGMENTS


def test_no_name_is_shown_by_mistake():
    """Whoever prints canaries prints no name of theirs."""
    found = canaries_of(table("one", "adblock"), KEY)
    assert found.name not in repr(found)
    assert found.name.endswith(".canary.invalid")
