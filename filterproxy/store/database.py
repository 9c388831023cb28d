"""The engine: one way to begin, a limit on every wait, and every foreign error translated here."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from filterproxy.errors import StoreError

_WAIT: Final = 5
"""Seconds that a connection, a lock or a statement may take."""

_PAUSE: Final = 1.0
"""Seconds for which a database that could not be prepared is not tried again."""


class Database:
    """A database that is prepared before its first transaction. Safe to share between threads."""

    def __init__(self, url: str, prepare: Callable[[Connection], None]) -> None:
        """Take the address only; nothing is opened yet. Raises StoreError where it names no database we know."""
        self._engine, self._file = _engine(url)
        self._prepare = prepare
        self._lock = threading.Lock()
        self._ready = False
        self._failed_at = float("-inf")

    @property
    def ready(self) -> bool:
        """Whether the database has been prepared."""
        return self._ready

    def close(self) -> None:
        """Close the connections that wait in the pool."""
        self._engine.dispose()

    def prepare(self) -> None:
        """Make the file and the tables where they are missing; once, however many threads ask. Raises StoreError.

        After a failure the next ones are told at once for a second: each would wait in turn otherwise for a
        database that is away.
        """
        if self.ready:
            return
        if not self._lock.acquire(timeout=_WAIT):
            raise StoreError("the database is still being prepared")
        try:
            if not self.ready:
                self._prepare_now()
        finally:
            self._lock.release()

    def _prepare_now(self) -> None:
        if time.monotonic() - self._failed_at < _PAUSE:
            raise StoreError("the database could not be prepared a moment ago")
        try:
            if self._file is not None:
                _create_private(self._file)
            with self._transaction(writes=True) as connection:
                self._prepare(connection)
            self._ready = True
        except Exception:
            self._failed_at = time.monotonic()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction that changes nothing. Raises StoreError."""
        self.prepare()
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction, kept where the block ends well. Raises StoreError."""
        self.prepare()
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        with translated(), self._engine.connect() as connection:
            connection.execution_options(filterproxy_writes=writes)
            with connection.begin():
                yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever the database raises into StoreError. Its message holds a code, no statement and no value."""
    try:
        yield
    except SQLAlchemyError as exc:
        raise StoreError(f"the database cannot be used: {_reason(exc)}") from exc


def _reason(error: SQLAlchemyError) -> str:
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
    return str(code) if code else f"{type(error).__name__} while connecting"


def _engine(text: str) -> tuple[Engine, Path | None]:
    """Return the engine for a URL, and the file that is the database, if one is."""
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (SQLAlchemyError, ValueError):
        raise StoreError("store.url is not an SQLAlchemy URL") from None  # the message would repeat its password
    if kind == "sqlite":
        return _sqlite(url)
    if kind in ("postgresql", "postgres"):
        return _postgresql(url), None
    raise StoreError("store.url names neither sqlite nor postgresql")


def _sqlite(url: URL) -> tuple[Engine, Path]:
    """Return an engine over a file, and the file.

    Each transaction opens the file anew (0.2 ms): a file that was deleted or replaced is an error then, and not
    an appeal written to a file that nobody will find.
    """
    if not url.database or url.database == ":memory:":
        raise StoreError("store.url names no file: what is kept in memory is lost")
    path = Path(url.database).absolute()
    address = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # No implicit transactions: `_begin` says when one begins and of which kind.
        return sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine, path


def _create_private(path: Path) -> None:
    """Make the file for its owner alone, or close one that is there; SQLite gives its journal the same mode.

    It gets its name when it is in WAL mode already: two processes that switch one file at once lock each other out.
    """
    if path.exists():
        _close_to_others(path)
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
            new = Path(folder) / "db"
            new.touch(mode=0o600)
            with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            with suppress(FileExistsError):
                path.hardlink_to(new)
    except OSError as exc:
        raise StoreError(f"the database cannot be made: {exc.strerror}") from exc
    except sqlite3.Error as exc:
        raise StoreError(f"the database cannot be made: {exc.sqlite_errorname}") from exc


def _close_to_others(path: Path) -> None:
    """See that nobody else reads what is there: a file may have been made by hand, or restored under another umask."""
    try:
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
    except OSError as exc:
        raise StoreError(f"the database is readable by others and cannot be closed: {exc.strerror}") from exc


def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # an appeal that was confirmed survives a power failure


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once where another wrote in between, however long
    # the busy timeout; one that takes the write lock at its start waits for it.
    writes = connection.get_execution_options().get("filterproxy_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL) -> Engine:
    limits = f"-c statement_timeout={_WAIT}s -c lock_timeout={_WAIT}s -c timezone=UTC"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=_WAIT,
        connect_args={
            "connect_timeout": _WAIT,
            "options": limits,
            # A server that vanished answers no statement timeout: the kernel has to notice.
            "tcp_user_timeout": _WAIT * 1000,
            "keepalives_idle": _WAIT,
            "keepalives_interval": 2,
            "keepalives_count": 2,
        },
    )
