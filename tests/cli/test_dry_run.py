"""`lists dry-run` as people type it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def files(tmp_path):
    (tmp_path / "words").write_text("gadget\nwidg,substring,3\nab,substring\nnever\n")
    (tmp_path / "urls").write_bytes(
        b"http://a.example/gadget\n\nhttps://b.example/widgets?\xff\x07\n"
        + b"http://c.example/gadget" * 9000
        + b"\nhttp://\n"
    )
    return tmp_path


def test_it_tells_each_term_and_the_whole(run, files):
    """Terms by how often they act, the longer words they act in, the totals; bad lines on standard error; exit 0."""
    done = run("lists", "dry-run", "words", "urls")
    assert done.returncode == 0
    assert done.stderr == "line 3: a substring has at least 4 characters: 'ab,substring'\n"
    assert "gadget: http://a.example/gadget" in done.stdout
    assert "warning: widg (line 2) acts inside longer words on 1 URLs: widgets (1)" in done.stdout
    assert "2 URLs; 2 lines that are none" in done.stdout
    assert "acted on by any term: 2 (100 %)" in done.stdout
    assert "widgets?%FF%07" in done.stdout  # nothing that a terminal would obey


def test_as_json_it_is_a_line_for_each_term_and_one_for_all(run, files):
    """Also from standard input; --top shows those that act most often."""
    done = run("lists", "dry-run", "--json", "--top", "1", "words", "-", stdin=(files / "urls").read_bytes())
    term, totals = map(json.loads, done.stdout.splitlines())
    assert (term["term"], term["match"], term["urls"], term["hosts"], term["share"]) == ("gadget", "word", 1, 1, 0.5)
    assert term["examples"] == ["http://a.example/gadget"]
    assert (totals["urls"], totals["not_urls"], totals["acted_on"]) == (2, 2, 2)
    assert (totals["by_score"]["1"], totals["by_score"]["3"]) == (2, 1)


def test_a_configured_list_is_rehearsed_from_its_source(run, config, files):
    """--list reads the source that the configuration names, before anything takes force."""
    done = run("lists", "dry-run", "--json", "--list", "words", "-c", config, "urls")
    assert json.loads(done.stdout.splitlines()[0])["term"] == "gadget"


def test_of_a_confidential_list_no_term_is_told(run, config, files):
    """Its terms go by their lines, without words, without the URLs they stand in."""
    text = config.read_text().replace('id = "words"', 'id = "words"\nconfidential = true')
    config.write_text(text)
    (files / "words.keywords").write_text("gadg,substring\nx y z,zz\n")
    for more in ((), ("--json",)):
        done = run("lists", "dry-run", *more, "--list", "words", "-c", config, "urls")
        assert done.returncode == 0
        assert "gadg" not in done.stdout + done.stderr
        assert "x y z" not in done.stdout + done.stderr
        assert "1" in done.stdout


@pytest.mark.parametrize("arguments", [
    ("urls",), ("words", "urls", "urls"), ("words", "missing"), ("missing", "urls"),
    ("--list", "sites", "urls"), ("--list", "nobody", "urls"),
])  # fmt: skip
def test_a_mistake_is_one_line(run, config, files, arguments):
    """Exit 2, one line that says what is wrong."""
    done = run("lists", "dry-run", "-c", config, *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
