"""The control socket and its client: questions, refusals, descriptors, and who is asking."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import ControlError, StoreError
from filterproxy.runtime import client, control_socket
from filterproxy.runtime.control_socket import Reply, serve
from filterproxy.runtime.memfd import sealed
from filterproxy.runtime.sockets import unix


async def answer(request, by):
    """Answer as a supervisor would."""
    match request["do"]:
        case "who":
            return Reply({"by": by})
        case "large":
            return Reply({"text": "x" * 5_000_000})
        case "bundle":
            fds = [sealed("key", [b"k" * 32]), sealed("one", [b"segment one"])]
            return Reply({"manifest": {"generation": 3}, "segments": ["one.seg"]}, fds)
        case "away":
            raise StoreError("the store is away")
        case _:
            raise ValueError("http://secret.example/")


@contextmanager
def served(folder):
    """Serve on a thread of its own."""
    loop = asyncio.new_event_loop()
    sock = unix(folder / client.SOCKET)
    task = loop.create_task(serve(sock, answer))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        loop.call_soon_threadsafe(loop.call_later, 0.1, loop.stop)
        thread.join()
        loop.close()
        sock.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    with served(folder):
        yield folder


def test_an_answer_is_returned_and_may_be_large(state):
    """A question, an answer; a few megabytes are no trouble."""
    assert len(client.ask(state, {"do": "large"})["text"]) == 5_000_000


def test_who_asks_is_told_by_the_kernel(state):
    """The name is not the client's to choose."""
    known = {pwd.getpwuid(os.geteuid()).pw_name}
    with open("/proc/self/loginuid") as file:
        login = int(file.read())
    if login != 0xFFFFFFFF:
        known = {pwd.getpwuid(login).pw_name}
    assert client.ask(state, {"do": "who", "by": "somebody"})["by"] in known


@pytest.mark.parametrize("option", [control_socket._SO_PEERPIDFD, 9999], ids=["pidfd", "old-kernel"])
def test_who_has_ended_is_nobody(tmp_path, monkeypatch, option):
    """A connection that outlives the process that made it tells no login: one person would pass for two."""
    monkeypatch.setattr(control_socket, "_SO_PEERPIDFD", option)
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with unix(tmp_path / "s") as listening, socket.socket(socket.AF_UNIX) as living:
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=True)
        living.connect(str(tmp_path / "s"))
        (gone, _), (there, _) = listening.accept(), listening.accept()
        with gone, there:
            assert control_socket._peer(gone) is None
            assert control_socket._peer(there) is not None


def test_a_line_that_is_nested_without_end_is_answered(state):
    """As any other that means nothing."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(state / client.SOCKET))
        sock.sendall(b"[" * 500_000 + b"\n")
        with sock.makefile("rb") as file:
            assert json.loads(file.readline())["ok"] is False


def test_a_failure_to_accept_is_not_the_end(tmp_path, monkeypatch):
    """Where no descriptor is left, say, those who come later are heard."""

    async def main():
        loop, failures = asyncio.get_running_loop(), [OSError(24, "Too many open files")]
        accept = loop.sock_accept

        async def once(sock):
            if failures:
                raise failures.pop()
            return await accept(sock)

        monkeypatch.setattr(loop, "sock_accept", once)
        with unix(tmp_path / client.SOCKET) as sock:
            task = loop.create_task(serve(sock, answer))
            try:
                assert "by" in await asyncio.to_thread(client.ask, tmp_path, {"do": "who"}, 10)
            finally:
                task.cancel()

    asyncio.run(main())


def test_the_bundle_comes_as_sealed_memory(state):
    """Manifest, segments by file, and the digest key; no descriptor stays open in the client."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    manifest, buffers, key = client.bundle(state)
    assert (manifest, {name: bytes(view) for name, view in buffers.items()}, key) == (
        {"generation": 3}, {"one.seg": b"segment one"}, b"k" * 32,
    )  # fmt: skip
    buffers.clear()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.parametrize(("do", "said"), [("away", "the store is away"), ("other", r"internal error \(ValueError\)")])
def test_a_refusal_is_one_line(state, do, said):
    """Our own errors are shown, the text of others is not."""
    with pytest.raises(ControlError, match=f"^{said}$"):
        client.ask(state, {"do": do})


def test_where_nothing_runs_it_is_said(tmp_path):
    """Neither a missing socket nor one that a dead product left is taken for a running one."""
    assert not client.runs(tmp_path)
    with pytest.raises(ControlError, match="does not run"):
        client.ask(tmp_path, {"do": "who"})
    unix(tmp_path / client.SOCKET).close()
    assert not client.runs(tmp_path)
    with pytest.raises(ControlError, match="does not run"):
        client.ask(tmp_path, {"do": "who"})


def test_running_is_seen(state):
    """A listening socket is a running product."""
    assert client.runs(state)


@given(st.binary(max_size=200).filter(lambda data: b"\n" not in data and b'"do"' not in data))
def test_any_line_is_answered_with_one_line(state, data):
    """Whatever is written there, the socket answers and lives."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(state / client.SOCKET))
        sock.sendall(data + b"\n")
        with sock.makefile("rb") as file:
            assert json.loads(file.readline())["ok"] is False
