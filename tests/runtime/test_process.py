"""What a process asks of the kernel; dropping privileges itself is seen in tests/integration/test_supervisor.py."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from filterproxy.errors import ConfigError
from filterproxy.runtime import process
from tests.conftest import ROOT


def run(story: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import os, sys\nfrom filterproxy.runtime import process\n" + story]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)


def test_a_hardened_process_dumps_no_core_and_gains_nothing():
    """As the kernel shows it."""
    found = run("process.harden(); print(open('/proc/self/status').read(), open('/proc/self/limits').read())").stdout
    assert "NoNewPrivs:\t1" in found
    assert [line.split()[4:6] for line in found.splitlines() if "Max core" in line] == [["0", "0"]]


def test_a_process_whose_parent_has_gone_ends_at_once():
    """Also where the parent died before it could be asked for."""
    assert run("process.die_with(os.getppid()); print('lives')").stdout == "lives\n"
    found = run("process.die_with(1 if os.getppid() != 1 else 2); print('lives')")
    assert (found.stdout, found.returncode) == ("", 1)


def test_what_was_freed_goes_back_to_the_system():
    """Small pieces below one that is still used, which the C library would keep for itself."""
    found = run(
        "import ctypes, resource\n"
        "size = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "pieces = [bytes(10_000) for _ in range(10_000)]\n"
        "del pieces[:-1]\n"
        "before = size()\n"
        "process.give_back()\n"
        "print(before - size() > 50_000_000 or not hasattr(ctypes.CDLL(None), 'malloc_trim'))"
    )
    assert (found.stdout, found.stderr) == ("True\n", "")


def test_the_state_folder_is_closed_to_others(tmp_path):
    """0700, made where it is missing, mended where it is open."""
    process.own_folder(tmp_path / "a" / "state", None)
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    process.own_folder(tmp_path / "open", None)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(ConfigError, match=r"runtime\.state"):
        process.own_folder(tmp_path / "link", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a folder over: run the tests as root")
def test_a_folder_of_roots_is_handed_over_but_nothing_that_is_linked_elsewhere(tmp_path):
    """What root kept there before belongs to the user; a file with a second name stays root's."""
    user = process.User("nobody", 65534, 65534)
    state = tmp_path / "state"
    (state / "keys").mkdir(parents=True, mode=0o700)
    (state / "keys" / "a.key").write_text("x")
    (tmp_path / "other").write_text("x")
    (state / "hard").hardlink_to(tmp_path / "other")
    process.own_folder(state, user)
    assert {path.stat().st_uid for path in (state, state / "keys", state / "keys" / "a.key")} == {65534}
    assert (tmp_path / "other").stat().st_uid == 0
    with pytest.raises(ConfigError, match="another user"):
        process.own_folder(state, process.User("daemon", 1, 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else: run the tests as root")
def test_a_user_that_cannot_be_had_is_told():
    """An unknown name, and root itself."""
    with pytest.raises(ConfigError, match="no user"):
        process.user_to_become("no-such-user-here")
    with pytest.raises(ConfigError, match="other than root"):
        process.user_to_become("root")
    assert process.user_to_become("") is None
