from __future__ import annotations

import gzip
import io
import resource
import sys
import tarfile
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists.sources import unpack
from filterproxy.lists.sources.memory import kept

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = b"".join(b"name%d.example\n" % number for number in range(20_000))


def _unpacked(body, limit=1 << 24):
    content = kept([body], 1 << 28)
    try:
        assert unpack.packed(content)
        made = unpack.unpacked(content, limit)
        found = made.read(0, made.size)
        made.close()
        return found
    finally:
        content.close()


def _zstd(body):
    return zstd.compress(body, options={zstd.CompressionParameter.checksum_flag: 1})


SKIPPED = b"\x5a\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"a frame"
PACKED = {
    "gzip": gzip.compress(BODY),
    "members": gzip.compress(BODY[:100]) + gzip.compress(b"") + gzip.compress(BODY[100:]),
    "zstd": _zstd(BODY),
    "frames": _zstd(BODY[:100]) + SKIPPED + _zstd(b"") + _zstd(BODY[100:]),
    "skipped": SKIPPED + _zstd(BODY),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_is_unpacked(name):
    """Gzip and Zstandard, in one part or several."""
    assert _unpacked(PACKED[name]) == BODY


def test_a_list_is_not_taken_for_packed():
    """The first bytes decide, never a name."""
    for body in (b"", b"a", b"P*", b"a.example\n", b"(comment"):
        content = kept([body], 100)
        assert not unpack.packed(content)
        content.close()


@pytest.mark.parametrize("name", PACKED)
def test_what_is_cut_short_is_refused(name):
    """A part of a list is never taken for the list."""
    whole = PACKED[name]
    ends = [len(gzip.compress(BODY[:100])), len(_zstd(BODY[:100])), len(SKIPPED), len(SKIPPED) + len(_zstd(BODY[:100]))]
    for at in {4, 5, len(whole) // 2, len(whole) - 9, len(whole) - 1} - set(ends):
        with pytest.raises(SourceError, match="cut short|damaged"):
            _unpacked(whole[:at])


@pytest.mark.parametrize("name", PACKED)
def test_what_is_followed_or_damaged_is_refused(name):
    """Something behind the end, or a sum that does not fit."""
    whole = PACKED[name]
    for body in (whole + b"x", whole + b"a.example\n" * 9, whole + b"\0" * 512, whole[:-3] + b"xyz"):
        with pytest.raises(SourceError, match="cut short|damaged"):
            _unpacked(body)


@pytest.mark.parametrize("fill", [b"\n", b"\0"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_is_refused_soon_and_in_little_memory(kind, fill):
    """Ten gigabytes in a few megabytes: the limit holds, and what is no text is not unpacked so far."""
    chunk = fill * 2**20
    one = gzip.compress(chunk * 64) if kind == "gzip" else _zstd(chunk * 64)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(SourceError, match=r"larger than 16777216 bytes once unpacked|binary"):
        _unpacked(one * 160)
    assert time.process_time() - start < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_blocks_that_repeat_one_byte_are_unpacked_in_bites():
    """Four bytes can be 128 KiB: a megabyte of them is refused without ever holding 32 gigabytes."""
    block = ((131072 << 3) | 2).to_bytes(3, "little") + b"\n"
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + block * 260_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="larger than"):
        _unpacked(frame)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_a_frame_that_asks_for_too_much_memory_is_refused():
    """A window of a gigabyte is nothing that a list needs."""
    with pytest.raises(SourceError):
        _unpacked(b"\x28\xb5\x2f\xfd\x00\xa0" + b"\x01\x00\x00")


def test_a_million_empty_parts_are_refused(monkeypatch):
    """Each costs the work of a large one."""
    monkeypatch.setattr(unpack, "_PARTS", 10)
    for part in (gzip.compress(b""), _zstd(b""), SKIPPED):
        with pytest.raises(SourceError):
            _unpacked(part * 11)


def test_an_archive_of_zero_bytes_may_hold_them():
    """The end of an archive is zero bytes, and what a member holds is judged when it is read."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("list")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"a\0b\n"))
    assert _unpacked(gzip.compress(file.getvalue())) == file.getvalue()


@given(st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]), st.binary(max_size=300))
def test_any_bytes_are_unpacked_or_refused(magic, rest):
    """Whatever follows the first bytes, what comes out is bytes or a SourceError."""
    with suppress(SourceError):
        _unpacked((magic + rest).ljust(4, b"\0"))


@given(st.sampled_from(["gzip", "members", "zstd"]), st.integers(0, 400), st.binary(max_size=4))
def test_a_change_anywhere_gives_the_same_list_or_none(name, at, change):
    """No changed byte makes another list of one whose sum is checked."""
    body = bytearray(PACKED[name])
    body[4 + at : 4 + at + len(change)] = change
    try:
        found = _unpacked(bytes(body))
    except SourceError:
        return
    assert found == BODY
