from __future__ import annotations

import json


def test_each_line_has_the_fields_that_scripts_rely_on(run):
    """Input, canonical form, its parts and expressions; all null but the input where it is no URL, exit 2 then."""
    done = run("canonicalize", "--json", "-", stdin=b'EXAMPLE.com/%61/"?q=\\\nhttp://\nh.example\n')
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first == {
        "input": 'EXAMPLE.com/%61/"?q=\\',
        "canonical": 'http://example.com/a/"?q=\\',
        "host": "example.com",
        "path": '/a/"',
        "query": "q=\\",
        "expressions": ['example.com/a/"?q=\\', 'example.com/a/"', "example.com/a/", "example.com/"],
    }
    assert second == {"input": "http://"} | dict.fromkeys(("canonical", "host", "path", "query", "expressions"))
    assert third["query"] is None
    assert done.returncode == 2


def test_every_line_is_json(run):
    """Whatever a host may hold, quotes too."""
    done = run("canonicalize", "--json", 'a"b.example/x')
    assert json.loads(done.stdout)["host"] == 'a"b.example'


def test_what_a_person_reads(run):
    """Without --json the canonical form alone, exit 0."""
    done = run("canonicalize", "H.example/a/../b")
    assert (done.stdout, done.returncode) == ("http://h.example/b\n", 0)
