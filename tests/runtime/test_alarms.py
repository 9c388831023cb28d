from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from filterproxy.core.quarantine import Choice, Decision
from filterproxy.lists.publish import Held, Status
from filterproxy.runtime.alarms import noticed, standing
from filterproxy.settings import Settings
from tests.policies import NOW, build, table

SINCE = NOW - timedelta(days=1, seconds=1)
HELD = Held("ab" * 16, "domain", "tree", 1, "would block own.example", SINCE.isoformat(), "own.example")


def told(of, *, lines=("a.example",), status=None, decisions=(), age=timedelta()):
    """Return kind and text of what is told of one list, read `age` ago, with the usual delays."""
    settings = Settings.model_validate({"lists": [of]})
    policy = build({of: lines}, loaded_at=NOW - age)
    statuses = {} if status is None else {of.id: status}
    return [(alert.kind, alert.text) for alert in standing(settings, policy, statuses, NOW, decisions)]


READ = "List a was last read at 2026-02-28T12:00:00+00:00, longer ago than its max_age: "
OK = Status("a", "ok")


def test_nothing_is_told_of_a_list_that_is_well():
    """Fresh, licensed, with nothing held back for long."""
    young = replace(HELD, since=(NOW - timedelta(hours=23)).isoformat())
    of = table("a", max_age="1d", licence_until=date(2026, 3, 16))
    assert told(of, status=replace(OK, held=(young,)), age=timedelta(hours=23)) == []


@pytest.mark.parametrize(("options", "lines", "age", "text"), [
    ({}, None, 0, "List a never loaded: filtering goes on without what is new in it."),
    ({"on_failure": "closed"}, None, 0, "List a never loaded: what it would judge is refused."),
    ({"max_age": "1d"}, ["a.example"], 24, READ + "filtering goes on without what is new in it."),
    ({"max_age": "1d", "on_failure": "closed"}, ["a.example"], 24, READ + "what it would judge is refused."),
])  # fmt: skip
def test_a_list_that_is_stale_is_told(options, lines, age, text):
    """With the moment of its last reading, and what follows for what it would judge."""
    assert told(table("a", **options), lines=lines, status=OK, age=timedelta(hours=age)) == [("list_stale", text)]


@pytest.mark.parametrize(("until", "kinds"), [
    (date(2026, 3, 16), []), (date(2026, 3, 15), ["licence_ending"]), (date(2026, 3, 1), ["licence_ending"]),
])  # fmt: skip
def test_a_licence_is_told_of_two_weeks_before_its_last_day(until, kinds):
    """Or as long before as `alerts.licence` says."""
    assert [kind for kind, _ in told(table("a", licence_until=until), status=OK)] == kinds


def test_of_a_list_that_ended_nothing_more_is_told():
    """It never loads again, and holds nothing."""
    of = table("a", licence_until=date(2026, 2, 1), on_failure="closed")
    assert told(of, lines=None, status=Status("a", "ended")) == []


def test_what_waits_too_long_for_a_decision_is_told_once():
    """How many entries, and since when the first of them waits."""
    older = replace(HELD, id="cd" * 16, since=(SINCE - timedelta(hours=1)).isoformat())
    [(kind, text)] = told(table("a"), status=replace(OK, held=(HELD, older)))
    assert kind == "quarantine_overdue"
    assert "2 of list a wait in quarantine for a decision, the first since 2026-02-28T10:59:59+00:00" in text


def test_what_people_kept_out_waits_no_more():
    """One person's word settles that; on a mandatory list one person's release does not yet."""
    keep = Decision("a", HELD.id, Choice.KEEP, "ada", NOW)
    release = replace(keep, choice=Choice.RELEASE)
    status = replace(OK, held=(HELD,))
    assert told(table("a"), status=status, decisions=[keep]) == []
    law = table("a", mandatory=True, basis="law")
    assert [kind for kind, _ in told(law, status=status, decisions=[release])] == ["quarantine_overdue"]


def test_no_name_of_a_list_is_in_what_is_told():
    """Alerts travel: they tell of a list, not what it lists."""
    said = told(table("a", max_age="1s"), status=replace(OK, held=(HELD,)), age=timedelta(hours=1))
    assert [kind for kind, _ in said] == ["list_stale", "quarantine_overdue"]
    assert "example" not in str(said)


@pytest.mark.parametrize(("entries", "numbers"), [
    ({"a": 200}, [200]), ({"unknown": 200}, []), ({"a": "192.0.2.7"}, []), (["a"], []), (None, []),
])  # fmt: skip
def test_what_a_worker_noticed_is_told_in_numbers_of_lists_that_there_are(entries, numbers):
    """Whatever a worker says that was broken into: no address of a client, no entry."""
    settings = Settings.model_validate({"lists": [table("a")]})
    found = [alert.text for alert in noticed(settings, {"network": "ab12", "entries": entries})]
    texts = [f"One network of clients met {number} distinct entries of list a within an hour." for number in numbers]
    assert found == texts
