"""Overrides in the store and overrides in force."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.alerts import Alerts
from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.keys import Keys
from filterproxy.lists.publish import Manifest
from filterproxy.runtime import desk
from filterproxy.runtime.decisions import Outcome
from filterproxy.runtime.librarian import Librarian
from filterproxy.settings import load_text
from filterproxy.store import Store

CONFIG = """
[[lists]]
id = "own"
source = "x"
format = "urls"
[[lists]]
id = "law"
source = "x"
format = "urls"
basis = "law"
mandatory = true
"""
CANARIES = {"canary:own", "canary:law"}
ENTRY = Entry(Kind.URL, "a.example/x", Scope.PAGE, Action.ALLOW)


class Channel:
    """Takes what is published."""

    def __init__(self) -> None:
        self.published: list[set[str]] = []

    async def ask(self, _: str, body: dict[str, Any], *, timeout: float) -> dict[str, Any]:
        self.published.append({part["name"] for part in json.loads(body["signed"])["manifest"]["parts"]})
        return {}


@pytest.fixture
def store(tmp_path):
    made = Store.open(f"sqlite:///{tmp_path / 'db'}", bytes(32))
    yield made
    made.close()


async def opened(tmp_path, store: Store) -> tuple[Librarian, Channel]:
    """Return a librarian whose lists were read before, as after a restart."""
    settings, channel = load_text(CONFIG), Channel()
    settings = settings.model_copy(
        update={"runtime": settings.runtime.model_copy(update={"state": tmp_path / "state"})}
    )
    (tmp_path / "state").mkdir(mode=0o700)
    worker: Any = SimpleNamespace(
        settings=settings, channel=channel, live=SimpleNamespace(manifest=Manifest(1), policy=None), whole_first=False
    )
    librarian = Librarian(worker, Keys.open_or_create(tmp_path / "keys"), store, Alerts(worker.settings))
    await librarian._open()
    return librarian, channel


async def test_what_too_few_approved_for_the_list_as_it_is_now_is_not_in_force(tmp_path, store):
    """One person's override of a list that has become mandatory since spares nothing; two people's does."""
    librarian, channel = await opened(tmp_path, store)
    moment = datetime.now(UTC)
    given = {"by": "ada", "reason": "", "expires_at": moment + timedelta(days=1), "now": moment, "reference": "AZ 1"}
    for name in ("own", "law", "gone"):
        store.add_override(Listing(name), ENTRY, **given)
    await librarian.look_for_overrides(force=True)
    assert channel.published == [CANARIES | {"override:own"}]
    row = store.add_override(Listing("law", mandatory=True), ENTRY, **given)
    await librarian.look_for_overrides(force=True)
    assert channel.published[-1] == CANARIES | {"override:own"}
    store.approve_override(row.id, "grace", moment)
    await librarian.look_for_overrides(force=True)
    assert channel.published[-1] == CANARIES | {"override:own", "override:law"}


async def test_an_override_waits_for_no_source(tmp_path, store):
    """However many readings stall, of people who ask again and again: it is in force all the same."""
    librarian, channel = await opened(tmp_path, store)
    moment, stall = datetime.now(UTC), threading.Event()
    store.add_override(
        Listing("own"), ENTRY, by="ada", reason="", expires_at=moment + timedelta(days=1), now=moment, reference=""
    )
    try:
        for _ in range(50):
            librarian._loop.run_in_executor(librarian._threads, stall.wait, 20)
        await asyncio.wait_for(librarian.look_for_overrides(force=True), 5)
    finally:
        stall.set()
    assert channel.published == [CANARIES | {"override:own"}]


async def test_people_who_decide_at_once_do_not_wait_for_each_other(tmp_path, store):
    """Each holds a thread of the loop's until its override is in force: what puts it there needs none of these."""
    librarian, channel = await opened(tmp_path, store)
    moment = datetime.now(UTC)
    store.add_override(
        Listing("own"), ENTRY, by="ada", reason="", expires_at=moment + timedelta(days=1), now=moment, reference=""
    )
    with ThreadPoolExecutor(2) as few:
        librarian._loop.set_default_executor(few)
        async with asyncio.timeout(5):
            await asyncio.gather(*(asyncio.to_thread(librarian.put_in_force) for _ in range(4)))
    assert channel.published[-1] == CANARIES | {"override:own"}


async def test_decisions_hold_none_of_the_loops_threads(tmp_path, store, monkeypatch):
    """Control adopts a bundle in one of these: were all held by people who wait for it, none would take force."""
    librarian, _ = await opened(tmp_path, store)
    decided, few = threading.Event(), ThreadPoolExecutor(1)
    librarian._loop.set_default_executor(few)
    monkeypatch.setattr(desk, "carry_out", lambda *_: decided.wait(20) and Outcome(State.REJECTED))
    asked = desk.Desk(librarian._worker, store, librarian, librarian._alerts)
    body = {"request": {"do": "appeals.decide", "receipt": "r", "decision": "reject"}, "by": "ada"}
    people = [asyncio.create_task(asked.command(body)) for _ in range(3)]
    try:
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: True), 5)
    finally:
        decided.set()
        await asyncio.gather(*people)
