from __future__ import annotations

from dataclasses import replace

import pytest

from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.keys.ring import public_half
from filterproxy.lists import publish
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.known import Shelf
from filterproxy.lists.manifest import Manifest
from filterproxy.lists.stock import taken_up
from tests.policies import KEY
from tests.seals import SEALS


@pytest.fixture
def manifest(tmp_path):
    """A bundle of two lists on disk, and what a process that ended in the middle left beside it."""
    entries = [Entry(Kind.DOMAIN, "a.example", Scope.TREE)]
    segments = [compile_segment(f"list:{name}", entries, KEY) for name in ("one", "two")]
    parts = tuple(publish.write_segment(tmp_path, compiled, SEALS) for compiled in segments)
    written = Manifest(3, parts, keys=SEALS.ids)
    publish.save(tmp_path, written, SEALS)
    (tmp_path / ".cut.new").touch()
    return written


def test_a_good_bundle_is_taken_up_whole(tmp_path, manifest):
    """With nothing that needs writing anew; what is half written goes."""
    assert taken_up(tmp_path, SEALS, Shelf(tmp_path), 3) == (manifest, frozenset())
    assert not (tmp_path / ".cut.new").exists()


def test_what_is_damaged_is_left_out_and_what_is_older_counts_as_none(tmp_path, manifest, caplog):
    """Each with its reason; no file is removed that the manifest on disk names."""
    one, two = manifest.parts
    (tmp_path / one.file).write_bytes(b"x")
    assert taken_up(tmp_path, SEALS, Shelf(tmp_path), 3) == (replace(manifest, parts=(two,)), frozenset())
    assert "bundle: list:one: " in caplog.text
    assert (tmp_path / one.file).exists()
    assert taken_up(tmp_path, SEALS, Shelf(tmp_path), 4) == (Manifest(0), frozenset())
    assert "4 was in force before; reading every list anew" in caplog.text


def test_entries_sealed_for_a_key_that_is_gone_are_told(tmp_path, manifest, caplog):
    """Their lists are taken up: what is looked up is good."""
    seals = replace(SEALS, sealing_private=b"z" * 32, sealing_public=public_half("sealing", b"z" * 32))
    found = taken_up(tmp_path, seals, Shelf(tmp_path), 0)
    assert found == (manifest, frozenset(part.file for part in manifest.parts))
    assert caplog.text.count("its entries are sealed under another key") == 2
