from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lists.sources.web import Ca, Web, serving


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    return Ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def web(ca: Ca) -> Iterator[Web]:
    with serving(ca, ca.issued("leaf")) as found:
        yield found
