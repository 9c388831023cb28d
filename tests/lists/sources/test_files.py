from __future__ import annotations

import os

import pytest

from filterproxy.errors import SourceError
from filterproxy.lists.sources import files, paths


def _read(found):
    return {path: _all(opener) for path, _, opener in found}


def _all(opener):
    with opener() as file:
        return file.read()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for path, text in {"b/urls": "u", "a/domains": "d", "README": "r", ".git/x": "g", "a/.hidden": "h"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("s")
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    (root / "way").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "pipe")
    return root


def test_a_tree_is_its_regular_files_in_order(tree):
    """No link is followed, no pipe waited on, nothing hidden read."""
    found = files.tree(tree, "", 100)
    assert [path for path, _, _ in found] == ["README", "a/domains", "b/urls"]
    assert _read(found) == {"README": b"r", "a/domains": b"d", "b/urls": b"u"}
    assert _read(files.tree(tree, "a", 100)) == {"domains": b"d"}


@pytest.mark.parametrize("within", ["c", "way", "README", "link"])
def test_a_folder_that_is_none_is_refused(tree, within):
    """What is missing, a file or a link to elsewhere is no folder of the source."""
    with pytest.raises(SourceError, match="within: no such folder"):
        files.tree(tree, within, 100)


def test_a_tree_has_bounds(tree, monkeypatch):
    """Bytes in all, and a count of files."""
    with pytest.raises(SourceError, match="larger than 2 bytes"):
        files.tree(tree, "", 2)
    monkeypatch.setattr(paths, "MAX_DOCUMENTS", 2)
    with pytest.raises(SourceError, match="more than 2 files"):
        files.tree(tree, "", 100)


@pytest.mark.parametrize("how", ["replaced", "linked", "written"])
def test_a_file_that_is_another_by_the_time_it_is_read_is_refused(tree, tmp_path, how):
    """What is read is what was found, or nothing."""
    found = files.tree(tree, "a", 100)
    path = tree / "a" / "domains"
    if how == "written":
        path.write_text("longer")
    else:
        path.unlink()
    if how == "replaced":
        path.write_text("d")
    elif how == "linked":
        path.symlink_to(tmp_path / "outside" / "secret")
    with pytest.raises(SourceError):
        _read(found)


def test_a_secret_is_its_owners_alone(tmp_path):
    """A file that others may read is refused, by a sentence that says what to do."""
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o640)
    with pytest.raises(SourceError, match="chmod 600"):
        files.secret(path, 10)
    path.chmod(0o600)
    assert files.secret(path, 10) == b"x"
