"""Counts: where they are kept, and that nothing counts what was never named."""

from __future__ import annotations

import os
import re

import pytest

from filterproxy.core.model import Action, Kind, Listing, Match, Scope, Verdict
from filterproxy.runtime.counters import EVENTS, Counters, Counts, Layout
from filterproxy.runtime.memfd import shared
from filterproxy.settings import load_text
from tests.conftest import ROOT

SETTINGS = load_text("""
[[lists]]
id = "one"
source = "x"
format = "domains"
[[profiles]]
id = "home"
""")


def match(list_id: str, action: Action = Action.BLOCK) -> Match:
    return Match(Listing(list_id), Kind.DOMAIN, Scope.TREE, action, "a.example")


@pytest.fixture
def memory():
    fd = shared("test", Layout.of(SETTINGS).size)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(("verdict", "row"), [
    (Verdict(), ("-", "dns", "allow")),
    (Verdict(match=match("one")), ("one", "dns", "block")),
    (Verdict(match=match("one"), spared_by=match("two", Action.ALLOW)), ("one", "dns", "spared")),
    (Verdict(match=match("profile:home")), ("profile:home", "dns", "block")),
    (Verdict(match=match("canary:one")), ("canary:one", "dns", "block")),
    (Verdict(unavailable=Listing("one")), ("one", "dns", "block")),
    (Verdict(inspect=True), ("-", "dns", "inspect")),
    (Verdict(match=match("of-a-newer-configuration")), ("-", "dns", "block")),
])  # fmt: skip
def test_a_verdict_counts_under_the_list_that_answers_for_it(memory, verdict, row):
    """By list, frontend and outcome; what has no cell of its own counts under no list."""
    counters = Counters(Layout.of(SETTINGS), memory)
    counters.verdict("dns", verdict)
    assert counters.read().verdicts == {row: 1}


def test_counts_outlive_the_one_who_counted(memory):
    """A replacement goes on where the killed process was."""
    first = Counters(Layout.of(SETTINGS), memory)
    first.event("dns_queries")
    first.verdict("http", Verdict())
    del first
    second = Counters(Layout.of(SETTINGS), memory)
    second.event("dns_queries")
    assert second.read().events["dns_queries"] == 2
    assert second.read().verdicts == {("-", "http", "allow"): 1}


def test_totals_add_up():
    """The sum over processes holds every event, also what never happened."""
    row = ("-", "dns", "allow")
    total = Counts.total([Counts({"notices": 2}, {row: 1}), Counts({"notices": 3}, {row: 4})])
    assert (total.events["notices"], total.events["dns_queries"], total.verdicts) == (5, 0, {row: 5})


def test_every_event_that_is_counted_anywhere_has_a_name_here():
    """A frontend that counted an unknown event would fail while it answers."""
    used: set[str] = set()
    for path in (ROOT / "filterproxy").rglob("*.py"):
        used |= set(re.findall(r"""\.event\(\s*["']([a-z_]+)["']""", path.read_text()))
    assert used - set(EVENTS) == set()
    assert len(set(EVENTS)) == len(EVENTS)
