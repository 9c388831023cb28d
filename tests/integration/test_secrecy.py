"""Where a confidential list is never seen: each interface and error path of one real product is driven, then searched.

Keywords, expressions, inner wildcards and hashes that are compared by distance may stand in a worker's memory, for what
searches needs them in clear; in no file, log or answer. What a client sent may come back to that client.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT, have
from tests.dns.fakes import query
from tests.inspection.world import Ca

from .asking import Answer, Clients, ask_control, ask_portal, type_commands
from .marked import ASKED, NEAR, SILENT, SOUGHT, UNASKED, in_files, in_memory, marks, write
from .product import Product, upstream

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of a process that hides it"),
    have("setpriv", "util-linux"),
]

UNPRIVILEGED = ("setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace")
"""Without the right to read any process: so the product is run, and so a neighbour of its user looks at it."""
ROLES = ("edge-0", "edge-1", "inspector", "control")
IN_MEMORY = {SOUGHT, NEAR}
MORE = """
[log]
level = "debug"
[inspection]
upstream_ca = "{ca}"
"""
FAULT = """
import filterproxy.core.decide as module
real = module.decide
def decide(subject, policy, moment):
    url = getattr(subject, "url", None)
    asked = " ".join(str(getattr(subject, name, "")) for name in ("name", "host")) + getattr(url, "text", "")
    if "faulty" in asked:
        raise RuntimeError("".join(map(chr, {letters})) + asked)
    return real(subject, policy, moment)
module.decide = decide
"""
"""Makes a decision fail whose subject says so: the error's text holds a mark and what was asked."""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say what is on every page."""
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextmanager
def origins(ca: Ca) -> Iterator[tuple[int, int]]:
    """Serve pages in clear and over TLS, and yield both ports."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Page) for _ in range(2)]
    servers[1].socket = ca.server().wrap_socket(servers[1].socket, server_side=True, do_handshake_on_connect=False)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers[0].server_port, servers[1].server_port
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """A product that can be made to fail, that says all it can when it crashes, and those who ask it."""
    planted, temporary, folder = tmp_path / "planted", tmp_path / "product" / "tmp", tmp_path / "product"
    planted.mkdir()
    temporary.mkdir(parents=True)
    (planted / "sitecustomize.py").write_text(FAULT.format(letters=tuple(SILENT.encode())))
    monkeypatch.setenv("PYTHONPATH", f"{planted}{os.pathsep}{ROOT}")
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    monkeypatch.setenv("TMPDIR", str(temporary))
    ca = Ca(tmp_path)
    product = Product(folder, workers=2)
    with origins(ca) as (plain, tls), upstream(product.upstream):
        text = product.config.read_text().replace("[gateway]", f"[gateway]\nconnect_ports = [1, 443, {plain}, {tls}]")
        product.config.write_text(text + MORE.format(ca=ca.pem) + write(tmp_path / "sources"))
        try:
            product.start(within=UNPRIVILEGED)
            yield Clients(product, tmp_path / "sources", plain, tls)
        finally:
            product.kill()


def without_database(clients: Clients) -> None:
    """Appeal while the database is another's."""
    path = next(path for path in clients.product.state.iterdir() if path.is_file() and _is_database(path))
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        said = clients.post("/appeal", address="zqwanted-a.example", message="zqwanted")
    finally:
        held.close()
    assert " 503 " in said[:20]


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def fail(clients: Clients) -> None:
    """Ask what makes a decision raise, in DNS, in the proxy's hooks and in the portal."""
    product, before = clients.product, clients.product.log.read_text()
    clients.udp(bytes(query("zqwanted.faulty.example").pack()))
    said = clients.http(product.proxy, "GET http://faulty.example/zqwanted", host="faulty.example")
    assert "could not judge" in said, said
    clients.http(product.proxy, "CONNECT faulty.example:443", host="faulty.example")
    clients.http(product.portal, "GET /zqwanted", host="faulty.example")
    assert "hook_failed" in product.log.read_text()[len(before) :]


def crash(clients: Clients) -> None:
    """End each process but the supervisor by a fault and by an abort, each of which tells where it was."""
    product = clients.product
    for number in (signal.SIGSEGV, signal.SIGABRT):
        pids = {name: product.pid(name) for name in ROLES}
        for pid in pids.values():
            assert pid is not None
            os.kill(pid, number)
        product.until(lambda: not set(pids.values()) & {*pids_of(product).values(), None}, 20)  # noqa: B023 - at once
        product.until(product.ready, 30)
    log = product.log.read_text()
    assert "Fatal Python error: Segmentation fault" in log
    assert "Fatal Python error: Aborted" in log


def read_again(product: Product, sources: Path) -> None:
    """Add a name to a list, and have all lists read by a signal."""
    assert product.process is not None
    with (sources / "domains").open("a") as source:
        source.write("zqsilent-z.example\n")
    before = product.ask(do="lists")["lists"]
    product.process.send_signal(signal.SIGHUP)
    product.until(lambda: product.ask(do="lists")["lists"] != before, 20)


def crash_supervisor(product: Product) -> None:
    """End the supervisor by a fault: the kernel kills all others with it, and no core was written."""
    assert product.process is not None
    os.kill(product.process.pid, signal.SIGSEGV)
    found = os.waitid(os.P_PID, product.process.pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert (found.si_code, found.si_status) == (os.CLD_KILLED, signal.SIGSEGV)
    assert product.process.wait(10) == -signal.SIGSEGV


def pids_of(product: Product) -> dict[str, int]:
    assert product.process is not None
    found = {item["name"]: item["pid"] for item in product.status()["processes"]}
    return {**found, "supervisor": product.process.pid}


def readable(pid: int) -> bool:
    """Return whether a process of the same user, and no more rights, may open a process's memory."""
    done = subprocess.run([*UNPRIVILEGED, "sh", "-c", f"exec 3< /proc/{pid}/mem"], capture_output=True, check=False)
    return done.returncode == 0


def no_cores(product: Product) -> None:
    """No process may dump core, and no neighbour may read it; one that is as others are could be read."""
    with subprocess.Popen([*UNPRIVILEGED, "sleep", "60"]) as other:
        try:
            product.until(lambda: readable(other.pid), 10)  # not before it has given up what the reader lacks
        finally:
            other.kill()
    for name, pid in pids_of(product).items():
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        assert [line.split()[4:6] for line in limits if line.startswith("Max core")] == [["0", "0"]], name
        assert not readable(pid), name


def nothing_told(clients: Clients) -> None:
    """No answer holds a mark but of what this client sent; beside its question a DNS answer holds none at all."""
    for answer in clients.answers:
        assert marks(answer.came, UNASKED) == {}, answer.where
        if marks(answer.came, (ASKED,)):
            assert marks(answer.sent + answer.echo, (ASKED,)), answer
        assert marks(beyond_question(answer), (ASKED,)) == {}, answer
    assert any(marks(answer.came, (ASKED,)) for answer in clients.answers), "else nothing was searched"
    assert marks(b"".join(answer.sent for answer in clients.answers), UNASKED) == {}, "a client asked for it"


def beyond_question(answer: Answer) -> bytes:
    """Return what a DNS answer to one whole question says beside it: records, extended errors."""
    if not answer.where.startswith("dns"):
        return b""
    came = answer.came[2:] if answer.where == "dns tcp" else answer.came
    name = answer.sent[12 : answer.sent.find(b"\0", 12) + 1]
    return came.replace(name, b"") if len(name) > 1 else b""


def nothing_kept(product: Product) -> None:
    """No file of the product, its log among them, holds a mark, but for the certificates that clients asked for."""
    assert in_files(product.folder) == {}
    assert marks(product.log.read_bytes()) == {}


def test_no_word_of_a_confidential_list_is_seen_anywhere(clients: Clients) -> None:
    """What nobody asked for is nowhere; what was asked for is told to who asked alone."""
    product = clients.product
    cores = set(ROOT.glob("core*"))
    no_cores(product)
    clients.dns()
    clients.proxied()
    clients.inside_tls(product.state / "ca" / "mitmproxy-ca-cert.pem")
    ask_portal(clients)
    for name, pid in pids_of(product).items():
        if name != "control":  # which reads the lists
            found = in_memory(pid, UNASKED)
            assert SOUGHT in found, "else nothing was read"
            assert found.keys() <= IN_MEMORY, (name, found)
    ask_control(clients)
    with ThreadPoolExecutor(1) as beside:
        away = beside.submit(without_database, clients)
        type_commands(clients)
        away.result()
    fail(clients)
    crash(clients)
    read_again(product, clients.sources)
    crash_supervisor(product)
    for path in (product.state / "bundle").glob("*.seg"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    for _ in range(2):  # from damaged files, and then from whole ones
        product.start(within=UNPRIVILEGED)
        clients.dns()
        clients.http(product.metrics, "GET /metrics")
        nothing_told(clients)
        assert product.stop() == 0
    nothing_told(clients)
    nothing_kept(product)
    assert set(ROOT.glob("core*")) == cores
    for mark in (SILENT, ASKED):  # the same search finds what is there
        with product.log.open("a") as log:
            log.write(f"{mark.upper()}\n")
        assert str(product.log) in in_files(product.folder, (mark,))
