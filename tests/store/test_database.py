"""One way to begin, one error, and a file that nobody else reads."""

from __future__ import annotations

import resource
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from filterproxy.errors import StoreError
from filterproxy.store import Store
from tests.store.conftest import KEY


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://u:pass-word@h/d", "sqlite://", "sqlite:///:memory:", "postgresql://u:pass-word@h:port/d"],
)
def test_an_address_that_cannot_serve_is_refused_without_repeating_it(url):
    """Only a SQLite file and PostgreSQL are taken; the message holds no password."""
    with pytest.raises(StoreError) as caught:
        Store(url, KEY)
    assert "pass-word" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_file_and_its_journal_are_their_owners_alone(store, path, now):
    """Whatever the umask, nobody else reads the database or what SQLite puts beside it."""
    with store._database.writing():
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file.name
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_that_others_could_read_is_closed_to_them(path, now, mode):
    """A database that was made by hand, or restored under another umask, is its owner's alone once it is opened."""
    Store.open(f"sqlite:///{path}", KEY).close()
    journal = path.with_name(f"{path.name}-wal")
    journal.touch()
    for file in (path, journal):
        file.chmod(mode)
    store = Store.open(f"sqlite:///{path}", KEY)
    with store._database.writing():
        assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}
    store.close()


def test_a_path_with_odd_characters_is_taken_as_it_is(tmp_path, now):
    """A question mark, a space, a percent sign or a number sign, escaped in the URL, is a part of the name."""
    folder = tmp_path / "a b?c#d%41"
    folder.mkdir()
    store = Store.open(f"sqlite:///{quote(str(folder / 'x.db'))}", KEY)
    store.file_appeal("a.example", now)
    assert [file.name for file in Path(folder).iterdir()] == ["x.db"]


def test_what_fails_in_the_middle_leaves_nothing(store, now):
    """A transaction is kept whole or not at all."""
    filed = store.file_appeal("a.example", now)

    def fail() -> None:
        with store._database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM appeals")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.appeal(filed.receipt) is not None


def test_a_full_disk_is_a_store_error_and_loses_nothing(store, path, now):
    """Where the disk takes no more, filing says so; what was there can be read, and once there is room, filed."""
    kept = store.file_appeal("a.example", now)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(StoreError, match="SQLITE_"):
            store.file_appeal("b.example", now, message="x" * 4000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.appeal(kept.receipt).subject == "a.example"
    store.file_appeal("b.example", now)
    assert len(store.appeals()) == 2


def test_a_read_only_database_can_be_read(store, path, now):
    """Writing says StoreError, reading goes on."""
    kept = store.file_appeal("a.example", now)
    with path.open("r+b") as file:  # a write version that this SQLite does not know: read-only, for root as well
        file.seek(18)
        file.write(b"\x03")
    with pytest.raises(StoreError, match="SQLITE_READONLY"):
        store.file_appeal("b.example", now)
    assert store.appeal(kept.receipt).subject == "a.example"


@pytest.mark.parametrize("content", [b"\x00" * 4096, b"this is no database" * 500])
def test_a_file_that_is_no_database_is_left_as_it_is(path, content):
    """Somebody else's file is refused and not changed."""
    path.write_bytes(content)
    with pytest.raises(StoreError):
        Store.open(f"sqlite:///{path}", KEY)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_said(tmp_path):
    """The database's folder is not made on the way."""
    with pytest.raises(StoreError, match="No such file"):
        Store.open(f"sqlite:///{tmp_path / 'none' / 'x.db'}", KEY)


def test_a_locked_database_is_waited_for(store, path, now):
    """A writer that is busy for a moment delays another, and fails none."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        filing = pool.submit(store.file_appeal, "a.example", now)
        with pytest.raises(TimeoutError):
            filing.result(0.3)
        other.execute("COMMIT")
        assert filing.result(5).receipt
    other.close()


def test_no_descriptor_stays_open(store, now):
    """However many calls were made, the process holds no more files than before."""
    store.appeals()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        store.file_appeal("a.example", now)
        store.appeals()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
