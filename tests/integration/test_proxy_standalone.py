"""mitmdump with the addon, as a process: what it lets through, what it prints, what is left when it is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import ROOT

MITMDUMP = Path(sys.executable).with_name("mitmdump")
CONFIGURATION = """
[runtime]
state = "{folder}/state"
[gateway]
allow_targets = ["127.0.0.0/8"]
connect_ports = [{origin}]
[portal]
enabled = false
[[lists]]
id = "pages"
source = "{folder}/pages.txt"
format = "urls"
basis = "law"
https = "inspect"
"""


class Web(ThreadingHTTPServer):
    """A web server that remembers what it was asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Page)


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def mitmdump(folder: Path, port: int, origin: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Start mitmdump with the addon and wait until it takes connections."""
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    (folder / "pages.txt").write_text("127.0.0.1/listed\n")
    (folder / "c.toml").write_text(CONFIGURATION.format(folder=folder, origin=origin))
    command = [str(MITMDUMP), "-s", "addons/http_filter.py", "--set", f"filterproxy_config={folder / 'c.toml'}"]
    process = subprocess.Popen(
        [*command, "--listen-host", "127.0.0.1", "-p", str(port), *more],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        _wait(port, process)
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        assert process.poll() is None, process.stdout and process.stdout.read()
        with contextlib.suppress(OSError, HTTPException):
            ask(port, "http://127.0.0.1:1/")
            return
        time.sleep(0.05)
    raise AssertionError("mitmdump did not start")


def ask(port: int, url: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", url, headers={"Host": url.split("/")[2]})
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_filters_by_itself_and_prints_no_address(tmp_path, free_port, web):
    """Even where mitmdump was asked to print every flow."""
    origin = web.server_address[1]
    with mitmdump(tmp_path, free_port, origin, "--flow-detail", "3", "--set", "termlog_verbosity=debug") as process:
        assert ask(free_port, f"http://127.0.0.1:{origin}/fine?secret=1") == 200
        assert ask(free_port, f"http://127.0.0.1:{origin}/listed?secret=1") == 451
        assert ask(free_port, f"http://127.0.0.1:{origin}/x/..%2Flist%65d") == 451
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert web.paths == ["/fine?secret=1"]
    assert [word for word in ("secret", "listed", "fine", str(origin), "127.0.0.1:") if word in said] == []


async def test_killed_under_load_it_lets_nothing_listed_through_and_its_port_is_free(tmp_path, free_port, web):
    """A kill -9 is no way around, and the next one starts at once."""
    origin = web.server_address[1]

    async def ask_on(path: str) -> list[int]:
        got = []
        for _ in range(15):
            try:
                got.append(await asyncio.to_thread(ask, free_port, f"http://127.0.0.1:{origin}{path}"))
            except (OSError, HTTPException):
                got.append(0)
            await asyncio.sleep(0.02)
        return got

    with mitmdump(tmp_path, free_port, origin) as process:
        asking = [asyncio.create_task(ask_on(path)) for path in ("/listed", "/fine") * 3]
        await asyncio.sleep(0.15)
        process.kill()
        statuses = await asyncio.gather(*asking)
    assert 0 in statuses[0]
    assert all(status in (0, 451) for got in statuses[::2] for status in got)
    assert "/listed" not in web.paths
    with mitmdump(tmp_path, free_port, origin):
        assert ask(free_port, f"http://127.0.0.1:{origin}/listed") == 451
