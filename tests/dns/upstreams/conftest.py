"""The authority that vouches for upstreams of tests."""

from __future__ import annotations

import pytest

from tests.dns.upstreams.servers import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
