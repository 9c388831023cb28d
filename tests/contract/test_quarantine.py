"""Decisions on what the guard held back, over both databases."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import filterproxy.store.migrations
from filterproxy.core.quarantine import Choice, Decision
from filterproxy.errors import MoveError
from tests.contract.conftest import KEY
from tests.contract.test_failures import tell

ONE, TWO = "1" * 32, "2" * 32


@pytest.fixture
def decide(store, now):
    def decide_quarantine(entry=ONE, choice=Choice.RELEASE, by="ann", **changed):
        given = {"list_id": "law", "note": "", "now": now, "needed": 2, **changed}
        return store.decide_quarantine(given.pop("list_id"), entry, choice, by=by, **given)

    return decide_quarantine


def test_an_entry_is_released_once_enough_people_said_so(store, decide):
    """One person's word is kept and releases nothing of a mandatory list; the second person's does."""
    assert store.quarantine_released({"law": 2}) == {"law": frozenset()}
    decide()
    assert store.quarantine_released({"law": 2}) == {"law": frozenset()}
    with pytest.raises(MoveError, match="another person"):
        decide(by="ANN")
    assert [each.by for each in decide(by="ben")] == ["ann", "ben"]
    assert store.quarantine_released({"law": 2}) == {"law": frozenset({ONE})}
    decide(TWO, Choice.KEEP)
    decide(TWO, by="ben")
    assert store.quarantine_released({"law": 2}) == {"law": frozenset({ONE})}


def test_each_list_has_its_own_decisions_and_its_own_number(store, decide):
    """The same entry on two lists is decided twice; a list that is not asked about is not answered for."""
    decide(list_id="plain", needed=1)
    decide()
    assert store.quarantine_released({"law": 2, "plain": 1, "none": 1}) == {
        "law": frozenset(), "plain": frozenset({ONE}), "none": frozenset(),
    }  # fmt: skip
    assert store.quarantine_released({"law": 1}) == {"law": frozenset({ONE})}
    assert store.quarantine_released({"plain": 2}) == {"plain": frozenset()}
    assert store.quarantine_released({}) == {}


def test_decisions_come_back_as_they_were_made(store, decide, opened, now):
    """Who, what, when and why, in order, also after a restart."""
    later = now + timedelta(hours=1)
    decide(note="Größe 7 ☃")
    decide(choice=Choice.KEEP, by="ben", now=later)
    decide(TWO, list_id="other", by="cid")
    said = [
        Decision("law", ONE, Choice.RELEASE, "ann", now, "Größe 7 ☃"),
        Decision("law", ONE, Choice.KEEP, "ben", later),
        Decision("other", TWO, Choice.RELEASE, "cid", now),
    ]
    assert opened().quarantine_decisions() == said
    assert opened().quarantine_decisions("law") == said[:2]
    assert opened().quarantine_decisions("none") == []


def test_what_is_refused_is_not_kept(store, decide):
    """A decision that would change nothing, or of nobody, leaves no trace."""
    decide(choice=Choice.KEEP)
    for refused in ({"choice": Choice.KEEP, "by": "ben"}, {"by": ""}, {"by": "ben", "note": "x" * 5000}):
        with pytest.raises(MoveError):
            decide(**refused)
    assert len(store.quarantine_decisions()) == 1


def test_a_damaged_note_hides_no_decision(store, url, decide, caplog):
    """What was decided holds although its note cannot be read any more; that is told once."""
    decide(note="because")
    decide(by="ben")
    tell(url, "UPDATE quarantine_decisions SET note = (SELECT sealed FROM seal_checks)")
    with caplog.at_level(logging.ERROR):
        assert [(each.by, each.note) for each in store.quarantine_decisions()] == [("ann", ""), ("ben", "")]
        store.quarantine_decisions()
    assert len(caplog.records) == 2
    assert store.quarantine_released({"law": 2}) == {"law": frozenset({ONE})}


def test_of_many_who_decide_at_once_each_counts_once(opened, now):
    """However many speak at the same moment, one person counts once, and no more are taken than needed."""
    stores = [opened() for _ in range(4)]

    def decide(number: int) -> bool:
        try:
            by = ["ann", "Ann", "ben", "ben"][number]
            stores[number].decide_quarantine("law", ONE, Choice.RELEASE, by=by, now=now, needed=2)
        except MoveError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(decide, range(4))) == 2
    assert len(stores[0].quarantine_decisions()) == 2
    assert stores[0].quarantine_released({"law": 2}) == {"law": frozenset({ONE})}


def test_a_database_of_the_first_version_keeps_all_it_has(opened, url, now):
    """What was made before there were decisions is brought up to date by the first use, and nothing is lost."""
    first = opened()
    filed = first.file_appeal("a.example", now, message="Please look again.")
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg") if "postgres" in url else url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", filterproxy.store.migrations.__path__[0])
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert "quarantine_decisions" not in sa.inspect(connection).get_table_names()
    engine.dispose()
    store = filterproxy.store.Store.open(url, KEY)
    try:
        kept = store.appeal(filed.receipt)
        assert kept is not None
        assert kept.message == "Please look again."
        store.decide_quarantine("law", ONE, Choice.RELEASE, by="ann", now=now, needed=1)
        assert store.quarantine_released({"law": 1}) == {"law": frozenset({ONE})}
    finally:
        store.close()
