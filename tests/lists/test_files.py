from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterproxy.core.bundle import Segment
from filterproxy.core.layout import split
from filterproxy.core.model import Entry, Kind, Scope
from filterproxy.core.patterns import fold
from filterproxy.errors import SegmentError
from filterproxy.lists.changes import ids
from filterproxy.lists.compile import compile_segment
from filterproxy.lists.files import arrays, entries_of, opened, write_segment, write_whole
from filterproxy.lists.seals import Opening, Seals
from tests.policies import KEY, NOW, entries, table
from tests.policies import url as url_of
from tests.seals import OPENING, PATTERNS, SEALING, SEALS

WORDS = table("words", "keywords")
COMPILED = compile_segment(
    "list:words", entries(WORDS, ["gadget", "gizmo,substring"]), KEY, WORDS.listing, loaded_at=NOW
)
DATED = [
    Entry(Kind.DOMAIN, "marked.example", Scope.TREE, reference="marked-1", not_after=NOW + timedelta(days=1)),
    Entry(Kind.KEYWORD, "markword", Scope.WORD),
]


def buffer(folder, part, opening=OPENING):
    """Return what workers map."""
    return b"".join(opened(folder, part, opening))


def refused(folder, part):
    """Tell whether whatever asks for the segment is refused it, by that one error, which names it."""
    for ask in (
        lambda: buffer(folder, part),
        lambda: arrays(folder, part, ("highs",)),
        lambda: list(entries_of(folder, part, SEALING)),
    ):
        try:
            ask()
        except SegmentError as exc:
            assert str(exc).startswith(f"{part.name}: ")
        else:
            return False
    return True


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small segment with a bit of everything, and its content."""
    folder = tmp_path_factory.mktemp("segments")
    part = write_segment(folder, compile_segment("list:a", DATED, KEY), SEALS)
    return folder, part, (folder / part.file).read_bytes()


def test_a_segment_is_sealed_on_disk_and_opened_for_the_workers(tmp_path):
    """Terms are in no file in clear; opened, they find what they should; only their owner reads the file."""
    part = write_segment(tmp_path, COMPILED, SEALS)
    content = (tmp_path / part.file).read_bytes()
    assert b"gadget" not in content
    assert (len(content), (tmp_path / part.file).stat().st_mode & 0o777) == (part.size, 0o600)
    segment = Segment.from_buffer(memoryview(buffer(tmp_path, part)))
    assert len(segment.patterns.find(fold(url_of("http://h.example/gadget?gizmos")))) == 2


def test_nothing_of_a_list_is_on_disk_in_clear_but_numbers(small):
    """Names, references and terms are sealed; a worker is given the last two, and never the entries."""
    folder, part, content = small
    for word in (b"marked", b"markword", b"not_after"):
        assert word not in content
    header, parts = split(memoryview(buffer(folder, part)))
    assert not {"entries", "pattern_ids"} & parts.keys()
    assert header["shares"]["domains"] == 1
    said = buffer(folder, part)
    assert b"marked.example" not in said
    assert b"marked-1" in said
    assert b"markword" in said


def test_what_is_opened_is_what_was_compiled(small):
    """Every part as it was, and the same when it is compiled and used in one process."""
    folder, part, _ = small
    compiled = compile_segment("list:a", DATED, KEY)
    _, parts = split(memoryview(buffer(folder, part)))
    assert {name: bytes(view) for name, view in parts.items()} == {
        name: bytes(content) for name, content in compiled.parts.items()
    }


def test_every_changed_byte_is_refused(small, tmp_path):
    """Each byte of a segment's file in turn: nothing is opened, compared or named from it."""
    _, part, content = small
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / part.file).write_bytes(damaged)
        assert refused(tmp_path, part), place


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_flipped_bit_anywhere_is_refused(small, tmp_path, data):
    """Any bit, or several."""
    _, part, content = small
    damaged = bytearray(content)
    for place in data.draw(st.sets(st.integers(0, len(content) * 8 - 1), min_size=1, max_size=4)):
        damaged[place // 8] ^= 1 << place % 8
    (tmp_path / part.file).write_bytes(damaged)
    assert refused(tmp_path, part)


def test_what_is_cut_short_or_longer_is_refused(small, tmp_path):
    """At any byte."""
    _, part, content = small
    for size in range(len(content)):
        (tmp_path / part.file).write_bytes(content[:size])
        assert refused(tmp_path, part), size
    (tmp_path / part.file).write_bytes(content + b"\0")
    assert refused(tmp_path, part)


def test_a_file_that_is_another_s_or_away_is_refused(small, tmp_path):
    """Another segment's content, one of another installation, a folder, nothing at all."""
    folder, part, content = small
    other = write_segment(tmp_path, compile_segment("list:b", DATED, KEY), SEALS)
    assert refused(tmp_path, replace(other, name="list:a"))
    (tmp_path / other.file).write_bytes(content)
    assert refused(tmp_path, other)
    foreign = write_segment(tmp_path, compile_segment("list:a", DATED, KEY), Seals.passing())
    for ask in (lambda: buffer(tmp_path, foreign), lambda: list(entries_of(tmp_path, foreign, SEALING))):
        with pytest.raises(SegmentError, match="list:a: sealed under another key"):
            ask()
    with pytest.raises(SegmentError, match="another key"):
        buffer(folder, part, Opening(SEALING, OPENING.signing_public))
    with pytest.raises(SegmentError, match="another key"):
        list(entries_of(folder, part, PATTERNS))
    assert refused(tmp_path, part)
    (tmp_path / part.file).mkdir()
    assert refused(tmp_path, part)


def test_the_entries_of_a_segment_are_sealed_and_come_back(tmp_path):
    """They are on disk for whoever has the key, in as many chunks as they need."""
    many = [Entry(Kind.DOMAIN, f"marked-{number}.example", Scope.TREE) for number in range(9000)]
    part = write_segment(tmp_path, compile_segment("list:names", many, KEY), SEALS)
    assert list(entries_of(tmp_path, part, SEALING)) == many
    assert b"marked" not in (tmp_path / part.file).read_bytes()


def test_two_readings_are_compared_without_opening_anything(small):
    """The ids on disk are those of what was compiled, terms included."""
    folder, part, _ = small
    _, found = arrays(folder, part, ("highs", "codes", "pattern_ids"))
    compiled = compile_segment("list:a", DATED, KEY)
    assert ids(found, KEY).tolist() == ids(compiled.parts, KEY).tolist()
    assert len(found["pattern_ids"]) == 8


def test_the_same_is_never_written_the_same_way(tmp_path):
    """Its key is fresh each time, so that two files of one list do not show what changed."""
    one, other = (write_segment(tmp_path, COMPILED, SEALS) for _ in range(2))
    assert one.version == other.version
    assert one.file != other.file


def test_a_file_is_announced_before_it_has_its_name(tmp_path):
    """Who removes what nothing names can be told in time."""
    told: list[str] = []

    def announce(file: str) -> None:
        assert not (tmp_path / file).exists()
        told.append(file)

    part = write_segment(tmp_path, COMPILED, SEALS, announce)
    assert told == [part.file]


def test_what_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    """Neither a file under its name nor a scrap of it; what was there before is as it was."""
    write_whole(tmp_path, [b"before"], lambda _: "name")

    def pieces():
        yield b"half"
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        write_whole(tmp_path, pieces(), lambda _: "name")
    monkeypatch.setattr(os, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path, [b"after"], lambda _: "name")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("name", b"before")]
