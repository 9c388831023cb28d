from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.core.bundle import Segment, split
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.patterns import fold
from filterproxy.errors import SegmentError
from filterproxy.lists import publish
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.publish import Manifest, Status
from tests.policies import KEY, NOW, entries, table
from tests.policies import url as url_of

WORDS = table("words", "keywords")
COMPILED = compile_segment(
    "list:words", entries(WORDS, ["gadget", "gizmo,substring"]), KEY, WORDS.listing, loaded_at=NOW
)


def test_a_segment_is_sealed_on_disk_and_opened_for_the_workers(tmp_path):
    """Terms are in no file in clear; opened, they find what they should; only their owner reads the file."""
    part = publish.write_segment(tmp_path, COMPILED, KEY)
    content = (tmp_path / part.file).read_bytes()
    assert b"gadget" not in content
    assert (tmp_path / part.file).stat().st_mode & 0o777 == 0o600
    segment = Segment.from_buffer(memoryview(publish.opened_segment(tmp_path, part, KEY)))
    assert len(segment.patterns.find(fold(url_of("http://h.example/gadget?gizmos")))) == 2


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path):
    """A flipped bit, another key, another name, a missing file: one error each, and nothing adopted."""
    part = publish.write_segment(tmp_path, COMPILED, KEY)
    path = tmp_path / part.file
    with pytest.raises(SegmentError, match="another key"):
        publish.opened_segment(tmp_path, part, b"x" * 32)
    with pytest.raises(SegmentError, match="another key"):
        publish.opened_segment(tmp_path, replace(part, name="list:other"), KEY)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SegmentError, match="not the one"):
        publish.opened_segment(tmp_path, part, KEY)
    path.unlink()
    with pytest.raises(SegmentError):
        publish.opened_segment(tmp_path, part, KEY)


def test_a_manifest_survives_and_what_it_does_not_name_goes(tmp_path):
    """Saving puts it in force whole and removes segments of before."""
    old = publish.write_segment(tmp_path, compile_segment("list:old", [], KEY), KEY)
    part = publish.write_segment(tmp_path, COMPILED, KEY)
    manifest = Manifest(3, (part,), (Status("words", "ok"),), NOW.isoformat())
    publish.save(tmp_path, manifest)
    assert publish.load(tmp_path) == manifest
    assert manifest.loaded() == {"list:words": NOW}
    assert not (tmp_path / old.file).exists()


def test_what_is_still_being_written_is_kept(tmp_path):
    """One list may be written while another takes force; only what a dead process left behind is swept."""
    fresh: list[str] = []
    part = publish.write_segment(tmp_path, COMPILED, KEY, fresh.append)
    half = tmp_path / f".{'0' * 32}.seg.77"
    half.write_bytes(b"half a segment")
    publish.save(tmp_path, Manifest(3), fresh)
    assert (tmp_path / part.file).exists()
    assert half.exists()
    publish.sweep(tmp_path)
    assert not half.exists()


def test_the_entries_of_a_segment_are_sealed_and_come_back(tmp_path):
    """They are on disk for whoever has the key, and in no worker's buffer."""
    entries = [Entry(Kind.DOMAIN, f"marked-{number}.example", Scope.TREE) for number in range(9000)]
    part = publish.write_segment(tmp_path, compile_segment("list:names", entries, KEY), KEY)
    assert list(publish.entries_of(tmp_path, part, KEY)) == entries
    assert b"marked" not in (tmp_path / part.file).read_bytes()
    assert "entries" not in split(memoryview(publish.opened_segment(tmp_path, part, KEY)))[1]
    with pytest.raises(SegmentError, match="another key"):
        list(publish.entries_of(tmp_path, part, b"x" * 32))


def test_without_a_manifest_there_is_none_and_a_damaged_one_is_an_error(tmp_path):
    """A first start is no failure; a broken file is, and is not taken for a first start."""
    assert publish.load(tmp_path) is None
    (tmp_path / publish.MANIFEST).write_text("{")
    with pytest.raises(SegmentError):
        publish.load(tmp_path)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_foreign_json_is_no_manifest(value):
    """Whatever a manifest's fields hold, reading it is a manifest or that one error."""
    for data in (
        {"generation": value, "parts": [], "statuses": [], "created_at": ""},
        {"generation": 1, "parts": value},
    ):
        with suppress(SegmentError):
            Manifest.from_dict(data)


def test_a_write_that_fails_leaves_the_last_file(tmp_path, monkeypatch):
    """A disk that fills up while a manifest is written leaves the one before in force, and no scraps."""
    publish.save(tmp_path, Manifest(1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        publish.save(tmp_path, Manifest(2))
    assert publish.load(tmp_path) == Manifest(1)
    assert [path.name for path in tmp_path.iterdir()] == [publish.MANIFEST]
