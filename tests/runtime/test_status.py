"""What the product says of itself."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.dns.crowd import MANY
from filterproxy.runtime.status import Once, one_client, zones


def supervisor(age: float, questions: int, clients: list[str]) -> Any:
    counts = SimpleNamespace(events={"dns_queries": questions})
    children = [SimpleNamespace(role="edge", clients=seen) for seen in clients]
    return SimpleNamespace(
        started_at=time.time() - age, books=SimpleNamespace(counts=lambda: counts),
        children=[*children, SimpleNamespace(role="control", clients="")],
    )  # fmt: skip


@pytest.mark.parametrize(("age", "questions", "clients", "said"), [
    (700, 2000, ["digest"], True),
    (700, 2000, ["digest", "digest"], True),
    (60, 2000, ["digest"], False),
    (700, 20, ["digest"], False),
    (700, 2000, ["digest", "other"], False),
    (700, 2000, [MANY], False),
    (700, 2000, [], False),
])  # fmt: skip
def test_a_single_client_is_told_only_after_many_questions_and_some_time(age, questions, clients, said):
    """A phone that is alone at first is no reason for a warning."""
    assert one_client(supervisor(age, questions, clients)) is said


def test_what_lasts_is_told_once():
    """Again only when it had ended in between."""
    once = Once()
    assert [once.news(now) for now in (False, True, True, False, True)] == [False, True, False, False, True]


def test_zones_are_told_of_by_who_gives_them():
    """Nobody else is asked, and one that has said nothing yet has none."""
    zone = '{"court": {"serial": 7, "records": 2, "unenforceable": {"url": 1}}}'
    children = [SimpleNamespace(role=role, zones=said) for role, said in (("edge", "?"), ("transfer", zone))]
    supervisor: Any = SimpleNamespace(children=children)
    assert zones(supervisor) == {"court": {"serial": 7, "records": 2, "unenforceable": {"url": 1}}}
    children[1].zones = "{}"
    assert zones(supervisor) == {}
