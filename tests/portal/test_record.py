"""The record tells what may be told, and its numbers cannot be taken apart."""

from __future__ import annotations

from datetime import date, timedelta

from filterproxy.core.totals import Total
from filterproxy.portal.record import DAYS, cells
from filterproxy.settings import load_text
from tests.portal.world import CONFIG, make_record

UNTIL = date(2026, 2, 27)
LISTS = make_record(load_text(CONFIG.replace("{host}", "notice.example"))).lists


def by_place(totals: list[Total]) -> dict[tuple[date, str], int | None]:
    return {(cell.day, cell.list): cell.blocked for cell in cells(LISTS, totals, UNTIL)}


def test_every_list_has_a_number_on_every_day_also_where_nothing_happened():
    """None and one look alike, or the appearance of a row would confirm a probe (T2)."""
    quiet, probed = by_place([]), by_place([Total(UNTIL, "pages", "dns", "block", 1)])
    assert quiet == probed
    assert len(quiet) == DAYS * len(LISTS)
    assert set(quiet.values()) == {None}


def test_a_cell_is_rounded_once_over_all_frontends():
    """DNS and HTTP are added before rounding, and only blocks count."""
    found = by_place([
        Total(UNTIL, "pages", "dns", "block", 6),
        Total(UNTIL, "pages", "http", "block", 6),
        Total(UNTIL, "pages", "http", "flag", 500),
        Total(UNTIL, "sites", "dns", "block", 1234),
        Total(UNTIL, "", "dns", "allow", 99999),
    ])  # fmt: skip
    assert found[UNTIL, "pages"] == 10
    assert found[UNTIL, "sites"] == 1200


def test_days_out_of_reach_are_not_shown():
    """Neither what is too new nor what is older than the record reaches back."""
    found = by_place([
        Total(UNTIL + timedelta(days=1), "pages", "dns", "block", 500),
        Total(UNTIL - timedelta(days=DAYS), "pages", "dns", "block", 500),
    ])  # fmt: skip
    assert set(found.values()) == {None}
    assert max(day for day, _ in found) == UNTIL


def test_a_list_that_is_gone_keeps_what_can_be_told():
    """Its days stay while their numbers can be shown; a suppressed one would say that there was one."""
    found = by_place([
        Total(UNTIL, "gone", "dns", "block", 500),
        Total(UNTIL - timedelta(days=1), "gone", "dns", "block", 5),
    ])  # fmt: skip
    assert found[UNTIL, "gone"] == 500
    assert (UNTIL - timedelta(days=1), "gone") not in found
