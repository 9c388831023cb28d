"""What a service manager hears, on a socket of the test's that stands for its own."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import pytest

from filterproxy.runtime.children import environment
from filterproxy.runtime.notify import Notifier


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path) -> Iterator[tuple[socket.socket, str]]:
    """A manager's socket, and what NOTIFY_SOCKET says of it."""
    name = f"@filterproxy-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name.startswith("@") else name)
        sock.settimeout(5)
        yield sock, name


def test_each_message_is_as_the_protocol_has_it(manager):
    """READY, RELOADING with a time, STOPPING, WATCHDOG, EXTEND_TIMEOUT_USEC; a status only when it is news."""
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert sock.recv(1000) == b"READY=1"
    notifier.reloading()
    first, second = sock.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert abs(int(second.removeprefix("MONOTONIC_USEC=")) - time.monotonic_ns() // 1000) < 5_000_000
    notifier.stopping()
    notifier.lives()
    notifier.longer(1.5)
    for _ in range(3):
        notifier.status("2 of 2 workers serve")
    notifier.status("1 of 2 workers serve")
    told = [sock.recv(1000) for _ in range(5)]
    assert told == [
        b"STOPPING=1", b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=1500000", b"STATUS=2 of 2 workers serve",
        b"STATUS=1 of 2 workers serve",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "@", "relative", "vsock:2:1234", "/nowhere/at/all", "/" + "x" * 200])
def test_a_manager_that_is_not_there_harms_nothing(name):
    """Nothing is sent and nothing is raised."""
    Notifier({"NOTIFY_SOCKET": name}).ready()
    Notifier({}).reloading()


def test_a_manager_that_reads_nothing_holds_us_for_a_moment_only(manager):
    """Its queue is full: the message is dropped."""
    _, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.sendto(b"x", "\0" + name[1:] if name.startswith("@") else name)
    notifier.ready()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("variables", "every"), [
    ({"WATCHDOG_USEC": "30000000"}, 15.0),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
    ({}, None),
])  # fmt: skip
def test_signs_of_life_are_given_twice_in_the_managers_time(variables, every):
    """And only where it is this process that it waits for."""
    assert Notifier({"NOTIFY_SOCKET": "/x", **variables}).every == every
    assert Notifier(variables).every is None


def test_no_child_may_speak_for_the_supervisor(monkeypatch):
    """The manager's socket is not in a child's environment."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/x")
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & environment().keys()
    assert environment()["PATH"]
