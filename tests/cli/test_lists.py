from __future__ import annotations

import json

import pytest


def test_parse_prints_entries_and_reports_bad_lines(run, tmp_path):
    """Entries as JSON lines on standard output, bad lines with file and line on standard error."""
    path = tmp_path / "some.urls"
    path.write_text("H.example/a\na b\nh.example/b?c\n")
    done = run("lists", "parse", "--format", "urls", path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"kind": "url", "value": "h.example/a", "scope": "page", "action": "block", "line": 1},
        {"kind": "url", "value": "h.example/b?c", "scope": "exact", "action": "block", "line": 3},
    ]
    assert done.stderr == f"{path}:2: white space inside a URL: 'a b'\n"
    assert done.returncode == 0


@pytest.mark.parametrize(("form", "file"), [("unheard-of", "some.urls"), ("urls", "missing")])
def test_an_unknown_format_or_file_is_one_line(run, tmp_path, form, file):
    """One line that says what is wrong, exit 2."""
    (tmp_path / "some.urls").write_text("h.example/a\n")
    done = run("lists", "parse", "--format", form, tmp_path / file)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("command", ["status", "refresh"])
def test_where_nothing_runs_it_says_so(run, config, command):
    """Status and refresh ask the running product; without one they say so in one line."""
    done = run("lists", command, "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr
