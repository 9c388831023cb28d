from __future__ import annotations

import pytest


@pytest.mark.parametrize("command", ["status", "refresh"])
def test_where_nothing_runs_it_says_so(run, config, command):
    """Status and refresh ask the running product; without one they say so in one line."""
    done = run("lists", command, "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr
