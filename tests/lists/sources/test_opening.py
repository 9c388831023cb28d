from __future__ import annotations

import base64
import gzip
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filterproxy.errors import SourceError
from filterproxy.lists import sources
from filterproxy.lists.sources import Validators
from tests.lists.sources.web import here, plain, table

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIST = b"a.example\nb.example\n"
TREE = {"ads/domains": LIST, "ads/urls": b"c.example/x\n", "bank/domains": b"d.example\n", "README": b"text"}
SECRET = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
KEY = base64.b64encode(SECRET.public_key().public_bytes_raw()).decode()


def _archive(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return file.getvalue()


def _read(found, before=None):
    with sources.opened(found, before, resolve=here) as fetched:
        return {document.path: b"".join(document.lines) for document in fetched.documents}


def _descriptors():
    """Return what is open, but for sockets: the server's own threads close theirs when they come to it."""
    found = (str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sorted(name for name in found if not name.startswith("socket:"))


@pytest.mark.parametrize(("body", "found"), [
    (LIST, {"list.txt": LIST}),
    (b"", {"list.txt": b""}),
    (gzip.compress(LIST), {"list.txt": LIST}),
    (zstd.compress(LIST), {"list.txt": LIST}),
    (_archive(TREE), TREE),
    (gzip.compress(_archive(TREE)), TREE),
    (zstd.compress(_archive(TREE)), TREE),
])  # fmt: skip
def test_a_file_is_a_list_or_an_archive_of_some(tmp_path, body, found):
    """Told by its first bytes, whatever its name; documents come sorted, and as often as they are asked for."""
    path = tmp_path / "list.txt"
    path.write_bytes(body)
    with sources.opened(table(path)) as fetched:
        assert [document.path for document in fetched.documents] == sorted(found)
        for _ in range(2):
            assert {document.path: b"".join(document.lines) for document in fetched.documents} == found
        assert (fetched.size, fetched.unchanged, fetched.validators) == (len(body), False, Validators())


def test_a_folder_and_an_archive_of_it_are_the_same_list(tmp_path):
    """Whole, or the part of it that is asked for."""
    for name, body in TREE.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    (tmp_path / "tree.tar").write_bytes(_archive({f"./{name}": body for name, body in TREE.items()}))
    for source in (tmp_path / "tree", tmp_path / "tree.tar"):
        assert _read(table(source)) == TREE
        assert _read(table(source, within="ads")) == {"domains": LIST, "urls": b"c.example/x\n"}
        for within in ("nothing", "ad", "README"):
            with pytest.raises(SourceError, match="within"):
                _read(table(source, within=within))


def test_what_is_packed_twice_is_binary(tmp_path):
    """One layer and an archive in it; not a chain of them."""
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(gzip.compress(LIST * 200, mtime=0)))
    with pytest.raises(SourceError, match=r"list: binary"):
        _read(table(path))


def test_whether_what_was_read_has_its_end_is_told(tmp_path):
    """Only what was read counts: a licence's text beside the list may end as it likes."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(LIST)
    (tmp_path / "tree" / "b").write_bytes(b"no end")
    with sources.opened(table(tmp_path / "tree")) as fetched:
        list(fetched.documents[0].lines)
        assert fetched.ended
        list(fetched.documents[1].lines)
        assert not fetched.ended


@pytest.mark.parametrize(("make", "reason"), [
    (lambda path: None, "No such file"),
    (lambda path: path.mkdir(), "no file is there"),
    (os.mkfifo, "not a regular file"),
    (lambda path: path.write_bytes(b"x" * 1001), "larger than 1000 bytes"),
    (lambda path: path.write_bytes(gzip.compress(b"\n" * 5000)), "larger than 2000 bytes once unpacked"),
    (lambda path: path.write_bytes(gzip.compress(LIST)[:-1]), "cut short"),
    (lambda path: path.write_bytes(_archive({"a": b"x"})[:900]), "cut short"),
    (lambda path: path.write_bytes(b"a\n\0"), "binary"),
])  # fmt: skip
def test_what_cannot_be_taken_is_one_line(tmp_path, make, reason):
    """The source's path and the reason, and nothing is left open."""
    path = tmp_path / "list"
    make(path)
    before = _descriptors()
    with pytest.raises(SourceError, match=rf"^{path}: .*{reason}") as caught:
        _read(table(path, fetch={"max_bytes": 1000, "max_unpacked": 2000}))
    assert "\n" not in str(caught.value)
    assert _descriptors() == before


def test_all_is_freed_at_the_end(web, tmp_path):
    """No descriptor stays, whatever happens inside; a document read too late is a SourceError."""
    web.says["/list"] = plain(gzip.compress(_archive(TREE)))
    before = _descriptors()
    with pytest.raises(KeyError), sources.opened(web.table(), resolve=here) as fetched:
        raise KeyError
    assert _descriptors() == before
    with pytest.raises(SourceError):
        list(fetched.documents[0].lines)


def test_a_refusal_of_the_caller_stays_its_own(tmp_path):
    """What is raised inside is passed on as it is."""
    (tmp_path / "list").write_bytes(LIST)
    with pytest.raises(SourceError, match="^too many entries$"), sources.opened(table(tmp_path / "list")):
        raise SourceError("too many entries")


def test_a_list_from_the_web(web):
    """Fetched, then unchanged; errors name its host alone."""
    web.says["/list?token=x"] = plain(LIST, 'ETag: "1"')
    with sources.opened(web.table("/list?token=x"), resolve=here) as fetched:
        assert [(item.path, b"".join(item.lines)) for item in fetched.documents] == [("list", LIST)]
        said = fetched.validators
    web.says["/list?token=x"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    with sources.opened(web.table("/list?token=x"), said, resolve=here) as fetched:
        assert (fetched.unchanged, fetched.documents, fetched.validators) == (True, (), said)
    with pytest.raises(SourceError, match=r"^lists\.example: answered 304"):
        _read(web.table("/list?token=x"))
    web.says["/list?token=x"] = plain(b"a\n\0")
    with pytest.raises(SourceError, match=r"^lists\.example: binary"):
        _read(web.table("/list?token=x"))


def test_a_confidential_archive_keeps_its_names(tmp_path):
    """What is inside is the provider's secret; errors name the source alone."""
    (tmp_path / "list").write_bytes(_archive({"one.example": b"\0", "two.example": b""}))
    with pytest.raises(SourceError) as caught:
        _read(table(tmp_path / "list", confidential=True))
    assert str(caught.value) == f"{tmp_path / 'list'}: binary, not a list"
    with pytest.raises(SourceError, match=r"list: one\.example: binary"):
        _read(table(tmp_path / "list"))


def test_a_signed_file_is_taken_and_any_other_is_not(tmp_path):
    """The signature beside it, or where the settings say; over the list as it is, packed or not."""
    path = tmp_path / "list"
    signed = table(path, signed={"key": KEY})
    path.write_bytes(gzip.compress(LIST))
    with pytest.raises(SourceError, match=r"list: signature: No such file"):
        _read(signed)
    (tmp_path / "list.sig").write_bytes(SECRET.sign(path.read_bytes()))
    assert _read(signed) == {"list": LIST}
    (tmp_path / "list.sig").rename(tmp_path / "other")
    assert _read(table(path, signed={"key": KEY, "signature": str(tmp_path / "other")})) == {"list": LIST}
    (tmp_path / "list.sig").write_bytes(SECRET.sign(LIST))
    with pytest.raises(SourceError, match=r"list: signature: the signature does not fit"):
        _read(signed)
    with pytest.raises(SourceError, match=r"signed\.key"):
        _read(table(path, signed={"key": "nonsense"}))
    with pytest.raises(SourceError, match="a folder cannot be signed"):
        _read(table(tmp_path, signed={"key": KEY}))


def test_nothing_is_parsed_before_its_signature_is_known(tmp_path):
    """A bomb that nobody signed is not even unpacked."""
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(b"\n" * 10**6))
    (tmp_path / "list.sig").write_bytes(b"x" * 64)
    with pytest.raises(SourceError, match="signature"):
        _read(table(path, signed={"key": KEY}, fetch={"max_unpacked": 10}))


def test_a_list_of_the_web_that_changes_before_its_signature_is_refused(web):
    """The new signature does not fit the old list; the next reading takes both."""
    web.says["/list?x"] = plain(LIST)
    web.says["/list.sig?x"] = plain(SECRET.sign(LIST + b"c.example\n"))
    signed = web.table("/list?x", signed={"key": KEY})
    with pytest.raises(SourceError, match=r"^lists\.example: signature: the signature does not fit"):
        _read(signed)
    web.says["/list?x"] = plain(LIST + b"c.example\n")
    assert _read(signed) == {"list": LIST + b"c.example\n"}
    web.says["/list.sig?x"] = plain(b"x" * 65537)
    with pytest.raises(SourceError, match="signature: larger than 65536 bytes"):
        _read(signed)


def test_a_signature_may_be_elsewhere(web, tmp_path):
    """Of a file on the web, by the same rules."""
    path = tmp_path / "list"
    path.write_bytes(LIST)
    web.says["/sig"] = plain(SECRET.sign(LIST))
    fetch = {"ca": web.ca.pem, "private": True}
    assert _read(table(path, fetch=fetch, signed={"key": KEY, "signature": web.url("/sig")})) == {"list": LIST}
    with pytest.raises(SourceError, match="private or reserved"):
        _read(table(path, fetch={"ca": web.ca.pem}, signed={"key": KEY, "signature": web.url("/sig")}))
