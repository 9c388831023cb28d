from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from filterproxy.errors import SegmentError
from filterproxy.lists import publish
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.publish import Manifest, Status
from tests.policies import KEY, NOW, entries, table
from tests.seals import SEALS, SIGNING

WORDS = table("words", "keywords")
COMPILED = compile_segment("list:words", entries(WORDS, ["gadget"]), KEY, WORDS.listing, loaded_at=NOW)
GOOD = Manifest(3, (), (Status("words", "ok"),), NOW.isoformat(), (NOW + timedelta(days=1)).isoformat(), SEALS.ids)
FOREIGN = replace(SEALS, signing_private=b"x" * 32)


def load(folder, **more):
    """Return the manifest that this installation takes from a folder."""
    return publish.load(folder, SEALS.signing_public, **more)


def test_a_manifest_survives_and_what_it_does_not_name_goes(tmp_path):
    """Saving puts it in force whole and removes segments of before."""
    old = publish.write_segment(tmp_path, compile_segment("list:old", [], KEY), SEALS)
    part = publish.write_segment(tmp_path, COMPILED, SEALS)
    manifest = replace(GOOD, parts=(part,))
    publish.save(tmp_path, manifest, SEALS)
    assert load(tmp_path) == manifest
    assert manifest.loaded() == {"list:words": NOW}
    assert not (tmp_path / old.file).exists()
    assert (tmp_path / publish.MANIFEST).stat().st_mode & 0o777 == 0o600


def test_what_is_still_being_written_is_kept(tmp_path):
    """One list may be written while another takes force."""
    fresh: list[str] = []
    part = publish.write_segment(tmp_path, COMPILED, SEALS, fresh.append)
    half = tmp_path / f".{'0' * 16}.new"
    half.write_bytes(b"half a segment")
    publish.save(tmp_path, GOOD, SEALS, fresh)
    assert (tmp_path / part.file).exists()
    assert half.exists()


def test_what_a_dead_process_left_behind_is_swept(tmp_path):
    """Half a file goes in any case, a segment that nothing names once it is known that nothing does."""
    part = publish.write_segment(tmp_path, COMPILED, SEALS)
    half = tmp_path / f".{'0' * 16}.new"
    half.write_bytes(b"half a segment")
    publish.sweep(tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == [part.file]
    publish.sweep(tmp_path, replace(GOOD, parts=(part,)))
    assert (tmp_path / part.file).exists()
    publish.sweep(tmp_path, GOOD)
    assert not list(tmp_path.iterdir())


def test_without_a_manifest_there_is_none_and_a_damaged_one_is_an_error(tmp_path):
    """A first start is no failure; a broken file is, and is not taken for a first start."""
    assert load(tmp_path) is None
    (tmp_path / publish.MANIFEST).write_text("{")
    with pytest.raises(SegmentError, match="damaged"):
        load(tmp_path)
    (tmp_path / publish.MANIFEST).unlink()
    (tmp_path / publish.MANIFEST).mkdir()
    with pytest.raises(SegmentError, match="cannot be read"):
        load(tmp_path)


def test_a_foreign_older_or_expired_manifest_is_refused(tmp_path):
    """Each with its reason; the very moment at which it expires is too late, the generation in force is not too old."""
    publish.save(tmp_path, GOOD, FOREIGN)
    with pytest.raises(SegmentError, match="not signed with this installation's key"):
        load(tmp_path)
    publish.save(tmp_path, GOOD, SEALS)
    with pytest.raises(SegmentError, match="generation 3, and 4 was in force before"):
        load(tmp_path, mark=4)
    with pytest.raises(SegmentError, match="expired"):
        load(tmp_path, mark=3, now=NOW + timedelta(days=1))
    assert load(tmp_path, mark=3, now=NOW + timedelta(hours=23)) == GOOD


def test_a_manifest_may_be_signed_with_one_of_several_keys(tmp_path):
    """While the signing key is being replaced, the first bundle under the next one is ours too."""
    publish.save(tmp_path, GOOD, SEALS)
    assert publish.load(tmp_path, FOREIGN.signing_public, SEALS.signing_public) == GOOD
    assert SEALS.signing_private == SIGNING


def test_a_write_that_fails_leaves_the_last_file(tmp_path, monkeypatch):
    """A disk that fills up while a manifest is written leaves the one before in force, and no scraps."""
    publish.save(tmp_path, replace(GOOD, generation=1), SEALS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        publish.save(tmp_path, replace(GOOD, generation=2), SEALS)
    assert load(tmp_path) == replace(GOOD, generation=1)
    assert [path.name for path in tmp_path.iterdir()] == [publish.MANIFEST]


def test_the_generation_in_force_is_noted_beside_the_bundle(tmp_path, caplog):
    """It outlives the bundle; a damaged note is reported and counts as none."""
    assert publish.mark(tmp_path) == 0
    publish.set_mark(tmp_path, 7)
    assert publish.mark(tmp_path) == 7
    assert not caplog.text
    (tmp_path / publish.MARK).write_bytes(b"\xff")
    assert publish.mark(tmp_path) == 0
    assert publish.MARK in caplog.text


def test_what_did_not_come_into_force_is_removed(tmp_path):
    """But not what the manifest names: a disk may fail when all is written, and the new bundle is in force then."""
    parts = [publish.write_segment(tmp_path, COMPILED, SEALS) for _ in range(3)]
    publish.discard(tmp_path, {parts[0].file})
    publish.save(tmp_path, replace(GOOD, parts=(parts[1],)), SEALS, [parts[2].file])
    publish.discard(tmp_path, {parts[1].file, parts[2].file})
    assert {path.name for path in tmp_path.iterdir()} == {publish.MANIFEST, parts[1].file}
