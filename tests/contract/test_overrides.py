"""Overrides, from the first approval to the end, over both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Basis, Entry, Kind, Listing, Scope
from filterproxy.errors import MoveError

ENTRY = Entry(Kind.URL, "a.example/page", Scope.PAGE, Action.ALLOW)
OWN = Listing("own")
LAW = Listing("law", mandatory=True, basis=Basis.LAW)


@pytest.fixture
def add(store, now):
    def add_override(listing=OWN, **changed):
        given = {"by": "Ann", "reason": "a mistake", "expires_at": now + timedelta(days=30), "now": now}
        return store.add_override(listing, ENTRY, **{**given, **changed})

    return add_override


def test_one_person_may_spare_what_a_plain_list_blocks(store, add, now):
    """An override of a list that is not mandatory is in force at once, and carries all that the decision needs."""
    row = add(reference=" case 7 ")
    [found] = store.overrides(now)
    assert (found.id, found.list_id, found.entry, found.reference) == (row.id, "own", ENTRY, "case 7")
    assert (found.expires_at, found.approved_by) == (now + timedelta(days=30), ("Ann",))
    assert (row.reason, row.needed, row.in_force(now)) == ("a mistake", 1, True)


def test_a_mandatory_list_needs_a_second_person(store, add, now):
    """Nothing of a mandatory list is spared until two different people have approved."""
    row = add(LAW, reference="decision 12/2026")
    assert store.overrides(now) == []
    assert [each.approved for each in store.override_rows()] == [False]
    for same in ("Ann", " ANN ", "\uff21nn"):
        with pytest.raises(MoveError, match="another"):
            store.approve_override(row.id, same, now)
    assert store.overrides(now) == []
    assert store.approve_override(row.id, "Ben", now + timedelta(hours=1)).approved
    assert [each.approved_by for each in store.overrides(now)] == [("Ann", "Ben")]
    assert [each.approved for each in store.override_rows()] == [True]
    with pytest.raises(MoveError, match="no further"):
        store.approve_override(row.id, "Cid", now)


@pytest.mark.parametrize("reference", ["", "  \t"])
def test_a_mandatory_list_needs_the_decision_of_its_authority(store, add, reference):
    """Without the authority's decision as a reference, an override of a mandatory list is not even kept."""
    with pytest.raises(MoveError, match="decision"):
        add(LAW, reference=reference)
    assert store.override_rows() == []


def test_an_override_ends(store, add, now):
    """It is in force up to its end and not at it; one that would end at once is refused."""
    add(expires_at=now + timedelta(hours=1))
    assert len(store.overrides(now + timedelta(minutes=59, seconds=59))) == 1
    assert store.overrides(now + timedelta(hours=1)) == []
    assert len(store.override_rows()) == 1
    with pytest.raises(MoveError, match="future"):
        add(expires_at=now)


def test_a_revoked_override_spares_nothing_and_is_remembered(store, add, now):
    """Revoking ends it at once, keeps its row and the first time, and nobody can approve it afterwards."""
    row, kept = add(LAW, reference="decision"), add()
    ended = store.revoke_override(row.id, now, by="Ben")
    assert ended.revoked_at == now
    assert store.revoke_override(row.id, now + timedelta(days=1)).revoked_at == now
    with pytest.raises(MoveError, match="revoked"):
        store.approve_override(row.id, "Cid", now)
    assert [each.id for each in store.overrides(now)] == [kept.id]
    assert {each.id for each in store.override_rows()} == {row.id, kept.id}


def test_what_does_not_exist_cannot_be_approved_revoked_or_granted(store, add, now):
    """An unknown override or appeal, and an approver without a name, are refused; nothing is kept."""
    attempts: tuple[Callable[[], object], ...] = (
        lambda: store.approve_override("none", "Ann", now),
        lambda: store.revoke_override("none", now),
        lambda: add(receipt="FP-0000-0000"),
        lambda: add(receipt="nonsense"),
        lambda: add(by=" \u3000"),
        lambda: add(by="a\x00b"),
        lambda: add(by="a" * 201),
    )
    for attempt in attempts:
        with pytest.raises(MoveError):
            attempt()
    assert store.override_rows() == []


def test_an_override_remembers_the_appeal_it_grants(store, add, now):
    """The override names the appeal by its number, however that was typed."""
    filed = store.file_appeal("a.example", now)
    assert add(receipt=filed.receipt.lower()).receipt == filed.receipt


@pytest.mark.parametrize("to", [State.FORWARDED, State.REJECTED, State.WITHDRAWN])
def test_an_appeal_that_is_not_granted_ends_its_overrides(store, add, now, to):
    """What was approved on the way ends in the same step, for good; the overrides of others stay."""
    filed, other = (store.file_appeal("a.example", now) for _ in range(2))
    store.move(filed.receipt, State.TRIAGED, "Ann", "", now)
    rows, kept = (
        [add(receipt=filed.receipt), add(LAW, reference="x", receipt=filed.receipt)],
        add(receipt=other.receipt),
    )
    assert len(store.overrides(now)) == 2
    store.move(filed.receipt, to, "Ben", "", now)
    assert [row.id for row in store.overrides(now)] == [kept.id]
    assert {row.revoked_at for row in store.override_rows(filed.receipt)} == {now}
    with pytest.raises(MoveError, match="revoked"):
        store.approve_override(rows[1].id, "Cid", now)


def test_a_closed_appeal_gets_no_override(store, add, now):
    """Of somebody who rejects and somebody who grants at once, one is refused, in either order."""
    filed = store.file_appeal("a.example", now)
    store.move(filed.receipt, State.WITHDRAWN, "Ann", "", now)
    with pytest.raises(MoveError, match="withdrawn"):
        add(receipt=filed.receipt)
    assert store.override_rows() == []


def test_of_several_overrides_all_are_kept_or_none(store, now):
    """Where one of them is not legal, the others are not kept either; where all are, each has its own row."""
    filed = store.file_appeal("a.example", now)
    given = {"by": "Ann", "reason": "", "expires_at": now + timedelta(days=1), "now": now, "receipt": filed.receipt}
    with pytest.raises(MoveError, match="decision"):
        store.add_overrides([(OWN, ENTRY), (LAW, ENTRY)], **given)
    assert store.override_rows() == []
    made = store.add_overrides([(OWN, ENTRY), (LAW, ENTRY)], reference="decision", **given)
    assert [(row.list_id, row.approved) for row in made] == [("own", True), ("law", False)]
    assert {row.id for row in store.override_rows(filed.receipt.lower())} == {row.id for row in made}
    assert store.override_rows("FP-0000-0000") == store.override_rows("nonsense") == []


def test_of_two_who_approve_at_once_both_or_one_count_and_never_one_twice(opened, now):
    """However many approve at the same moment, one person's approval counts once and no more are taken than needed."""
    stores = [opened() for _ in range(4)]
    row = stores[0].add_override(
        LAW, ENTRY, by="Ann", reason="", reference="decision", expires_at=now + timedelta(days=1), now=now
    )

    def approve(number: int) -> bool:
        try:
            stores[number].approve_override(row.id, ["Ann", "ann", "Ben", "Cid"][number], now)
        except MoveError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(approve, range(4))) == 1
    [found] = stores[0].overrides(now)
    assert len(found.approved_by) == 2


@pytest.mark.parametrize(
    "entry",
    [
        Entry(Kind.DOMAIN, "a.example", Scope.TREE),
        Entry(Kind.DOMAIN, "xn--bcher-kva.example", Scope.BELOW, Action.ALLOW),
        Entry(Kind.URL, "a.example:8080/x/?q=%25", Scope.EXACT, Action.ALLOW),
        Entry(Kind.KEYWORD, "größe", Scope.WORD),
    ],
)
def test_the_entry_comes_back_as_it_was(store, now, entry):
    """An override covers exactly the entry that was approved: kind, value, scope and action."""
    store.add_override(OWN, entry, by="Ann", reason="", expires_at=now + timedelta(days=1), now=now)
    assert [each.entry for each in store.overrides(now)] == [entry]
