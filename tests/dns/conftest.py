"""Every loop that a worker may run on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.util import find_spec

import pytest
import uvloop

collect_ignore = [] if find_spec("atheris") else ["test_fuzz.py"]
"""The fuzzer exists for some systems only; where it is missing its test is not there either."""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Return what runs a coroutine function to its end, on a loop of each kind."""

    def runs(story: Callable[[], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(story(), 20))

    return runs
