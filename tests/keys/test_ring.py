"""The key folder: made once, closed to others, never overwritten, and silent about its content."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.errors import SecretError
from filterproxy.keys import Keys
from tests.conftest import ROOT

NEVER_REPLACED = ["column.key", "digest.key", "mac.key", "patterns.key", "token.key"]
LATER = ["sealing.key", "signing.key"]
FILES = sorted([*NEVER_REPLACED, *LATER])
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_keys_are_made_once(folder):
    """The first start makes seven different keys, closed to others; every later one reads the same."""
    old = os.umask(0)
    try:
        keys = Keys.open_or_create(folder)
    finally:
        os.umask(old)
    assert Keys.open_or_create(folder) == Keys.open(folder) == keys
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert mode(folder) == mode(folder.parent) == 0o700
    private = [keys.patterns_private, keys.sealing_private, keys.token_private, keys.signing_private]
    every = [keys.digest, keys.column, keys.mac, *private]
    assert len(set(every)) == 7
    assert {len(key) for key in every} == {32}


def test_the_public_half_belongs_to_the_private_one(folder):
    """What the public half seals, the private one opens."""
    keys = Keys.open_or_create(folder)
    for name in ("patterns", "sealing", "token"):
        private = X25519PrivateKey.from_private_bytes(getattr(keys, f"{name}_private"))
        assert private.public_key().public_bytes_raw() == getattr(keys, f"{name}_public")
    signing = Ed25519PrivateKey.from_private_bytes(keys.signing_private)
    assert signing.public_key().public_bytes_raw() == keys.signing_public


def test_a_representation_holds_no_key(folder):
    """Whoever prints the keys by mistake prints none."""
    keys = Keys.open_or_create(folder)
    assert repr(keys) == "Keys()"


def test_a_missing_folder_is_said(folder):
    """To open keys that were never made is an error, and makes none."""
    with pytest.raises(SecretError, match="^keys is missing"):
        Keys.open(folder)
    assert not folder.exists()


@pytest.mark.parametrize("name", NEVER_REPLACED)
def test_a_lost_key_is_never_replaced(folder, name):
    """Where one key is gone the others are left as they are: a new one would lock away what the old one sealed."""
    Keys.open_or_create(folder)
    (folder / name).unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for attempt in (Keys.open, Keys.open_or_create):
        with pytest.raises(SecretError, match=f"^keys/{name} is missing"):
            attempt(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_folder_from_before_there_was_a_key_gets_one(folder, name, interrupted):
    """What came with a later version is said to be missing, made by the next start, and nothing else is touched."""
    keys = Keys.open_or_create(folder)
    (folder / name).unlink()
    if interrupted:
        (folder / f".{name}.new").write_bytes(b"half")
    with pytest.raises(SecretError, match=f"^keys/{name} is missing: start the product once to make it$"):
        Keys.open(folder)
    again, field = Keys.open_or_create(folder), name.removesuffix(".key")
    halves = {part: getattr(keys, part) for part in (f"{field}_private", f"{field}_public")}
    assert getattr(again, f"{field}_private") != getattr(keys, f"{field}_private")
    assert replace(again, **halves) == keys
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_who_is_given_the_public_half_of_patterns_reads_no_private_one(folder):
    """Control holds nothing that opens patterns, be it damaged or gone."""
    keys = Keys.open_or_create(folder)
    (folder / "patterns.key").unlink()
    found = Keys.open(folder, patterns_public=keys.patterns_public)
    assert found == replace(keys, patterns_private=b"")


def test_a_signing_key_alone_is_no_new_folder(folder):
    """Where every other key is gone, they are not made anew beside it."""
    Keys.open_or_create(folder)
    for name in [*NEVER_REPLACED, "sealing.key"]:
        (folder / name).unlink()
    with pytest.raises(SecretError, match="is missing"):
        Keys.open_or_create(folder)
    assert sorted(path.name for path in folder.iterdir()) == LATER


@pytest.mark.parametrize(
    ("bits", "safe"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False)]
)
def test_a_key_that_others_may_touch_is_refused(folder, bits, safe):
    """A file open to the group or to all is named, with what to do."""
    Keys.open_or_create(folder)
    (folder / "digest.key").chmod(bits)
    if safe:
        assert Keys.open(folder) == Keys.open_or_create(folder)
        return
    for attempt in (Keys.open, Keys.open_or_create):
        with pytest.raises(SecretError, match=r"^keys/digest\.key is readable by others: chmod 600$"):
            attempt(folder)


@pytest.mark.parametrize("bits", [0o750, 0o701, 0o770])
def test_a_folder_that_others_may_enter_is_refused(folder, bits):
    """The folder too is named, with what to do."""
    Keys.open_or_create(folder)
    folder.chmod(bits)
    with pytest.raises(SecretError, match="^keys is readable by others: chmod 700$"):
        Keys.open(folder)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused_without_its_content(folder, content):
    """A key of another length is damaged; the message says which, not what is in it."""
    Keys.open_or_create(folder)
    (folder / "column.key").write_bytes(content)
    with pytest.raises(SecretError, match=r"^keys/column\.key is damaged: restore it from a backup$"):
        Keys.open(folder)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_a_plain_file_is_a_key(folder, kind):
    """A link, a folder or a pipe in a key's place is refused, and nothing waits for the pipe."""
    Keys.open_or_create(folder)
    key = folder / "mac.key"
    key.rename(folder.parent / "elsewhere")
    if kind == "link":
        key.symlink_to(folder.parent / "elsewhere")
    elif kind == "folder":
        key.mkdir(mode=0o700)
    else:
        os.mkfifo(key, 0o600)
    with pytest.raises(SecretError, match=r"^keys/mac\.key "):
        Keys.open(folder)


def test_a_folder_that_is_a_link_or_a_file_is_refused(folder, tmp_path):
    """The folder itself is no link: what it points to could be changed by others."""
    Keys.open_or_create(folder)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        for attempt in (Keys.open, Keys.open_or_create):
            with pytest.raises(SecretError):
                attempt(tmp_path / name)


@pytest.mark.parametrize("renamed", range(7))
def test_a_crash_while_keys_are_made_is_finished_by_the_next_start(folder, renamed):
    """Wherever the first start was cut off, the next one has a whole set, and keeps what was in place."""
    keys = Keys.open_or_create(folder)
    for name in ["digest", "patterns", "column", "token", "mac", "sealing", "signing"][renamed:]:
        (folder / f"{name}.key").rename(folder / f".{name}.key.new")
    again = Keys.open_or_create(folder)
    # None in place: nothing was sealed yet, so all are made anew; and so are those that came later.
    kept = (again.digest, again.patterns_private, again.column, again.token_private, again.mac)
    before = (keys.digest, keys.patterns_private, keys.column, keys.token_private, keys.mac)
    assert (kept == before) is (renamed > 0)
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_processes_that_start_together_get_the_same_keys(folder):
    """Of several first starts at once, one makes the keys and all read them."""
    program = (
        "import hashlib, pathlib, sys; from filterproxy.keys import Keys;"
        "keys = Keys.open_or_create(pathlib.Path(sys.argv[1]));"
        "print(hashlib.sha256(keys.digest + keys.column + keys.mac).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(folder)]
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)]
    assert len({child.communicate(timeout=60)[0] for child in children}) == 1
    assert {child.returncode for child in children} == {0}


@as_root
def test_root_makes_keys_for_the_user_it_becomes(tmp_path):
    """Made by root for a user, the keys are that user's, and open to the process that has dropped its privileges."""
    tmp_path.chmod(0o711)
    owner, folder = (65534, 65534), tmp_path / "state" / "keys"
    keys = Keys.open_or_create(folder, owner)
    assert Keys.open_or_create(folder, owner) == Keys.open(folder, owner) == keys
    for path in (folder, folder.parent, *folder.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == owner
    with pytest.raises(SecretError, match="another user"):
        Keys.open(folder)


@as_root
def test_keys_that_root_made_for_itself_are_handed_over(folder):
    """When a user is configured after the first start as root, the keys go to that user unchanged."""
    keys = Keys.open_or_create(folder)
    assert Keys.open_or_create(folder, (65534, 65534)) == keys
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {65534}


@as_root
@pytest.mark.parametrize("size", [32, 47])
def test_no_other_file_of_roots_is_given_away(folder, size):
    """A second name of some file of root's, in a key's place in the user's folder, is refused before it is chowned."""
    owner = (65534, 65534)
    Keys.open_or_create(folder, owner)
    mine = folder.parent / "root-only"
    mine.write_bytes(bytes(size))
    mine.chmod(0o600)
    (folder / "mac.key").unlink()
    os.link(mine, folder / "mac.key")
    with pytest.raises(SecretError, match=r"^keys/mac\.key is (damaged|a file with several names)"):
        Keys.open_or_create(folder, owner)
    assert mine.stat().st_uid == 0


@as_root
def test_what_lies_where_a_key_is_made_is_not_written_to(folder):
    """A key is a new file: a second name of some other, left where it is to be written, goes away unharmed."""
    folder.mkdir(parents=True, mode=0o700)
    mine = folder.parent / "root-only"
    mine.write_bytes(b"mine")
    mine.chmod(0o600)
    os.link(mine, folder / ".mac.key.new")
    Keys.open_or_create(folder, (65534, 65534))
    assert (mine.read_bytes(), mine.stat().st_uid) == (b"mine", 0)


@as_root
def test_a_link_in_the_folders_place_is_not_followed(tmp_path, monkeypatch):
    """Who owns the folder above may put a link there between making and giving; what it leads to stays root's."""
    victim, made = tmp_path / "victim", Path.mkdir
    victim.mkdir(mode=0o700)

    def racing(self: Path, *args: object, **more: object) -> None:
        made(self, *args, **more)  # type: ignore[arg-type]
        self.rmdir()
        self.symlink_to(victim)

    monkeypatch.setattr(Path, "mkdir", racing)
    with pytest.raises(SecretError):
        Keys.open_or_create(tmp_path / "keys", (65534, 65534))
    assert victim.stat().st_uid == 0


@as_root
def test_a_key_of_another_user_is_refused(folder):
    """What somebody else put there is not used, and not taken over."""
    Keys.open_or_create(folder)
    os.chown(folder / "token.key", 12345, 12345)
    for owner in (None, (65534, 65534)):
        with pytest.raises(SecretError, match=r"^keys/token\.key belongs to another user"):
            Keys.open_or_create(folder, owner)
