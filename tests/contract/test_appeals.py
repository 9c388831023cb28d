"""Appeals, from the form to the decision, over both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from filterproxy.core.appeals import Origin, State, canonical_receipt
from filterproxy.errors import MoveError, StoreError

SUBJECT = "http://a.example/page?q=1"


def test_an_appeal_is_kept_as_it_was_typed(store, now):
    """Whatever a person writes comes back to those who decide, unchanged, in any script."""
    message = "Größe 中文 \x00 \U0001f642 <b>' OR 1=1 --"
    filed = store.file_appeal(
        SUBJECT,
        now,
        message=message,
        contact="p@a.example",
        reference="ABCD-2345",
        origin=Origin.NOTICE,
        list_id="list-a",
    )
    row = store.appeal(filed.receipt)
    assert (row.subject, row.message, row.contact) == (SUBJECT, message, "p@a.example")
    assert row.reference == "ABCD-2345"
    assert (row.origin, row.list_id, row.state, row.created_at) == (Origin.NOTICE, "list-a", State.RECEIVED, now)
    assert (row.decided_at, row.answer, row.moves) == (None, "", ())


def test_a_text_that_is_not_unicode_is_still_kept(store, now):
    """A lone surrogate, which no database takes, does not lose the appeal."""
    filed = store.file_appeal("a.example", now, message="\ud800 hello")
    assert store.appeal(filed.receipt).message == "? hello"


@pytest.mark.parametrize(
    ("field", "limit"), [("subject", 8192), ("message", 4000), ("contact", 320), ("reference", 32)]
)
def test_texts_are_bounded_and_never_cut(store, now, field, limit):
    """The longest text is kept whole; one character more is refused before anything is kept."""
    texts = {"subject": SUBJECT, field: "é" * limit}
    filed = store.file_appeal(now=now, **texts)
    assert getattr(store.appeal(filed.receipt), field) == "é" * limit
    with pytest.raises(ValueError, match=field):
        store.file_appeal(now=now, **{**texts, field: "é" * (limit + 1)})
    assert len(store.appeals()) == 1


def test_the_secret_opens_the_status_and_nothing_else_does(store, now):
    """Number and secret together open the status; another's secret, none, or an unknown number do not."""
    mine, other = store.file_appeal(SUBJECT, now), store.file_appeal(SUBJECT, now)
    status = store.appeal_by_secret(mine.receipt, mine.secret)
    assert (status.receipt, status.state, status.created_at) == (mine.receipt, State.RECEIVED, now)
    wrong = [(mine.receipt, other.secret), (mine.receipt, ""), ("FP-0000-0000", mine.secret), ("", ""), ("x", "\x00")]
    assert [store.appeal_by_secret(*pair) for pair in wrong] == [None] * len(wrong)


def test_a_receipt_may_be_typed_carelessly(store, now):
    """Small letters, spaces and a missing dash still find the appeal, and open its status."""
    filed = store.file_appeal(SUBJECT, now)
    typed = f"  {filed.receipt.lower().replace('-', ' ')} "
    assert canonical_receipt(typed) == filed.receipt
    for secret in (f" {filed.secret}\n", filed.secret.lower(), filed.secret.replace("-", ""), *(
        filed.secret.replace("-", between) for between in (" ", " - ", "\r\n")
    )):  # fmt: skip
        assert store.appeal_by_secret(typed, secret) is not None
    assert store.appeal(typed).receipt == filed.receipt


def test_each_step_is_kept_with_who_took_it_and_why(store, now):
    """The history is complete and in order, even where two steps bear the same time."""
    filed = store.file_appeal(SUBJECT, now)
    store.move(filed.receipt, State.TRIAGED, "Ann", "looked", now)
    store.move(filed.receipt, State.FORWARDED, "Ann", "to the owner", now)
    row = store.move(filed.receipt, State.GRANTED, "Ben", "they agree", now, answer="You were right.")
    assert [(move.from_state, move.to_state, move.by, move.note) for move in row.moves] == [
        (State.RECEIVED, State.TRIAGED, "Ann", "looked"),
        (State.TRIAGED, State.FORWARDED, "Ann", "to the owner"),
        (State.FORWARDED, State.GRANTED, "Ben", "they agree"),
    ]
    status = store.appeal_by_secret(filed.receipt, filed.secret)
    assert (status.state, status.decided_at, status.answer) == (State.GRANTED, now, "You were right.")
    assert [step.state for step in status.steps] == [
        State.RECEIVED,
        State.TRIAGED,
        State.FORWARDED,
        State.GRANTED,
    ]


def test_an_illegal_step_changes_nothing(store, now):
    """A step the rules forbid, an unknown appeal and a nameless reviewer are refused, and all is as before."""
    filed = store.file_appeal(SUBJECT, now)
    before = store.appeal(filed.receipt)
    for receipt, to, by in [
        (filed.receipt, State.GRANTED, "Ann"),
        (filed.receipt, State.TRIAGED, "  "),
        ("FP-0000-0000", State.TRIAGED, "Ann"),
        ("nonsense", State.TRIAGED, "Ann"),
    ]:
        with pytest.raises(MoveError):
            store.move(receipt, to, by, "", now)
    assert store.appeal(filed.receipt) == before


def test_of_two_who_decide_at_once_one_is_refused(opened, now):
    """However many decide at the same moment, an appeal is decided once."""
    stores = [opened() for _ in range(4)]
    filed = stores[0].file_appeal(SUBJECT, now)
    stores[0].move(filed.receipt, State.TRIAGED, "Ann", "", now)

    def decide(number: int) -> bool:
        to = State.GRANTED if number % 2 else State.REJECTED
        try:
            stores[number].move(filed.receipt, to, f"person {number}", "", now)
        except MoveError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(decide, range(4))) == 1
    assert len(stores[0].appeal(filed.receipt).moves) == 2


def test_one_store_serves_many_threads(store, now):
    """Appeals filed from many threads at once are all kept, under different numbers."""
    with ThreadPoolExecutor(8) as pool:
        filed = list(pool.map(lambda number: store.file_appeal(f"{number}.example", now), range(40)))
    assert len({each.receipt for each in filed}) == 40
    assert {row.subject for row in store.appeals()} == {f"{number}.example" for number in range(40)}


def test_appeals_come_by_state_and_age(store, now):
    """The queue shows the oldest first, by state or all, as many as asked for."""
    old = store.file_appeal("old.example", now - timedelta(days=3))
    store.file_appeal("new.example", now)
    store.move(old.receipt, State.TRIAGED, "Ann", "", now)
    assert [row.subject for row in store.appeals()] == ["old.example", "new.example"]
    assert [row.subject for row in store.appeals(State.RECEIVED)] == ["new.example"]
    assert [row.subject for row in store.appeals(State.TRIAGED)] == ["old.example"]
    assert [row.subject for row in store.appeals(limit=1)] == ["old.example"]
    assert store.appeals(State.REJECTED) == []


def test_times_come_back_in_utc(store):
    """A moment given in any zone comes back as the same moment in UTC; one without a zone is refused."""
    there = datetime(2026, 3, 1, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    filed = store.file_appeal(SUBJECT, there)
    created = store.appeal(filed.receipt).created_at
    assert created == there
    assert created.utcoffset() == timedelta(0)
    with pytest.raises(StoreError):
        store.file_appeal(SUBJECT, there.replace(tzinfo=None))


def test_counts_are_those_of_the_end_of_a_day(store):
    """What was received and decided by the end of a day stays the same, whatever comes later."""
    evening = datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC)
    first, second = (store.file_appeal(SUBJECT, evening) for _ in range(2))
    store.file_appeal(SUBJECT, evening + timedelta(microseconds=1))
    for receipt, to in [(first.receipt, State.GRANTED), (second.receipt, State.REJECTED)]:
        store.move(receipt, State.TRIAGED, "Ann", "", evening)
        store.move(receipt, to, "Ann", "", evening if to is State.GRANTED else evening + timedelta(seconds=1))
    counts = store.appeal_counts(date(2026, 3, 1))
    assert (counts.received, counts.granted, counts.rejected, counts.withdrawn, counts.waiting) == (2, 1, 0, 0, 1)
    later = store.appeal_counts(date(2026, 3, 2))
    assert (later.received, later.granted, later.rejected, later.waiting) == (3, 1, 1, 1)
    assert store.appeal_counts(date(2026, 2, 28)).received == 0
