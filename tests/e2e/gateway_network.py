"""A provider's network in namespaces: a client, a router where the product runs, and a web server beyond."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.conftest import ROOT
from tests.e2e.rpz_network import process

LISTED, OTHER = "192.0.2.80", "192.0.2.81"
LISTED6, OTHER6 = "2001:db8:2::80", "2001:db8:2::81"
CLIENT, CLIENT6 = "10.40.1.2", "fd40:1::2"
ROUTER: Final = "10.40.1.1"
_ORIGIN = """
import socket, sys, threading
def serve(sock):
    while True:
        conn, peer = sock.accept()
        threading.Thread(target=talk, args=(conn, peer), daemon=True).start()
def talk(conn, peer):
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        piece = conn.recv(4096)
        if not piece: return
        data += piece
    body = f"{conn.getsockname()[0]} {peer[0]}".encode()
    conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % len(body) + body)
    conn.close()
for address in sys.argv[1:]:
    sock = socket.create_server((address, 80), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    threading.Thread(target=serve, args=(sock,), daemon=True).start()
threading.Event().wait()
"""
_CONFIG = """
[operator]
name = "Test"
[runtime]
state = "{folder}/state"
user = "{user}"
[dns]
enabled = false
[inspection]
enabled = false
[console]
enabled = false
[metrics]
enabled = false
[portal]
listen = "{router}:8000"
url = "http://{router}:8000"
[gateway]
listen = "{router}:8080"
redirect = ["0.0.0.0:8081", "[::]:8081"]
tproxy = ["0.0.0.0:8082", "[::]:8082"]
keep_source = {keep}
[[lists]]
id = "pages"
source = "{folder}/pages.urls"
format = "urls"
[[lists]]
id = "hosts"
source = "{folder}/hosts.domains"
format = "domains"
"""


class Network:
    """Three machines in a row."""

    def __init__(self) -> None:
        mark = f"fpgw{os.getpid()}"
        self.client, self.router, self.origin = (f"{mark}-{name}" for name in ("c", "r", "o"))

    def make(self) -> None:
        """Make them, and the wires between."""
        for name in (self.client, self.router, self.origin):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for name, ours, net in ((self.client, "c0", 1), (self.origin, "o0", 2)):
            run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", ours, "netns", self.router)
            for where, dev, host in ((name, "eth0", 2), (self.router, ours, 1)):
                run("ip", "-n", where, "addr", "add", f"10.40.{net}.{host}/24", "dev", dev)
                run("ip", "-n", where, "-6", "addr", "add", f"fd40:{net}::{host}/64", "dev", dev, "nodad")
                run("ip", "-n", where, "link", "set", dev, "up")
            run("ip", "-n", name, "route", "add", "default", "via", f"10.40.{net}.1")
            run("ip", "-n", name, "-6", "route", "add", "default", "via", f"fd40:{net}::1")
        for address in (LISTED, OTHER):
            run("ip", "-n", self.origin, "addr", "add", f"{address}/32", "dev", "lo")
        for address in (LISTED6, OTHER6):
            run("ip", "-n", self.origin, "-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        run("ip", "-n", self.router, "route", "add", "192.0.2.0/24", "via", "10.40.2.2")
        run("ip", "-n", self.router, "-6", "route", "add", "2001:db8:2::/64", "via", "fd40:2::2")
        self.at(self.router, "sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def load(self, rules: str) -> None:
        """Load the rules of config/nftables, in place of any other, and the routes that they ask for."""
        self.at(self.router, "nft", "flush", "ruleset")
        self.at(self.router, "nft", "-f", str(ROOT / "config" / "nftables" / rules))
        if rules.startswith("tproxy"):
            for six, every in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
                self.at(self.router, "ip", six, "rule", "add", "fwmark", "0x66", "lookup", "66")
                self.at(self.router, "ip", six, "route", "add", "local", every, "dev", "lo", "table", "66")

    def at(self, machine: str, *command: str) -> str:
        """Run a command on a machine, and return what it says."""
        return run("ip", "netns", "exec", machine, *command)

    def get(self, url: str, *more: str) -> tuple[int, str]:
        """Return status and body of a URL as curl gets it on the client's machine; 0 where it gets none."""
        command = ["ip", "netns", "exec", self.client, "curl", "-sg", "-m", "10", "-w", "\n%{http_code}", *more, url]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
        body, _, status = found.rpartition("\n")
        return int(status), body

    def remove(self) -> None:
        """Take them away."""
        for name in (self.client, self.router, self.origin):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Yield the network, its web server running."""
    found = Network()
    try:
        found.make()
        command = ["ip", "netns", "exec", found.origin, sys.executable, "-c", _ORIGIN, LISTED, OTHER, LISTED6, OTHER6]
        with process(command, folder / "origin.log"):
            yield found
    finally:
        found.remove()


def write(folder: Path, *, user: str = "", keep: bool = False) -> Path:
    """Write the router's configuration and its lists; return the former's path."""
    (folder / "pages.urls").write_text("http://pages.example/listed\n")
    (folder / "hosts.domains").write_text(f"blocked.example\n{LISTED}\n[{LISTED6}]\n")
    path = folder / "config.toml"
    path.write_text(_CONFIG.format(folder=folder, router=ROUTER, user=user, keep=str(keep).lower()))
    return path


def run(*command: str) -> str:
    """Run a command that must succeed."""
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 0, (command, found.stderr)
    return found.stdout
