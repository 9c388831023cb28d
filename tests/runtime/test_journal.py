"""The journal: nothing lost, nothing twice, whatever the disk and the store do."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from filterproxy.runtime.counters import Counts
from filterproxy.runtime.journal import Journal

DAY = date(2026, 3, 1)
ROW = ("one", "dns", "block")


def counts(value: int) -> Counts:
    return Counts({}, {ROW: value})


def test_counts_survive_a_restart_and_go_on(tmp_path):
    """A supervisor that starts anew begins at nought; the day does not."""
    first = Journal(tmp_path / "j")
    first.observe(counts(5), DAY)
    first.observe(counts(7), DAY)
    first.write(DAY)
    second = Journal(tmp_path / "j")
    second.observe(counts(2), DAY)
    second.write(DAY)
    assert Journal(tmp_path / "j").totals(DAY) == {ROW: 9}


def test_each_day_has_what_was_counted_on_it(tmp_path):
    """At midnight what follows belongs to the new day."""
    journal = Journal(tmp_path / "j")
    journal.observe(counts(5), DAY)
    journal.observe(counts(6), DAY + timedelta(days=1))
    assert (journal.totals(DAY), journal.totals(DAY + timedelta(days=1))) == ({ROW: 5}, {ROW: 1})


def test_what_a_self_test_asked_is_nobodys_total(tmp_path):
    """Canaries are counted while the product runs, and written down nowhere."""
    journal = Journal(tmp_path / "j")
    journal.observe(Counts({}, {ROW: 5, ("canary:one", "dns", "block"): 3}), DAY)
    assert journal.totals(DAY) == {ROW: 5}
    assert [batch.rows for batch in journal.outgoing()] == [{ROW: 5}]


def test_a_batch_keeps_its_name_and_content_until_the_store_has_it(tmp_path):
    """What was sent and not confirmed is sent again as it was, so that the store counts it once."""
    journal = Journal(tmp_path / "j")
    journal.observe(counts(5), DAY)
    [batch] = journal.outgoing()
    journal.write(DAY)
    again = Journal(tmp_path / "j")
    again.observe(counts(3), DAY)
    assert again.outgoing() == [batch]
    assert batch.rows == {ROW: 5}
    again.stored(batch)
    again.write(DAY)
    third = Journal(tmp_path / "j")
    [rest] = third.outgoing()
    assert rest.rows == {ROW: 3}
    assert rest.name != batch.name
    assert third.pending() == 3


def test_a_damaged_file_is_put_aside(tmp_path):
    """It is no reason not to start, nor is it overwritten."""
    folder = tmp_path / "j"
    folder.mkdir()
    (folder / "2026-03-01.json").write_text("{")
    journal = Journal(folder)
    journal.observe(counts(1), DAY)
    journal.write(DAY)
    assert (folder / "2026-03-01.damaged").read_text() == "{"
    assert Journal(folder).totals(DAY) == {ROW: 1}


def test_a_disk_that_refuses_is_told_once_and_counts_are_kept(tmp_path, caplog):
    """The counts stay in memory and are written when there is room again."""
    folder = tmp_path / "j"
    folder.write_text("in the way")
    journal = Journal(folder)
    journal.observe(counts(4), DAY)
    journal.write(DAY)
    journal.write(DAY)
    assert (journal.failing, journal.errors) == (True, 2)
    assert [record.message for record in caplog.records] == ["journal_not_written"]
    folder.unlink()
    journal.write(DAY)
    assert not journal.failing
    assert Journal(folder).totals(DAY) == {ROW: 4}


def test_days_that_the_store_has_are_dropped_in_time(tmp_path):
    """Old files go once their counts are in the store, and not before."""
    journal = Journal(tmp_path / "j")
    journal.observe(counts(4), DAY)
    late = DAY + timedelta(days=40)
    journal.write(late)
    assert [path.name for path in (tmp_path / "j").iterdir()] == ["2026-03-01.json"]
    journal.stored(journal.outgoing()[0])
    journal.write(late)
    assert [path.name for path in (tmp_path / "j").iterdir()] == []


@pytest.mark.parametrize("mode", [0o600])
def test_files_are_the_owners_alone(tmp_path, mode):
    """Counts are nobody else's."""
    journal = Journal(tmp_path / "j")
    journal.observe(counts(4), DAY)
    journal.write(DAY)
    assert (tmp_path / "j" / "2026-03-01.json").stat().st_mode & 0o777 == mode
