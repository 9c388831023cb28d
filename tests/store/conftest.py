"""A store over SQLite. What both databases promise is tested in tests/contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from filterproxy.store import Store

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{path}", KEY)
    yield opened
    opened.close()
