"""Control's keys at its start: those that the bundle on disk was made under, also in the middle of a rotation."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from filterproxy.keys import UNDER_BUNDLE, Keys, rotation
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Seals
from filterproxy.runtime.rekeying import keys_of, openers
from filterproxy.runtime.worker import Shared
from filterproxy.settings import load_text

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def worker(tmp_path):
    """What of a worker is asked for."""
    text = f'[runtime]\nstate = "{tmp_path / "state"}"\n[keys]\nfolder = "{tmp_path / "keys"}"\n'
    Keys.open_or_create(tmp_path / "keys")
    found: Any = SimpleNamespace(settings=load_text(text))
    return found


def told(worker: Any) -> Keys:
    """Tell the worker what the supervisor tells it, and return the supervisor's keys."""
    keys = Keys.open(worker.settings.keys_folder)
    coming = keys.after("patterns").patterns_public if "patterns" in keys.next else b""
    shared = Shared(keys.token_public, keys.patterns_public, coming, keys.mac)
    worker.keys = Shared.from_json(shared.to_json())
    return keys


@pytest.mark.parametrize("name", UNDER_BUNDLE)
def test_control_goes_on_under_the_keys_of_the_bundle_on_disk(worker, name):
    """Before a rotation has written it the keys in use, afterwards the next; it never holds what opens patterns."""
    told(worker)
    assert keys_of(worker).patterns_private == b""
    Refresher(worker.settings, Seals.of(keys_of(worker))).refresh_own(NOW)
    rotation.begin(worker.settings.keys_folder, name)
    begun = told(worker)
    assert Seals.of(keys_of(worker)) == Seals.of(begun)
    Refresher(worker.settings, Seals.of(begun.after(name))).refresh_own(NOW)
    assert Seals.of(keys_of(worker)) == Seals.of(begun.after(name))
    assert keys_of(worker).patterns_private == b""


def test_tokens_open_by_every_key_that_somebody_may_seal_under(worker):
    """The one in use, the one that is to follow it, and those from before."""
    folder = worker.settings.keys_folder
    first = rotation.begin(folder, "token").token_private
    second = rotation.finish(folder, "token", NOW).token_private
    third = rotation.begin(folder, "token").next["token"]
    told(worker)
    assert openers(keys_of(worker)) == [second, third, first]
