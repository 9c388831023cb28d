from __future__ import annotations

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists.sources import paths, tar
from filterproxy.lists.sources.memory import kept


def _packed(*items, form=tarfile.GNU_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, body, *more in items:
            member = tarfile.TarInfo(name)
            for key, value in (more[0] if more else {}).items():
                setattr(member, key, value)
            if body is not None:
                member.size = len(body)
            archive.addfile(member, io.BytesIO(body or b""))
    return file.getvalue()


def _read(body):
    content = kept([body], 1 << 24)
    try:
        return {member.path: content.read(member.at, member.size) for member in tar.members(content)}
    finally:
        content.close()


LONG = "/".join(["folder"] * 40) + "/domains"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_archive_gives_the_same_files(form):
    """POSIX, GNU and pax, with short and long names."""
    long = LONG if form != tarfile.USTAR_FORMAT else LONG[-150:].partition("/")[2]
    items = {"./ads/domains": b"a.example\n" * 100, "empty": b"", long: b"b.example\n", "last": b"c" * 512}
    assert _read(_packed(*items.items(), form=form)) == {
        "ads/domains": b"a.example\n" * 100, "empty": b"", long: b"b.example\n", "last": b"c" * 512,
    }  # fmt: skip


def test_links_devices_and_folders_are_left_out():
    """An archive with aliases is usable, and no alias leads anywhere."""
    body = _packed(
        ("ads", None, {"type": tarfile.DIRTYPE}),
        ("ads/domains", b"d"),
        ("alias", None, {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard", None, {"type": tarfile.LNKTYPE, "linkname": "../" + "x" * 200}),
        ("pipe", None, {"type": tarfile.FIFOTYPE}),
        ("device", None, {"type": tarfile.CHRTYPE}),
        ("z/urls", b"u"),
    )
    assert _read(body) == {"ads/domains": b"d", "z/urls": b"u"}


@pytest.mark.parametrize("name", ["/etc/domains", "../domains", "a/../../b", "a\nb"])
def test_a_member_with_an_odd_path_makes_the_archive_one(name):
    """Whoever made it meant harm: nothing of it is taken."""
    for body in (_packed(("ok", b"x"), (name, b"y")), _packed((name, None, {"type": tarfile.DIRTYPE}))):
        with pytest.raises(SourceError, match="odd path"):
            _read(body)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_is_cut_anywhere_is_refused(form):
    """Also at the very end of a member, where other readers take what is left for the whole."""
    body = _packed(("a", b"x" * 600), (LONG, b"y"), form=form)
    end = len(body.rstrip(b"\0")) // 512 * 512 + 512
    for at in [*range(1, end, 37), *range(512, end + 1, 512)]:
        with pytest.raises(SourceError):
            _read(body[:at])
    assert len(_read(body[: end + 512])) == 2


def test_what_is_damaged_or_followed_is_refused():
    """A header that is wrong is no end, and neither is an end that something follows."""
    body = bytearray(_packed(("a", b"x"), ("b", b"y")))
    with pytest.raises(SourceError, match="follows"):
        _read(bytes(body) + b"z")
    with pytest.raises(SourceError, match="odd path"):
        _read(_packed(("a", b"x"), ("./a", b"y")))
    body[1024 + 5] ^= 1
    with pytest.raises(SourceError, match="damaged"):
        _read(bytes(body))


@pytest.mark.parametrize(("kind", "body"), [
    (tarfile.GNUTYPE_SPARSE, b""), (b"M", b""), (b"Z", b"x"), (tarfile.SYMTYPE, b"x"), (tarfile.DIRTYPE, b"x"),
])  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(kind, body):
    """Holes, parts of other archives, folders that hold bytes."""
    header = bytearray(_packed(("a", body))[:512])
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(SourceError, match=r"unknown kind|damaged"):
        _read(bytes(header) + body.ljust(512, b"\0") * bool(body) + b"\0" * 1024)


def test_the_number_of_members_is_bounded(monkeypatch):
    """A million empty files are no list."""
    monkeypatch.setattr(paths, "MAX_DOCUMENTS", 3)
    with pytest.raises(SourceError, match="more than 3 files"):
        _read(_packed(*((f"f{number}", b"") for number in range(5))))


def test_a_name_that_takes_megabytes_is_refused():
    """What says more about a member is small."""
    with pytest.raises(SourceError):
        _read(_packed(("a" * 100_000, b"x")))


@given(st.data())
def test_any_bytes_are_an_archive_or_refused(data):
    """Whatever is changed in an archive, what comes out is files or a SourceError."""
    form = data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    body = bytearray(_packed(("a", b"x" * 20), (LONG, b"y"), form=form))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + 8] = data.draw(st.binary(max_size=12))
    for start in range(0, len(body) - 511, 512):  # so that what follows the checksum is reached
        header = body[start : start + 512]
        if data.draw(st.booleans()) and any(header):
            header[148:156] = b" " * 8
            body[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    with suppress(SourceError):
        _read(bytes(body))


@given(st.binary(max_size=2000))
def test_random_bytes_are_refused(body):
    """Bytes that are no archive raise SourceError alone."""
    if not body.strip(b"\0"):
        return
    with pytest.raises(SourceError):
        _read(body)
