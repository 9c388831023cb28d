"""Quarantine on the command line. What the running product answers is tested in tests/integration."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("command", [("quarantine",), ("quarantine", "law"), ("decide", "1a2b3c4d", "keep")])
def test_where_nothing_runs_it_says_so(run, config, command):
    """Both commands ask the running product; without one they say so in one line."""
    done = run("lists", *command, "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr
