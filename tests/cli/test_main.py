from __future__ import annotations

import subprocess
import sys

import pytest

from filterproxy import __version__


def test_the_version(run):
    """`filterproxy version` prints it, alone."""
    assert run("version").stdout == f"{__version__}\n"


def test_help_lists_every_command(run):
    """What other people's scripts rely on is there."""
    text = run("--help").stdout
    for command in (
        "run",
        "control",
        "edge",
        "inspect",
        "check",
        "canonicalize",
        "lists",
        "appeals",
        "config",
        "doctor",
        "top",
    ):
        assert f" {command} " in text


def test_a_reader_that_goes_away_ends_us_quietly():
    """`filterproxy canonicalize - | head -1` prints no traceback."""
    command = f"yes h.example/a | {sys.executable} -m filterproxy canonicalize - | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("http://h.example/a\n", "")


@pytest.mark.parametrize(
    "args", [["unheard-of"], ["check"], ["check", "x", "--unheard-of"], ["check", "-c", "nowhere.toml", "x"]]
)
def test_a_mistake_is_one_line(run, args):
    """What is wrong stands in one line on standard error, exit 2, and nothing on standard output."""
    done = run(*args)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "internal" not in done.stderr
