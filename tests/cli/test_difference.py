"""`lists diff` as it is typed and shown. What the running product answers is tested in tests/integration."""

from __future__ import annotations

import pytest

from filterproxy.cli.difference import _told

COUNTS = {
    "before": 10, "after": 11, "added": 3, "removed": 2, "bad_lines": 1, "unenforceable": 0, "quarantined": 0,
}  # fmt: skip
LINE = "10 before, 11 after, 3 added, 2 removed, 1 bad lines, 0 unenforceable, 0 quarantined"


def entry(value, kind="domain", scope="tree", action="block"):
    return {"kind": kind, "value": value, "scope": scope, "action": action}


def row(*, is_open=True, refused="", **more):
    return {"id": "names", "open": is_open, "refused": refused, **more}


@pytest.mark.parametrize(("said", "lines"), [
    (
        row(**COUNTS, added_names=[entry("a.example"), entry("b.example/x", "url", "page", "allow")],
            removed_names=[entry("c.example"), entry("d.example")]),
        [f"names: {LINE}", "  + a.example [domain, tree]", "  + b.example/x [url, page] (exception)", "  + 1 more",
         "  - c.example [domain, tree]", "  - d.example [domain, tree]"],
    ),
    (
        row(is_open=False, **COUNTS),
        [f"names: {LINE}", "  + 3 of a confidential list, not shown", "  - 2 of a confidential list, not shown"],
    ),
    (
        row(refused="list.example: answered 500"),
        ["names: not read", "  would be refused: list.example: answered 500"],
    ),
    (
        row(refused="it looks cut short", **COUNTS | {"added": 0, "removed": 1}, added_names=[],
            removed_names=[entry("a.example")]),
        ["names: 10 before, 11 after, 0 added, 1 removed, 1 bad lines, 0 unenforceable, 0 quarantined",
         "  would be refused: it looks cut short", "  - a.example [domain, tree]"],
    ),
    (
        row(**COUNTS | {"added": 1, "removed": 0}, added_names=[entry("/\x1b[2J\u202e/", "pattern", "url")],
            removed_names=[]),
        ["names: 10 before, 11 after, 1 added, 0 removed, 1 bad lines, 0 unenforceable, 0 quarantined",
         "  + /\\x1b[2J\\u202e/ [pattern, url]"],
    ),
])  # fmt: skip
def test_a_difference_is_shown_line_by_line(said, lines):
    """Counts, why it would be refused, names with a sign, and how many are not shown; nothing moves a cursor."""
    assert list(_told(said)) == lines


@pytest.mark.parametrize("arguments", [(), ("law",), ("--json", "--names", "3")])
def test_where_nothing_runs_it_says_so(run, config, arguments):
    """The running product reads the lists; without one the command says so in one line."""
    done = run("lists", "diff", *arguments, "-c", config)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "does not run" in done.stderr


def test_a_number_of_names_beyond_the_bound_is_refused(run, config):
    """Before anything is asked."""
    done = run("lists", "diff", "--names", 10_001, "-c", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--names" in done.stderr
