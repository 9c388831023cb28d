"""Which processes a configuration asks for, and which changes concern whom."""

from __future__ import annotations

import pytest

from filterproxy.runtime.places import concerns_inspector, fixed, number_of, places
from filterproxy.settings import load_text

ALL = frozenset({"control", "edge", "inspector"})
ZONES = """
[dns.transfer]
listen = ["127.0.0.1:853"]
certificate = "c"
key = "k"
[[lists]]
id = "a"
source = "x"
format = "domains"
"""


@pytest.mark.parametrize(("text", "roles", "names"), [
    ("", ALL, ["control", "edge-0", "inspector"]),
    ("[runtime]\nworkers = 3", ALL, ["control", "edge-0", "edge-1", "edge-2", "inspector"]),
    ("[dns]\nenabled = false", ALL, ["control", "edge-0", "inspector"]),
    ("[dns]\nenabled = false\n[gateway]\nenabled = false", ALL, ["control"]),
    ("[inspection]\nenabled = false", ALL, ["control", "edge-0"]),
    ("[gateway]\nenabled = false", ALL, ["control", "edge-0"]),
    ("[runtime]\nworkers = 2", frozenset({"edge"}), ["edge-0", "edge-1"]),
    (ZONES, ALL, ["control", "edge-0", "inspector"]),
    (ZONES + "rpz = true", ALL, ["control", "edge-0", "inspector", "transfer"]),
    (ZONES + "rpz = true", frozenset({"control"}), ["control", "transfer"]),
    (ZONES + "rpz = true", frozenset({"edge"}), ["edge-0"]),
])  # fmt: skip
def test_each_role_has_its_places(text, roles, names):
    """Control first, for all others wait for its bundle."""
    assert [name for _, name in places(load_text(text), roles)] == names


def test_a_workers_number_is_in_its_name():
    """Also where it has two digits."""
    assert [number_of("edge-0"), number_of("edge-13")] == [0, 13]


@pytest.mark.parametrize(("text", "same"), [
    ("[dns]\nblock_ttl = 31", True),
    ("[runtime]\nworkers = 4", True),
    ("[metrics]\nenabled = false", True),
    ("[runtime]\ndrain = 9", False),
    ('[[lists]]\nid = "a"\nsource = "x"\nformat = "urls"', False),
    ('[[profiles]]\nid = "a"', False),
    ('[portal]\nurl = "http://portal.example"', False),
    ('[gateway]\nlisten = "127.0.0.1:9"', False),
    ('[log]\nformat = "json"', False),
])  # fmt: skip
def test_an_inspector_is_concerned_by_what_it_works_by(text, same):
    """Lists, profiles, its own tables and the notice's; not by what DNS alone has."""
    assert (concerns_inspector(load_text(text)) == concerns_inspector(load_text(""))) is same


def test_what_only_a_new_start_can_change_is_named():
    """By the keys that the error names."""
    assert list(fixed(load_text(""))) == ["runtime.state", "runtime.user", "keys.folder"]
    assert fixed(load_text('[keys]\nfolder = "state/keys"')) == fixed(load_text(""))
