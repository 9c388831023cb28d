"""A real web server over TLS for lists, and a list's source on it that fails on demand, at the same URL."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.lists.sources.web import Ca

_HEAD = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    log_format asked '$status $uri [$http_if_none_match]';
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    default_type text/plain;
    root {folder}/www;
    proxy_buffering off;
    {servers}
}}
"""
_SERVER = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {leaf}; ssl_certificate_key {leaf};
        access_log {folder}/asked asked;
        location / {{
            if (-f {folder}/fault$uri.404) {{ return 404; }}
            if (-f {folder}/fault$uri.500) {{ return 500; }}
            if (-f {folder}/fault$uri.304) {{ return 304; }}
            if (-f {folder}/fault$uri.http) {{ return 301 http://localhost:{port}$uri; }}
            if (-f {folder}/fault$uri.away) {{ return 307 https://other.invalid/list; }}
            if (-f {folder}/fault$uri.circle) {{ return 302 $uri; }}
            if (-f {folder}/fault$uri.moved) {{ return 302 https://localhost:{port}/elsewhere; }}
            if (-f {folder}/fault$uri.slow) {{ set $limit_rate 150k; }}
            if (-f {folder}/fault$uri.stall) {{ rewrite ^ /raw/stall last; }}
            if (-f {folder}/fault$uri.drip) {{ rewrite ^ /raw/drip last; }}
            if (-f {folder}/fault$uri.short) {{ rewrite ^ /raw/short last; }}
            if (-f {folder}/fault$uri.unchunked) {{ rewrite ^ /raw/unchunked last; }}
            if (-f {folder}/fault$uri.less) {{ rewrite ^ /raw/less last; }}
            if (-f {folder}/fault$uri.reset) {{ rewrite ^ /raw/reset last; }}
            if (-f {folder}/fault$uri.noise) {{ rewrite ^ /raw/noise last; }}
        }}
        location /raw/ {{ internal; proxy_pass http://127.0.0.1:{upstream}; }}
    }}
"""


def free_tcp(count: int) -> list[int]:
    """Return TCP ports on which nothing listened a moment ago."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in held]
    for item in held:
        item.close()
    return ports


@contextmanager
def nginx(folder: Path, servers: str, port: int) -> Iterator[None]:
    """Run nginx with these servers until the end; `port` is one of theirs."""
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_HEAD.format(user=user, folder=folder, servers=servers))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
    assert program is not None
    process = subprocess.Popen([program, "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf"])
    try:
        _wait(port, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "nginx did not start"
        time.sleep(0.05)
    raise AssertionError("nginx did not listen")


@contextmanager
def raw(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Let `answer` speak to whoever connects, as it likes; yield the port. It must end when its peer goes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                answer(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=one, args=(listener.accept()[0],)))
                    threads[-1].start()

        main = threading.Thread(target=accept)
        main.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [main, *threads]:
                thread.join(15)


@dataclass(frozen=True)
class Source:
    """A site that has lists, and fails as it is told."""

    folder: Path
    port: int
    ca: Ca
    _moments: Iterator[int] = field(default_factory=lambda: count(1_700_000_000))

    def url(self, name: str = "list") -> str:
        return f"https://localhost:{self.port}/{name}"

    def fetch(self, **more: Any) -> dict[str, Any]:
        """Return a list's `fetch` that reaches this site."""
        return {"ca": str(self.ca.pem), "private": True, "timeout": "20s", **more}

    def file(self, name: str = "list") -> Path:
        return self.folder / "www" / name

    def put(self, content: bytes, name: str = "list") -> None:
        """Have a list there, whole at every moment, and no fault. Its ETag is never one that it had before."""
        self.heal(name)
        new = self.folder / "new"
        new.write_bytes(content)
        moment = next(self._moments)  # nginx makes it of whole seconds and the size
        os.utime(new, (moment, moment))
        new.replace(self.file(name))

    def fail(self, fault: str, name: str = "list") -> None:
        """Fail from now on, whenever the list is asked for."""
        (self.folder / "fault" / f"{name}.{fault}").touch()

    def heal(self, name: str = "list") -> None:
        for path in (self.folder / "fault").glob(f"{name}.*"):
            path.unlink()

    def bomb(self, name: str = "list") -> None:
        """Put a small file there that becomes very large."""
        self.put(gzip.compress(b"\n" * 2**26) * 160, name)

    def asked(self, name: str, least: int) -> list[str]:
        """Return status and If-None-Match of the last requests for a list, once there were so many."""
        found: list[str] = []
        for _ in range(100):
            lines = (self.folder / "asked").read_text().splitlines()
            found = [line.replace(f" /{name} ", " ") for line in lines if f" /{name} " in line]
            if len(found) >= least:
                break
            time.sleep(0.02)
        return found


@contextmanager
def source(folder: Path) -> Iterator[Source]:
    """Run a site whose lists can fail."""
    ca, [port] = Ca(folder), free_tcp(1)
    for name in ("www", "fault"):
        (folder / name).mkdir()
    with raw(_failing) as upstream:
        servers = _SERVER.format(port=port, leaf=ca.issued("leaf"), folder=folder, upstream=upstream)
        with nginx(folder, servers, port):
            yield Source(folder, port, ca)


NAMES = b"".join(b"half%d.example\n" % number for number in range(300))
"""What a failing upstream has to say."""


def _failing(connection: socket.socket) -> None:
    """Answer as the path asks: too little, too much, too late."""
    connection.settimeout(20)
    what = connection.recv(65536).split(b" ")[1].rpartition(b"/")[2].decode()
    if what == "noise":
        connection.sendall(b"\0\1\2 no answer of HTTP\r\n\r\n")
        return
    if what in ("drip", "unchunked"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n%b\r\n" % (len(NAMES), NAMES))
        while what == "drip":
            connection.sendall(b"1\r\n#\r\n")
            time.sleep(0.02)
        return
    said = len(NAMES) - 7 if what == "less" else 2 * len(NAMES)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % said + NAMES)
    if what == "stall":
        connection.recv(1)  # until the other side has had enough
    elif what == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
