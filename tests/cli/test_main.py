from __future__ import annotations

import subprocess
import sys

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
