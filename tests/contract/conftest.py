"""Every promise of the store is made twice: over SQLite and over PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from filterproxy.store import Store
from tests.postgres import administer, cluster

KEY = bytes(range(32))
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with cluster() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> Iterator[str]:
    """Return the address of a database that is there and empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server, name = request.getfixturevalue("postgres"), f"store{next(_numbers)}"
    administer(server, f"CREATE DATABASE {name}")
    yield server.format(name)
    administer(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def opened(url) -> Iterator[Callable[[], Store]]:
    """Return what opens the database once more, as another process would."""
    stores: list[Store] = []

    def open_store() -> Store:
        stores.append(Store.open(url, KEY))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()
