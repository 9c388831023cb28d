"""Files of keys: whole or not there, overwritten when they go, and never somebody else's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from filterproxy.errors import SecretError
from filterproxy.keys import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    files.make_folder(made, None)
    return made


def test_what_was_written_is_read(folder):
    """A new key is 32 bytes that nobody has; a given content is that one."""
    with files.opened(folder, None) as handle:
        for name, content in (("a.key", None), ("b.key", None), ("c.key", b"c" * 32)):
            files.write(handle, name, None, content)
        found = [files.read(folder, handle, name, None) for name in ("a.key", "b.key", "c.key")]
        assert set(files.names(handle)) == {"a.key", "b.key", "c.key"}
    assert len(set(found)) == 3
    assert {len(content) for content in found} == {32}
    assert found[2] == b"c" * 32
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("way", ["replace", "remove"])
def test_a_key_that_goes_is_overwritten(folder, way):
    """What is read beneath the files is zeros, unless the file has another name: then it is somebody's copy."""
    for name, copied in (("a.key", False), ("b.key", True)):
        with files.opened(folder, None) as handle:
            files.write(handle, name, None, b"o" * 32)
            if copied:
                os.link(folder / name, folder.parent / "copy")
            with (folder / name).open("rb") as old:
                if way == "replace":
                    files.write(handle, ".new", None, b"n" * 32)
                    files.replace(handle, ".new", name)
                    assert files.read(folder, handle, name, None) == b"n" * 32
                else:
                    files.remove(handle, name)
                    files.remove(handle, name)
                    assert not (folder / name).exists()
                assert old.read() == (b"o" * 32 if copied else bytes(32))


@pytest.mark.parametrize("way", ["replace", "remove"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_not_written_to(folder, way, kind):
    """A link or a pipe in a key's place is an error; what the link leads to stays as it is, and nothing waits."""
    other = folder.parent / "other"
    other.write_bytes(b"o" * 32)
    if kind == "link":
        (folder / "a.key").symlink_to(other)
    else:
        os.mkfifo(folder / "a.key", 0o600)
    with files.opened(folder, None) as handle:
        files.write(handle, ".new", None)
        with pytest.raises(OSError, match=r"symbolic links|No such device"):
            files.replace(handle, ".new", "a.key") if way == "replace" else files.remove(handle, "a.key")
    assert other.read_bytes() == b"o" * 32


def test_a_missing_key_says_what_to_do(folder):
    """The advice is the caller's."""
    with files.opened(folder, None) as handle, pytest.raises(SecretError, match=r"^keys/a\.key is missing: make it$"):
        files.read(folder, handle, "a.key", None, "make it")
