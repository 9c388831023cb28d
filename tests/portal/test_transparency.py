"""The public record as people, programs and spreadsheets read it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from filterproxy.core.appeals import State
from filterproxy.core.totals import Total
from filterproxy.portal.record import Record
from tests.portal.world import World

SHOWN = datetime(2026, 2, 27, tzinfo=UTC)


def fill(world: World) -> None:
    world.parts.store.add_totals([
        Total(SHOWN.date(), "pages", "dns", "block", 1234),
        Total(SHOWN.date() + timedelta(days=1), "pages", "dns", "block", 777_000),  # not yet to be told
    ])  # fmt: skip
    for number in range(12):
        filed = world.parts.store.file_appeal("a.example", SHOWN, message=str(number))
        if number < 3:
            world.parts.store.move(filed.receipt, State.TRIAGED, "Ann", "", SHOWN)
            world.parts.store.move(filed.receipt, State.GRANTED, "Ann", "", SHOWN)


def test_the_page_shows_lists_numbers_and_appeals(world, browser):
    """R7: who, on what ground, how old, how large, how far enforced, how often, and what came of appeals."""
    fill(world)
    page = browser.get("/transparency").text
    for words in (
        "Pages of the Example Board", "Example Board", "Pages that hurt children", "Law", "Court order",
        "7 h ago", "Too old", "1,200", "12 %", "80 %", "8 %", "fewer than 10", "27 February 2026",
        "Can be switched off", "Received", "What is stored", "filterproxy",
    ):  # fmt: skip
        assert words in page, words
    assert "1,234" not in page
    assert "777" not in page
    assert "28 February 2026" not in page


def test_json_says_the_same(world, browser):
    """The JSON has every field of the page; null stands for fewer than ten."""
    fill(world)
    answer = browser.get("/transparency.json")
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert report["operator"] == "Example Net"
    assert report["suppressed_below"] == 10
    assert report["lists"][0] | {"loaded_at": ""} == {
        "id": "pages", "title": "Pages of the Example Board", "authority": "Example Board",
        "category": "Pages that hurt children", "basis": "law", "opt_out": False, "confidential": True,
        "entries_rounded": 1200, "exact": 12, "host": 80, "none": 8, "loaded_at": "", "stale": False,
    }  # fmt: skip
    assert report["totals"]["until"] == "2026-02-27"
    assert report["totals"]["blocks"][0] == {"day": "2026-02-27", "list": "pages", "blocked": 1200}
    assert report["totals"]["appeals"] == {"received": 10, "decided": None, "granted": None}
    assert "address" in report["stored"]


def test_csv_has_a_row_for_each_thing(world, browser):
    """The CSV is one tidy table that a spreadsheet opens."""
    fill(world)
    answer = browser.get("/transparency.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(answer.text)))
    assert table[0] == ["list", "day", "measure", "value"]
    assert ["pages", "", "basis", "law"] in table
    assert ["sites", "", "entries", "fewer than 10"] in table
    assert ["pages", "2026-02-27", "blocked", "1200"] in table
    assert ["", "2026-02-27", "appeals_received", "10"] in table


def test_a_title_is_no_formula(world):
    """What begins like a formula is quoted for spreadsheets."""
    record = world.parts.record()
    odd = Record((replace(record.lists[0], title="=1+1"), *record.lists[1:]))
    world.parts = replace(world.parts, record=lambda: odd)
    assert "pages,,title,'=1+1" in world.client().get("/transparency.csv").text


def test_without_the_database_lists_are_shown_and_numbers_are_not(world):
    """The record says that its numbers are away, and is not kept by anyone meanwhile."""
    browser = world.with_store_away().client()
    page = browser.get("/transparency")
    assert "Pages of the Example Board" in page.text
    assert "The numbers are not there right now" in page.text
    assert page.headers["cache-control"] == "no-store"
    report = browser.get("/transparency.json").json()
    assert report["totals"] is None
    assert len(report["lists"]) == 3
    assert "blocked" not in browser.get("/transparency.csv").text


def test_a_list_that_never_loaded_says_so(world):
    """No age is made up."""
    record = Record((replace(world.parts.record().lists[0], loaded_at=None, entries_rounded=None),))
    world.parts = replace(world.parts, record=lambda: record)
    page = world.client().get("/transparency").text
    assert "Not yet" in page
    assert "fewer than 10" in page
    world.parts = replace(world.parts, record=lambda: Record(()))
    assert "No list is in force." in world.client().get("/transparency").text
