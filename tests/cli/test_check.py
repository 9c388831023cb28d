from __future__ import annotations

import json
import subprocess
import sys

import pytest


def judged(run, config, *targets, **options):
    """Return exit code and parsed lines of `check --json`."""
    done = run("check", "-c", config, "--json", *targets, **options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_each_line_has_the_fields_that_scripts_rely_on(run, config):
    """Input, canonical form, action, list, category, match and what spared, for every sort of outcome."""
    code, lines = judged(
        run, config, "http://mixed.example/%6cisted?x", "mixed.example", "blocked.example", "http://spared.example/",
        "http://x.example/gadget", "http://x.example/", "http://",
    )  # fmt: skip
    keys = ("action", "list", "category", "match", "spared_by")
    assert [tuple(line[key] for key in keys) for line in lines] == [
        ("block", "law", "Forbidden", "url", None),
        ("inspect", None, None, None, None),
        ("block", "sites", None, "domain", None),
        ("allow", "sites", None, "domain", "profile:home"),
        ("flag", "words", None, "keyword", None),
        ("allow", None, None, None, None),
        ("invalid", None, None, None, None),
    ]
    assert lines[0]["canonical"] == "http://mixed.example/listed?x"
    assert (lines[1]["canonical"], lines[6]["canonical"]) == ("mixed.example", None)
    assert code == 2


@pytest.mark.parametrize(("target", "code"), [("x.example", 0), ("blocked.example", 1), ("a b", 2)])
def test_exit_codes(run, config, target, code):
    """0 none blocked, 1 some blocked, 2 an error."""
    assert judged(run, config, target)[0] == code


def test_lines_of_standard_input(run, config):
    """`-` reads a target a line, whatever bytes it holds."""
    code, lines = judged(run, config, "-", stdin=b"blocked.example\r\nx.example\n\xff\xfe\n\n")
    assert [line["action"] for line in lines] == ["block", "allow", "invalid", "invalid"]
    assert code == 2


def test_a_client_is_judged_by_its_profile(run, config):
    """`--client` chooses the profile as its address would; an address that no profile serves is an error."""
    assert judged(run, config, "--client", "192.0.2.7", "blocked.example")[0] == 0
    assert judged(run, config, "--client", "192.0.2.7", "http://mixed.example/listed")[0] == 1
    done = run("check", "-c", config, "--client", "198.51.100.1", "x.example")
    assert (done.returncode, done.stdout) == (2, "")


def test_at_a_time(run, config):
    """`--at` takes ISO 8601, and refuses what is none."""
    assert judged(run, config, "--at", "2030-01-01", "blocked.example")[0] == 1
    assert run("check", "-c", config, "--at", "tomorrow", "x.example").returncode == 2


def test_what_a_person_reads(run, config):
    """Without --json a line says what happens, and which list says so."""
    assert run("check", "-c", config, "blocked.example").stdout == "block    blocked.example  (sites)\n"


def test_nothing_is_written_where_nothing_ran(run, config):
    """Asking leaves no state behind, and shows no line of a confidential list."""
    done = run("check", "-c", config, "x.example")
    assert not (config.parent / "state").exists()
    assert "not a url" not in done.stdout + done.stderr


def test_a_program_that_asks_line_by_line_is_answered(config):
    """Each line is answered before the next one is waited for."""
    command = [sys.executable, "-m", "filterproxy", "check", "-c", str(config), "--json", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for target in (b"x.example\n", b"blocked.example\n"):
            process.stdin.write(target)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["input"] == target.decode().strip()
        process.stdin.close()
        assert process.wait(20) == 1


@pytest.mark.parametrize("streams", [">&-", "<&-", ">/dev/full"])
def test_closed_and_full_streams_are_no_block(config, streams):
    """Whatever is wrong with our own streams is an error (2) or nothing, never 1, and no traceback."""
    command = f"{sys.executable} -m filterproxy check -c {config} x.example - {streams}"
    stdin = subprocess.DEVNULL
    done = subprocess.run(["sh", "-c", command], stdin=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {0, 2}
    assert "Traceback" not in done.stderr


def test_no_control_character_reaches_the_terminal(run, config):
    """What somebody else wrote is shown so that it cannot act."""
    assert "\x1b" not in run("check", "-c", config, "a b\x1b[31m").stdout


@pytest.mark.parametrize(
    "text",
    [
        "[dns]\nlistn = 1",
        "nonsense",
        "[[lists]]\nid = 'a'",
        "a = " + "[" * 20_000,
        "[runtime]\ndrain = " + "9" * 5000,
        "[[lists]]\nid='a'\nformat='urls'\nsource='x'\nrefresh='99999999999w'",
        "[[lists]]\nid='a'\nformat='urls'\nsource='x'\nrefresh=0",
        "[[lists]]\nid='a'\nformat='urls'\nsource='x'\nmax_age=1e300",
        '[[lists]]\nid="a"\nformat="urls"\nsource="x\\u0000"',
    ],
)
def test_a_wrong_configuration_is_one_line(run, tmp_path, text):
    """The key and the reason on standard error, exit 2, no traceback."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    done = run("check", "-c", path, "x.example")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
