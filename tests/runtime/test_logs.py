"""The log: event names and a few fields, and nothing that anybody asked for."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SECRET = "http://secret.example/page"

STORY = """
import asyncio, logging, sys, threading
from filterproxy.runtime import logs
logs.set_up("info", {form!r}, "edge-0")
secret = {secret!r}
ours, theirs = logging.getLogger("filterproxy.x"), logging.getLogger("uvicorn.error")
logs.event(ours, logging.INFO, "ready", generation=3, reason="two words")
ours.debug("not_written")
theirs.warning("GET %s", secret)
try:
    raise ValueError(secret)
except ValueError as exc:
    logs.failed(ours, "hook_failed", exc)
    ours.exception("again")
    theirs.exception(secret)
thread = threading.Thread(target=lambda: int(secret))
thread.start(); thread.join()
async def story():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_exception)
    loop.call_soon(lambda: int(secret))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(story())
int(secret)
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_exception_and_no_library_can_write_what_was_asked(form):
    """Class and place of an exception, name and level of a library's record: their text never."""
    command = [sys.executable, "-c", STORY.format(form=form, secret=SECRET)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert "secret" not in found.stderr + found.stdout
    assert "not_written" not in found.stderr
    lines = found.stderr.splitlines()
    assert len(lines) == 8
    if form == "json":
        rows = [json.loads(line) for line in lines]
        assert rows[0] | {"time": ""} == {
            "time": "", "level": "info", "process": "edge-0", "event": "ready", "generation": 3, "reason": "two words",
        }  # fmt: skip
        assert [row["event"] for row in rows] == [
            "ready", "library", "hook_failed", "again", "library",
            "thread_failed", "loop_exception", "uncaught_exception",
        ]  # fmt: skip
        assert rows[2]["error"] == "ValueError"
        assert rows[2]["at"].startswith("__main__:")
    else:
        assert lines[0].endswith('info     edge-0     ready generation=3 reason="two words"')


UNRAISABLE = """
from filterproxy.runtime import logs
logs.set_up("info", "text", "edge-0")
class Falls:
    def __init__(self, kind): self.kind = kind
    def __del__(self): raise self.kind({secret!r})
for _ in range(1000):
    Falls(ValueError)
Falls(KeyError)
"""


def test_what_cannot_be_raised_is_told_of_once_in_a_while():
    """Clients can cause some of it as often as they like: of each kind there is a line, without its text."""
    command = [sys.executable, "-c", UNRAISABLE.format(secret=SECRET)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert "secret" not in found.stderr
    lines = found.stderr.splitlines()
    assert [line.split("error=")[1].split()[0] for line in lines] == ["ValueError", "KeyError"]


def test_set_up_is_not_done_by_importing():
    """Importing the package changes nobody's logging."""
    assert logging.getLogger("filterproxy").level == logging.NOTSET or logging.getLogger().handlers
