"""A database that cannot be used is one error, StoreError, and that tells nothing of what was asked."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Entry, Kind, Listing, Scope
from filterproxy.core.quarantine import Choice
from filterproxy.core.totals import Total
from filterproxy.errors import StoreError
from filterproxy.store import Store
from filterproxy.store.schema import metadata
from tests.conftest import ROOT
from tests.contract.conftest import KEY

SECRET = "very-private.example"


def tell(url: str, *statements: str) -> None:
    """Run statements on the database behind the store's back."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return
    with psycopg.connect(url, autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())


def calls(store: Store, now) -> list[Callable[[], object]]:
    """Return a call of every method."""
    return [
        lambda: store.file_appeal(SECRET, now, message=SECRET),
        lambda: store.appeal_by_secret("FP-0000-0000", SECRET),
        store.appeals,
        lambda: store.appeal("FP-0000-0000"),
        lambda: store.move("FP-0000-0000", State.TRIAGED, "Ann", SECRET, now),
        lambda: store.appeal_counts(now.date()),
        lambda: store.overrides(now),
        store.override_rows,
        lambda: store.approve_override("x", "Ann", now),
        lambda: store.revoke_override("x", now),
        lambda: store.quarantine_released({"a": 1}),
        store.quarantine_decisions,
        lambda: store.decide_quarantine("a", "0" * 32, Choice.KEEP, by="ann", note=SECRET, now=now, needed=1),
        lambda: store.add_totals([Total(now.date(), "a", "dns", "block", 1)]),
        lambda: store.totals(now.date()),
    ]


def lose(url: str, request) -> None:
    """Take the database away."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).unlink()
        return
    server = request.getfixturevalue("postgres")
    name = sa.make_url(url).database
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_database_that_went_away_is_a_store_error_from_every_method(store, url, now, request):
    """Each method says StoreError once the database is gone; none makes a new, empty one."""
    lose(url, request)
    for call in calls(store, now):
        with pytest.raises(StoreError):
            call()
    if url.startswith("sqlite"):
        assert not Path(url.removeprefix("sqlite:///")).exists()


def test_an_error_tells_nothing_of_what_was_asked(store, url, now):
    """Neither message, chain nor traceback of an error holds a value that was to be kept."""
    tell(url, "DROP TABLE appeal_moves", "ALTER TABLE appeals RENAME COLUMN subject TO lost")
    with pytest.raises(StoreError) as caught:
        store.file_appeal(SECRET, now, message=SECRET, contact=SECRET, list_id=SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert "INSERT" not in str(caught.value)


def test_a_store_may_be_made_before_its_database_is_there(url, now, request, tmp_path):
    """A process starts without its database, says StoreError, quickly while it is away, and works once it is there."""
    if url.startswith("sqlite"):
        late = f"sqlite:///{tmp_path / 'later' / 'store.db'}"
    else:
        late = request.getfixturevalue("postgres").format("later")
    store = Store(late, KEY)
    with pytest.raises(StoreError):
        store.prepare()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreError):
            store.overrides(now)
    assert time.monotonic() - began < 5
    if url.startswith("sqlite"):
        (tmp_path / "later").mkdir()
    else:
        tell(request.getfixturevalue("postgres").format("postgres"), "CREATE DATABASE later")
    time.sleep(1.05)  # the pause after a failure
    assert store.overrides(now) == []
    store.close()


def test_another_column_key_is_refused_before_anything_is_kept(store, url, now):
    """A database sealed under one key is not written to under another: it would be opened by neither."""
    store.file_appeal(SECRET, now)
    with pytest.raises(StoreError, match="column key"):
        Store.open(url, bytes(32))


def test_a_sealed_text_opens_only_where_it_was_put(store, url, now):
    """A text moved to another row by somebody who can write to the database is noticed."""
    one, two = store.file_appeal("one.example", now), store.file_appeal("two.example", now)
    source = f"(SELECT subject FROM appeals WHERE receipt = '{one.receipt}')"
    tell(url, f"UPDATE appeals SET subject = {source} WHERE receipt = '{two.receipt}'")
    with pytest.raises(StoreError, match="subject"):
        store.appeal(two.receipt)
    assert store.appeal(one.receipt).subject == "one.example"


def test_a_database_made_by_a_newer_version_is_left_alone(store, url):
    """What we do not know we do not touch."""
    tell(url, "UPDATE alembic_version SET version_num = 'ffff'")
    with pytest.raises(StoreError, match="another version"):
        Store.open(url, KEY)


def test_an_override_whose_appeal_was_refused_spares_nothing(store, url, now):
    """Also where an older version, or a person with SQL, rejected the appeal and left its override as it was."""
    filed = store.file_appeal("a.example", now)
    entry = Entry(Kind.DOMAIN, "a.example", Scope.EXACT, Action.ALLOW)
    given = {"by": "Ann", "reason": "", "expires_at": now + timedelta(days=1), "now": now}
    store.add_override(Listing("own"), entry, receipt=filed.receipt, **given)
    for state, in_force in (("triaged", 1), ("forwarded", 1), ("granted", 1), ("rejected", 0), ("withdrawn", 0)):
        tell(url, f"UPDATE appeals SET state = '{state}'")
        assert len(store.overrides(now)) == in_force, state


def test_opening_again_keeps_what_is_there(opened, now):
    """A restart finds every appeal."""
    filed = opened().file_appeal(SECRET, now)
    assert opened().appeal(filed.receipt).subject == SECRET


def test_nothing_waits_for_ever(store, url):
    """A connection, a lock and a statement each end after five seconds."""
    with store._database.reading() as connection:
        if url.startswith("sqlite"):
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
        else:
            limits = [connection.exec_driver_sql(f"SHOW {name}_timeout").scalar() for name in ("statement", "lock")]
            assert limits == ["5s", "5s"]


def test_many_processes_may_open_a_new_database_at_once(url):
    """Whoever comes first makes the tables; all can use them."""
    program = "import sys; from filterproxy.store import Store; Store.open(sys.argv[1], bytes(range(32))).close()"
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, url], cwd=ROOT) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4


def test_the_migrations_make_what_the_schema_says(store, url):
    """The tables that the migrations make are those that the queries are written for."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg") if "postgres" in url else url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    engine.dispose()
