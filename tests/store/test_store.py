"""One door to all queries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from filterproxy.store import Store
from tests.store.conftest import KEY


def test_nothing_is_opened_before_the_first_use(path, now):
    """A store can be made where its database cannot be reached yet; the first use makes what is missing."""
    store = Store(f"sqlite:///{path}", KEY)
    assert not path.exists()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.overrides(now), range(16))) == [[]] * 16
    assert path.exists()


def test_an_empty_file_becomes_a_database(path, now):
    """A file that somebody made in advance, to give it its owner, is used."""
    path.touch(mode=0o600)
    assert Store.open(f"sqlite:///{path}", KEY).appeals() == []
