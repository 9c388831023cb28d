"""Overrides in the store and overrides in force."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.alerts import Alerts
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.keys import Keys
from filterproxy.lists.publish import Manifest
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
    worker: Any = SimpleNamespace(settings=settings, channel=channel, live=SimpleNamespace(manifest=Manifest(1)))
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
