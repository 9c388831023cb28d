"""The way of a count: from a process into the journal, and from there into the store, once."""

from __future__ import annotations

import asyncio

from filterproxy.core.model import Verdict
from filterproxy.runtime.books import Books
from filterproxy.runtime.channel import ChannelError
from filterproxy.runtime.children import Child
from filterproxy.settings import load_text


class Control:
    """Stands for the control process: takes batches, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[tuple[str, list[list[object]]]] = []

    async def ask(self, kind, body, timeout):
        assert kind == "totals"
        if self.away:
            raise ChannelError("the process is gone")
        self.taken.append((body["batch"], body["rows"]))
        return {}


def test_counts_reach_the_store_once_and_wait_while_it_is_away(tmp_path, monkeypatch):
    """What could not be handed over goes with the next batch but one, under its first name."""
    monkeypatch.setattr("filterproxy.runtime.books._TO_STORE", 0.0)
    child, control = Child("edge", "edge-0", load_text("")), Control()
    books = Books(tmp_path, [child])

    async def story() -> None:
        child.counters.verdict("dns", Verdict())
        control.away = True
        await books.tick(control.ask)
        child.counters.verdict("dns", Verdict())
        control.away = False
        await books.tick(control.ask)
        await books.tick(control.ask)
        await books.tick(control.ask)
        await books.close()

    asyncio.run(story())
    assert [rows for _, rows in control.taken] == [[["-", "dns", "allow", 1]], [["-", "dns", "allow", 1]]]
    assert len({name for name, _ in control.taken}) == 2
    assert books.journal.pending() == 0
    assert books.free_bytes


def test_what_a_retired_process_counted_stays_counted(tmp_path):
    """Its successor counts from nought, beside it and after it; no total falls, also of a list that is no more."""
    settings = load_text('[[lists]]\nid = "gone"\nsource = "x"\nformat = "urls"')
    old, new = Child("edge", "edge-0", settings), Child("edge", "edge-0", load_text(""))
    books = Books(tmp_path, ())
    books.open(old)
    listing = next(item for item in settings.listings)
    old.counters.verdict("dns", Verdict(unavailable=listing))
    old.counters.event("dns_queries")
    books.open(new)
    new.counters.event("dns_queries")
    before = books.counts()
    assert before.events["dns_queries"] == 2
    for child in (old, old):  # however often
        books.retire(child)
        child.close()
    assert books.counts() == before
    new.counters.event("dns_queries")
    assert books.counts().events["dns_queries"] == 3
    assert books.counts().verdicts == {("gone", "dns", "block"): 1}
