"""The portal under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.portal.world import World, make_world


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.parts.store.close()


@pytest.fixture
def browser(world: World) -> TestClient:
    return world.client()
