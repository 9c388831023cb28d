"""What control counts anew with each of its processes, and what adds up all the same."""

from __future__ import annotations

from typing import Any

from filterproxy.runtime.reports import Reports


def report(refused: dict[str, int], raised: int = 0, lost: int = 0, at: str | None = "then") -> dict[str, Any]:
    lists = [{"id": name, "refused": value, "checked_at": at} for name, value in refused.items()]
    return {"lists": lists, "alerts": {"raised": [["stale", "a", raised]], "undelivered": {"mail": lost}}}


def test_no_sum_ever_falls():
    """A number that fell has begun anew, be it that the list is well or that control is another process."""
    reports = Reports()
    for refused, raised, lost in ((2, 3, 1), (3, 4, 1), (0, 0, 0), (1, 2, 0), (1, 1, 4)):
        reports.take(report({"a": refused}, raised, lost))
    assert reports.refused == {"a": 4}
    assert reports.raised == {("stale", "a"): 4 + 2 + 1}
    assert reports.undelivered == {"mail": 1 + 4}
    assert reports.last == report({"a": 1}, 1, 4)


def test_a_list_that_is_gone_keeps_its_sum():
    """Should it come again, it counts on."""
    reports = Reports()
    for refused in ({"a": 2, "b": 1}, {"b": 1}, {"a": 1, "b": 1}):
        reports.take(report(refused))
    assert reports.refused == {"a": 3, "b": 1}


def test_a_control_process_that_has_just_begun_makes_nothing_count_twice():
    """Until it has read how its lists stand it says 0, and then the number that was told before."""
    reports = Reports()
    for refused, at in ((3, "then"), (0, None), (3, "then"), (4, "then")):
        reports.take(report({"a": refused}, at=at))
    assert reports.refused == {"a": 4}


def test_before_the_first_report_there_is_nothing():
    """The metrics may be asked for at any moment."""
    assert (Reports().last, dict(Reports().refused), dict(Reports().raised)) == ({}, {}, {})
