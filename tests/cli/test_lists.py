from __future__ import annotations

import pytest

from filterproxy.cli import lists, quarantine


@pytest.mark.parametrize("command", ["status", "refresh"])
def test_where_nothing_runs_it_says_so(run, config, command):
    """Status and refresh ask the running product; without one they say so in one line."""
    done = run("lists", command, "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr


def test_the_status_is_whole_in_any_width(capsys, monkeypatch):
    """Ids and reasons are what a person acts on: neither is cut off, and no reason is an order to the terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    row = {"id": "a" * 63, "state": "refused", "reason": "took longer than 300 s\x1b[2K", "version": "0123456789ab"}
    lists._table([row | {"format": "squidguard", "entries": 10_000_000, "bytes": 2**30, "loaded_at": None}])
    told = capsys.readouterr().out
    assert all(word in told for word in ("a" * 63, "squidguard", "10000000", "1024.0 MiB", "0123456789ab", "never"))
    assert f"\n{'a' * 63}: refused: took longer than 300 s\\x1b[2K\n" in told


def test_what_is_held_is_shown_on_one_line_where_no_terminal_is(capsys, monkeypatch):
    """So that it can be searched for."""
    monkeypatch.setenv("COLUMNS", "60")
    held = {"id": "3f2a" * 8, "list": "law", "line": 7, "kind": "domain", "scope": "tree", "value": "very-long.example"}
    quarantine._table([held | {
        "since": "2026-03-01T12:00:00+00:00", "reason": "would block very-long.example, one of the top sites",
        "approvals": [], "needed": 2, "standing": "waiting", "overdue": True,
    }])  # fmt: skip
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "list", "line", "entry", "reason", "since", "approvals", "overdue"]
    assert "domain tree very-long.example" in line
    assert "one of the top sites" in line
