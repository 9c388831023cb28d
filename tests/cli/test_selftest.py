"""`lists selftest` where nothing runs: what it says then. tests/integration/test_selftest.py asks running products."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from filterproxy.cli import selftest_record as record
from filterproxy.keys import Keys, rotation

RESULT = {
    "format": record.FORMAT, "operator": "Somebody", "at": "2026-03-01T12:00:00+00:00", "version": "1",
    "generation": 7, "summary": {"passed": 3, "failed": 0, "not asked": 1}, "lists": [],
}  # fmt: skip


def test_where_nothing_runs_it_says_so(run, config, tmp_path):
    """One line, exit 2: first that nothing was ever started there, then that nothing runs."""
    done = run("lists", "selftest", "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    Keys.open_or_create(tmp_path / "state" / "keys")
    done = run("lists", "selftest", "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr


def test_without_a_signing_key_nothing_is_asked(run, config, tmp_path):
    """A product from before the key existed is to be started once more."""
    Keys.open_or_create(tmp_path / "state" / "keys")
    (tmp_path / "state" / "keys" / "signing.key").unlink()
    done = run("lists", "selftest", "-c", config)
    assert (done.returncode, done.stderr) == (
        2, "filterproxy: keys/signing.key is missing: start the product once to make it\n"
    )  # fmt: skip


def test_a_record_is_verified_without_a_product(run, tmp_path):
    """Exit 0 where the signature holds, 1 where it does not; a key that was given must be the one."""
    text = record.sign(RESULT, b"s" * 32)
    mine, others = (json.loads(record.sign(RESULT, key * 32))["key"] for key in (b"s", b"t"))
    (tmp_path / "good").write_text(text)
    (tmp_path / "bad").write_text(text.replace('"failed": 0', '"failed": 1'))
    told = run("lists", "selftest", "--verify", "good")
    assert (told.returncode, "Somebody" in told.stdout, mine in told.stdout) == (0, True, True)
    assert run("lists", "selftest", "--verify", "good", "--key", mine).returncode == 0
    assert run("lists", "selftest", "--verify", "good", "--key", others).returncode == 1
    assert run("lists", "selftest", "--verify", "bad").returncode == 1


def test_an_old_record_can_be_told_to_be_ours(run, config, tmp_path):
    """Signed by the key in use, by one that was rotated since, or by a stranger's: beside the keys that is told."""
    folder = tmp_path / "state" / "keys"
    old = Keys.open_or_create(folder).signing_private
    rotation.begin(folder, "signing")
    new = rotation.finish(folder, "signing", datetime.now(UTC)).signing_private
    for key, said in ((new, "this installation's key."), (old, "an earlier key of"), (bytes(32), "is no key of the")):
        (tmp_path / "record").write_text(record.sign(RESULT, key))
        told = run("lists", "selftest", "--verify", "record", "-c", config)
        assert (told.returncode, said in told.stdout) == (0, True)


@pytest.mark.parametrize("name", ["Fine\x1b[2K\r\npassed: all", "\ud800"])
def test_what_a_stranger_signed_is_shown_as_it_is(run, tmp_path, name):
    """A record may come from anybody: nothing in it reaches the terminal as an order, or as a line of ours."""
    (tmp_path / "theirs").write_text(record.sign(RESULT | {"operator": name}, b"s" * 32))
    told = run("lists", "selftest", "--verify", "theirs")
    assert (told.returncode, len(told.stdout.splitlines()), told.stdout.replace("\n", "").isprintable()) == (0, 3, True)


@pytest.mark.parametrize("arguments", [("--verify", "missing"), ("--verify", "none"), ("--key", "x")])
def test_a_mistake_is_one_line(run, tmp_path, arguments):
    """Exit 2, one line that says what is wrong."""
    (tmp_path / "none").write_text("{}")
    done = run("lists", "selftest", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
