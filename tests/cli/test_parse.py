from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest

from filterproxy.cli.parse import complaint, entry_line
from filterproxy.core.model import BadLine, Entry, Kind, Scope, Unenforceable


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


def test_a_format_that_is_not_named_is_told_and_said(run, tmp_path):
    """On standard error, for the next command may be a configuration."""
    path = tmp_path / "some.zone"
    path.write_text("$TTL 60\na.example CNAME .\na.example CNAME rpz-tcp-only.\n")
    done = run("lists", "parse", path)
    assert json.loads(done.stdout)["value"] == "a.example"
    assert done.stderr == f"{path}: read as rpz\n{path}:3: unenforceable: TCP only: 'a.example CNAME rpz-tcp-only.'\n"
    assert done.returncode == 0


def test_a_folder_is_read_file_by_file(run, tmp_path):
    """A tree as a tree, with the file of each bad line."""
    (tmp_path / "games").mkdir()
    (tmp_path / "games" / "domains").write_text("a.example\ntest\n")
    (tmp_path / "games" / "usage").write_text("black\n")
    done = run("lists", "parse", tmp_path / "games")
    assert [json.loads(line)["scope"] for line in done.stdout.splitlines()] == ["tree"]
    bad = f"{tmp_path}/games/domains:2: a whole top-level domain: 'test'"
    assert done.stderr.splitlines() == [f"{tmp_path}/games: read as squidguard", bad]


def test_no_name_of_a_file_reaches_the_terminal_raw(run, tmp_path):
    """A complaint stays one line, whatever the file is called."""
    path = tmp_path / "odd\n\x1b[1m"
    path.write_text("a b\n")
    done = run("lists", "parse", "--format", "domains", path)
    assert done.stderr == f"{tmp_path}/odd\\n\\x1b[1m:1: not a domain name: 'a b'\n"


def test_the_settings_of_a_list_can_be_tried(run, tmp_path):
    """Columns, scope of names and the front page, as the configuration would have them; also in a packed file."""
    path = tmp_path / "some.csv.gz"
    path.write_bytes(gzip.compress(b"7;h.example/\n8;;a.example\n8;;b.example;\n"))
    columns = ("--columns", "url=2,reference=1,domain=3", "--delimiter", ";")
    done = run("lists", "parse", "--format", "csv", *columns, "--root", "site", "--no-subdomains", path)
    assert done.stdout == "", done.stderr
    path.write_bytes(gzip.compress(b"7;h.example/;\n8;;a.example\n"))
    done = run("lists", "parse", "--format", "csv", *columns, "--root", "site", "--no-subdomains", path)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["kind"], one["value"], one["scope"], one["reference"]) for one in said] == [
        ("domain", "h.example", "exact", "7"),
        ("domain", "a.example", "exact", "8"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "unheard-of", "some.urls"),
        ("--format", "urls", "missing"),
        ("unclear",),
        ("--format", "csv", "--columns", "link=1", "some.urls"),
        ("--format", "csv", "--delimiter", "ab", "some.urls"),
        ("--format", "urls", "--root", "host", "some.urls"),
    ],
)
def test_what_cannot_be_read_is_one_line(run, tmp_path, arguments):
    """One line that says what is wrong, exit 2."""
    (tmp_path / "some.urls").write_text("h.example/a\n")
    (tmp_path / "unclear").write_text("gadget\n")
    done = run("lists", "parse", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_further_keys_stand_only_where_they_are_set():
    """The first five always, in their order; scripts may rely on both."""
    plain = entry_line(Entry(Kind.DOMAIN, "a.example", Scope.TREE, line=3))
    assert plain == '{"kind": "domain", "value": "a.example", "scope": "tree", "action": "block", "line": 3}'
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    full = Entry(
        Kind.DOMAIN, "a.example", Scope.TREE, line=3, score=5, reference="7", not_before=moment, not_after=moment,
        territories=frozenset({"GB", "DE"}), important=True, excludes=("b.a.example",),
    )  # fmt: skip
    assert json.loads(entry_line(full)) == json.loads(plain) | {
        "important": True, "excludes": ["b.a.example"], "reference": "7", "not_before": "2026-03-01T00:00:00+00:00",
        "not_after": "2026-03-01T00:00:00+00:00", "territories": ["DE", "GB"], "score": 5,
    }  # fmt: skip


def test_a_complaint_has_its_line_and_reason():
    """What is understood and not enforced is told from what is wrong; a secret text is left out."""
    assert complaint(BadLine(3, "odd", "x\ty")) == "3: odd: 'x\\ty'"
    assert complaint(Unenforceable(4, "not here", "")) == "4: unenforceable: not here"
