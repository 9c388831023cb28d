"""What is held back, who decides, and what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from filterproxy.core.quarantine import Choice, Decision
from filterproxy.errors import ControlError, MoveError
from filterproxy.lists.publish import Held, Status
from filterproxy.runtime.quarantine import Quarantine, Tally, tally
from filterproxy.settings import load_text
from filterproxy.settings.lists import List
from filterproxy.store import Store

SETTINGS = load_text("""
[[lists]]
id = "plain"
source = "x"
[[lists]]
id = "law"
source = "x"
basis = "law"
mandatory = true
confidential = true
""")
NOW = datetime.now(UTC)
ONE, TWO, LAW = "1" + "a" * 31, "1" + "b" * 31, "f" * 32


def held(name: str, age: float = 1, value: str = "") -> Held:
    since = (NOW - timedelta(hours=age)).isoformat()
    return Held(name, "domain", "tree", 7, "would block one of the top sites whole", since, value)


class Lists:
    """A librarian whose next reading takes out of quarantine what was released."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.statuses = {
            "plain": Status("plain", "ok", held=(held(ONE, value="top.example"), held(TWO, 25, "other.example"))),
            "law": Status("law", "ok", held=(held(LAW),)),
        }
        self.read: list[str] = []
        self.trouble = ""

    async def refresh(self, tables: Iterable[List], *, accept: bool = False) -> None:
        if self.trouble == "away":
            raise ControlError("the bundle cannot be written")
        released = self._store.quarantine_released({"plain": 1, "law": 2})
        for table in tables:
            self.read.append(table.id)
            status = self.statuses[table.id]
            kept = tuple(item for item in status.held if item.id not in released[table.id])
            state = "refused" if self.trouble else "ok"
            self.statuses[table.id] = replace(status, state=state, reason=self.trouble, held=kept)


@pytest.fixture
def store(tmp_path):
    made = Store.open(f"sqlite:///{tmp_path / 'db'}", bytes(32))
    yield made
    made.close()


@pytest.fixture
def lists(store):
    return Lists(store)


@pytest.fixture
def quarantine(store, lists):
    return Quarantine(SETTINGS, store, lists)


async def test_what_is_held_is_shown_and_what_it_is_of_open_lists_only(quarantine):
    """A row for each entry, with what people said; of a confidential list neither the entry nor a name."""
    await quarantine.decide({"id": LAW, "decision": "release", "note": "checked"}, "root")
    rows = {row["id"]: row for row in (await quarantine.list({}))["held"]}
    assert list(rows) == [ONE, TWO, LAW]
    assert [(row["value"], row["overdue"], row["needed"]) for row in rows.values()] == [
        ("top.example", False, 1), ("other.example", True, 1), ("", False, 2),
    ]  # fmt: skip
    assert (rows[LAW]["standing"], rows[LAW]["approvals"]) == ("waiting", ["root"])
    [said] = rows[LAW]["decisions"]
    assert (said["by"], said["decision"], said["note"]) == ("root", "release", "checked")
    assert [row["id"] for row in (await quarantine.list({"list": "law"}))["held"]] == [LAW]
    with pytest.raises(ControlError, match="no list none"):
        await quarantine.list({"list": "none"})


async def test_what_became_confidential_since_is_not_shown(store, lists):
    """A list that was open when it was read shows nothing once it is confidential."""
    lists.statuses["law"] = Status("law", "ok", held=(replace(held(LAW, value="x.example"), reason="would block x"),))
    [row] = (await Quarantine(SETTINGS, store, lists).list({"list": "law"}))["held"]
    assert (row["value"], row["reason"]) == ("", "")


async def test_one_person_releases_an_entry_of_a_plain_list(quarantine, lists):
    """The list is read again before the answer is given, so that the entry is in force when it is."""
    reply = await quarantine.decide({"id": ONE[:4].upper(), "decision": "release"}, "ann")
    assert (reply["id"], reply["standing"], reply["said"]) == (ONE, "released", "Released: the entry is in force.")
    assert lists.read == ["plain"]
    assert [row["id"] for row in (await quarantine.list({"list": "plain"}))["held"]] == [TWO]
    with pytest.raises(MoveError, match="released already"):
        await quarantine.decide({"id": ONE, "decision": "release"}, "ben")
    reply = await quarantine.decide({"id": ONE, "decision": "keep"}, "ben")
    assert reply["said"] == "Kept: the entry is out of force again."
    assert lists.read == ["plain", "plain"]


async def test_two_people_release_an_entry_of_a_mandatory_list(quarantine, lists):
    """One user's word, however often, reads nothing again; another user's does. A name that is given counts nothing."""
    reply = await quarantine.decide({"id": LAW, "decision": "release", "by": "ben"}, "ann")
    assert (reply["standing"], reply["approvals"], reply["needed"]) == ("waiting", ["ann"], 2)
    assert f"filterproxy lists decide {LAW[:8]} release" in reply["said"]
    with pytest.raises(MoveError, match="another person"):
        await quarantine.decide({"id": LAW, "decision": "release", "by": "cid"}, "ann")
    assert lists.read == []
    assert (await quarantine.decide({"id": LAW, "decision": "release"}, "ben"))["standing"] == "released"
    assert lists.read == ["law"]


async def test_one_person_keeps(quarantine, lists):
    """What is kept stays out at one person's word, is overdue no more, and may be released later."""
    reply = await quarantine.decide({"id": TWO, "decision": "keep"}, "ann")
    assert (reply["said"], lists.read) == ("Kept: the entry stays out of force.", [])
    row = next(row for row in (await quarantine.list({}))["held"] if row["id"] == TWO)
    assert (row["standing"], row["overdue"]) == ("kept", False)
    assert (await quarantine.decide({"id": TWO, "decision": "release"}, "ann"))["standing"] == "released"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("away", "not in force yet: the bundle cannot be written"), ("it was cut", "could not be read (it was cut)")],
)
async def test_a_release_that_cannot_take_force_yet_says_so(quarantine, lists, store, trouble, said):
    """The decision is kept; the person learns that the list has to be read first."""
    lists.trouble = trouble
    reply = await quarantine.decide({"id": ONE, "decision": "release"}, "ann")
    assert store.quarantine_released({"plain": 1}) == {"plain": frozenset({ONE})}
    assert said in reply["said"]


@pytest.mark.parametrize(
    ("request_", "user", "error", "said"),
    [
        ({"id": "1", "decision": "release"}, "ann", ControlError, "write 4 digits"),
        ({"id": "", "decision": "release"}, "ann", ControlError, "write 4 digits"),
        ({"id": "0000", "decision": "keep"}, "ann", ControlError, "nothing in quarantine"),
        ({"id": ONE, "decision": "perhaps"}, "ann", ControlError, "release or keep"),
        ({"id": ONE}, "ann", ControlError, "release or keep"),
        ({"id": ONE, "decision": "keep"}, "", MoveError, "needs a name"),
    ],
)
async def test_what_makes_no_sense_is_refused(quarantine, store, request_, user, error, said):
    """An unknown id, an unknown decision and nobody are each refused in one line, and nothing is kept."""
    with pytest.raises(error, match=said):
        await quarantine.decide(request_, user)
    assert store.quarantine_decisions() == []


async def test_an_id_that_means_two_entries_is_refused(store, lists):
    """Whoever writes too little of an id is asked for more."""
    lists.statuses["plain"] = Status("plain", "ok", held=(held("abcd" + "0" * 28), held("abcd" + "1" * 28)))
    with pytest.raises(ControlError, match="several"):
        await Quarantine(SETTINGS, store, lists).decide({"id": "abcd", "decision": "keep"}, "ann")


def test_the_tally_counts_what_is_held_and_what_waits_too_long(lists):
    """Every list has its numbers; what people kept is held back, and never overdue."""
    assert tally(SETTINGS, lists.statuses, [], NOW) == {"plain": Tally(2, 1), "law": Tally(1, 0)}
    kept = Decision("plain", TWO, Choice.KEEP, "ann", NOW)
    assert tally(SETTINGS, lists.statuses, [kept], NOW)["plain"] == Tally(2, 0)
    one_of_two = Decision("law", LAW, Choice.RELEASE, "ann", NOW)
    assert tally(SETTINGS, lists.statuses, [one_of_two], NOW + timedelta(days=2))["law"] == Tally(1, 1)
    assert tally(SETTINGS, {}, [kept], NOW) == {"plain": Tally(0, 0), "law": Tally(0, 0)}
