from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from filterproxy.core.decide import decide
from filterproxy.core.model import Entry, Kind, Question, Request, Scope
from filterproxy.lists import publish
from filterproxy.lists.offline import compile_all
from filterproxy.lists.refresh import Refresher
from filterproxy.lists.seals import Seals
from filterproxy.settings import Settings
from tests.policies import NOW, override
from tests.policies import url as url_of
from tests.seals import OPENING, SEALS


@pytest.fixture
def house(tmp_path):
    """A state folder, a list of names, and what came over the network when the product last ran."""
    names, far = tmp_path / "names", tmp_path / "far"
    names.write_text("near.example\n")
    far.write_text("h.example/far\n")
    settings = Settings.model_validate({
        "runtime": {"state": str(tmp_path / "state")},
        "lists": [
            {"id": "near", "format": "domains", "source": str(names)},
            {"id": "far", "format": "urls", "source": str(far)},
        ],
        "profiles": [{"id": "default", "networks": ["0.0.0.0/0"], "deny": ["own.example"]}],
    })  # fmt: skip
    known = Refresher(settings, SEALS)
    known.refresh(settings.lists, NOW)
    known.override([override("near", Entry(Kind.DOMAIN, "spared.near.example", Scope.EXACT))], NOW)
    remote = settings.lists[1].model_copy(update={"source": "https://lists.example/far.txt"})
    return settings.model_copy(update={"lists": (settings.lists[0], remote)})


def blocked(policy, name):
    """Tell whether a name is blocked."""
    return decide(Question("default", name), policy, NOW).blocked


def far_blocked(policy):
    """Tell whether the page that came over the network is blocked."""
    return decide(Request("default", "GET", url_of("http://h.example/far")), policy, NOW).blocked


def test_lists_are_read_anew_and_what_came_over_the_network_is_taken_from_disk(house):
    """So are overrides; what is in a file or the configuration counts as it is now."""
    Path(house.lists[0].source).write_text("near.example\nnew.example\n")
    policy = compile_all(house, SEALS, OPENING)
    assert blocked(policy, "new.example")
    assert blocked(policy, "near.example")
    assert not blocked(policy, "spared.near.example")
    assert blocked(policy, "own.example")
    assert far_blocked(policy)


def test_without_the_keys_only_what_is_here_counts(house):
    """Nobody's keys open no bundle, and none is asked for."""
    policy = compile_all(house, Seals.passing())
    assert blocked(policy, "near.example")
    assert not far_blocked(policy)


@pytest.mark.parametrize("wrong", ["damaged", "older", "other digest key"])
def test_a_bundle_that_is_refused_counts_as_none(house, caplog, wrong):
    """It is reported, and what is here counts all the same."""
    seals, folder = SEALS, publish.bundle_folder(house.runtime.state)
    if wrong == "damaged":
        path = next(folder.glob("*.seg"))
        path.write_bytes(path.read_bytes()[:-1])
        for other in folder.glob("*.seg"):
            other.write_bytes(other.read_bytes()[:-1])
    elif wrong == "older":
        publish.set_mark(house.runtime.state, 99)
    else:
        seals = Seals(b"d" * 32, *(getattr(SEALS, name) for name in Seals.__slots__[1:]))
    policy = compile_all(house, seals, OPENING)
    assert blocked(policy, "near.example")
    assert not far_blocked(policy)
    assert "bundle: " in caplog.text


def test_a_list_whose_licence_has_ended_judges_nothing(house):
    """Wherever it lies."""
    over = house.lists[0].model_copy(update={"licence_until": (NOW - timedelta(days=1)).date()})
    policy = compile_all(house.model_copy(update={"lists": (over, house.lists[1])}), SEALS, OPENING)
    assert not blocked(policy, "near.example")
    assert far_blocked(policy)
