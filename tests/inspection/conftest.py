"""One running inspector for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.inspection.world import World
from tests.inspection.world import world as started


@pytest_asyncio.fixture
async def world(tmp_path: Path, free_port: int) -> AsyncIterator[World]:
    async with started(tmp_path, free_port) as found:
        yield found
