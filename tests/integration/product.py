"""A product of our own on loopback: real processes, temporary ports, a small upstream, and ways to look at it."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from filterproxy.errors import ConfigError, ControlError
from filterproxy.runtime import client
from filterproxy.runtime.children import environment
from filterproxy.runtime.process import User, check_runs
from tests.conftest import ROOT
from tests.ports import free_ports

DOMAINS = "bad.example\n"
URLS = "http://mixed.example/listed/page.html\nhttp://mixed.example/listed/other.html\n"
LAW = "http://law.example/page.html\n"


class Product:
    """`filterproxy run` on a folder of its own."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.folder, self.state = folder, folder / "state"
        self.dns, self.proxy, self.portal, self.console, self.metrics, self.upstream = free_ports(6)
        (folder / "d.domains").write_text(DOMAINS)
        (folder / "u.urls").write_text(URLS)
        (folder / "l.urls").write_text(LAW)
        self.config = folder / "config.toml"
        self.config.write_text(_CONFIG.format(p=self, f=folder, workers=workers))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self, *, within: Sequence[str] = (), wait: bool = True) -> None:
        """Start it by way of the command `within`, if any, and wait until every process serves."""
        command = [*within, sys.executable, "-m", "filterproxy", "run", "-c", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        if wait:
            self.until(self.ready, 60)

    def ready(self) -> bool:
        """Return whether every process serves by the bundle in force."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"it ended: {self.log.read_text()}")
        try:
            status = self.status()
        except ControlError:
            return False
        return all(item["ready"] and item["generation"] == status["generation"] for item in status["processes"])

    def status(self) -> dict[str, Any]:
        return client.ask(self.state, {"do": "status"}, timeout=10)

    def ask(self, **request: Any) -> dict[str, Any]:
        return client.ask(self.state, request, timeout=30)

    def pid(self, name: str) -> int | None:
        found: dict[str, int | None] = {item["name"]: item["pid"] for item in self.status()["processes"]}
        return found[name]

    def until(self, holds: Callable[[], bool], seconds: float) -> float:
        """Wait until `holds`, and return how long that took."""
        begun = time.monotonic()
        while not holds():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not within {seconds} s: {self.log.read_text()}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it without asking, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    # What clients see

    def rcode(self, name: str, timeout: float = 2.0) -> int | None:
        """Return the response code for `name`, or None where no answer came."""
        reply = self.ask_dns(name, timeout)
        return None if reply is None else reply[3] & 15

    def answers(self, name: str) -> int:
        """Return how many records answer for `name`: none where it is blocked."""
        reply = self.ask_dns(name)
        assert reply is not None
        return int.from_bytes(reply[6:8])

    def ask_dns(self, name: str, timeout: float = 2.0) -> bytes | None:
        """Return the answer to a question for an address of `name`, None where none came."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", self.dns))
            try:
                sock.send(question(name))
                return sock.recv(4096)
            except OSError:
                return None

    def get(self, url: str) -> tuple[int, bytes]:
        """Return status and body of `url` through the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy, timeout=10)
        try:
            connection.request("GET", url)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def page(self, port: int, path: str) -> tuple[int, str]:
        """Return status and text of a page of the product's own."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """Return the value of a metric written as `name{labels}`."""
        for found in self.page(self.metrics, "/metrics")[1].splitlines():
            if found.startswith(f"{line} "):
                return float(found.rpartition(" ")[2])
        return 0.0


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", int.from_bytes(os.urandom(2)), 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


@contextmanager
def upstream(port: int) -> Iterator[None]:
    """Answer every question with 192.0.2.1, on UDP."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    sock.settimeout(0.1)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with suppress(TimeoutError):
                packet, client = sock.recvfrom(4096)
                end = packet.index(b"\0", 12) + 5
                head = packet[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
                sock.sendto(head + packet[12:end] + answer, client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        sock.close()


class Load:
    """Questions without a pause, on a thread of its own: how many were answered, and the longest silence."""

    def __init__(self, product: Product, name: str = "bad.example") -> None:
        self._product, self._name = product, name
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = self.wrong = 0
        self.silence = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ending.is_set():
            code = self._product.rcode(self._name, timeout=0.5)
            now = time.monotonic()
            if code is not None:
                self.answered += 1
                self.wrong += code != 3
                self.silence, last = max(self.silence, now - last), now


def readable_by(user: str) -> list[str]:
    """Return a command within which `user` can run this Python, also where it is installed in root's own folder.

    A mount namespace of its own, in which that folder is one that may be entered and holds nothing but this Python.
    """
    python = Path(os.path.realpath(sys.executable))
    found = pwd.getpwnam(user)
    try:
        check_runs(User(user, found.pw_uid, found.pw_gid), environment())
    except ConfigError:
        pass
    else:
        return []
    closed = next(place for place in reversed(python.parents) if not place.stat().st_mode & 0o001)
    kept = closed / python.relative_to(closed).parts[0]
    script = (
        'mkdir -p "$3" && mount --bind "$2" "$3" && mount -t tmpfs -o mode=755 tmpfs "$1" && mkdir "$2" '
        '&& mount --bind "$3" "$2" && shift 3 && exec "$@"'
    )
    aside = f"/tmp/.aside-{os.getpid()}"
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(closed), str(kept), aside]


def children(pid: int) -> dict[str, int]:
    """Return the pid of each child process of `pid`, by its place's name."""
    found = {}
    for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{line}/cmdline").read_bytes().split(b"\0")
        found[command[5].decode()] = int(line)
    return found


def dump(value: object) -> str:
    return json.dumps(value, indent=1)


_CONFIG = """
[runtime]
state = "{f}/state"
workers = {workers}
drain = "3s"
[dns]
listen = ["127.0.0.1:{p.dns}"]
upstreams = ["127.0.0.1:{p.upstream}"]
limits = {{ rate = 0 }}
[gateway]
listen = "127.0.0.1:{p.proxy}"
[portal]
listen = "127.0.0.1:{p.portal}"
url = "http://127.0.0.1:{p.portal}"
[console]
listen = "127.0.0.1:{p.console}"
[metrics]
listen = "127.0.0.1:{p.metrics}"
[[lists]]
id = "domains"
source = "{f}/d.domains"
format = "domains"
[[lists]]
id = "pages"
source = "{f}/u.urls"
format = "urls"
[[lists]]
id = "law"
source = "{f}/l.urls"
format = "urls"
mandatory = true
confidential = true
basis = "law"
"""
