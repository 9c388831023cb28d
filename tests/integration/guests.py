"""A public Wi-Fi in network namespaces: a router with an upstream and a web site, a box, and a guest's phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

ROUTER, BOX, PHONE, ELSEWHERE = "10.20.0.1", "10.20.0.2", "10.20.0.57", "192.0.2.80"
IMAGE = os.environ.get("FILTERPROXY_IMAGE", "filterproxy")
DNS, FULL = f"{IMAGE}:dns", f"{IMAGE}:full"
SITE = """
import http.server, socketserver, threading, dnslib, dnslib.server
class Upstream:
    def resolve(self, request, handler):
        reply = request.reply()
        if request.q.qtype == 1:
            address = "10.20.0.1" if str(request.q.qname).lower().startswith("home.") else "192.0.2.80"
            reply.add_answer(dnslib.RR(request.q.qname, 1, ttl=60, rdata=dnslib.A(address)))
        return reply
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/html"); self.end_headers()
        self.wfile.write(b"<!doctype html><title>An ordinary site</title><p>Hello")
    def log_message(self, *_): pass
quiet = dnslib.server.DNSLogger("")
for tcp in (False, True):
    dnslib.server.DNSServer(Upstream(), address="10.20.0.1", port=53, tcp=tcp, logger=quiet).start_thread()
print("ready", flush=True)
http.server.ThreadingHTTPServer(("192.0.2.80", 80), Page).serve_forever()
"""
"""The router's side: it is every web site, and resolves every name to that; those of a home to itself."""


def run(*command: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Return what a command said; one that takes too long or fails is a failed test."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=check, env=environment())


def environment() -> dict[str, str]:
    """Return an environment in which podman finds what docker/build-without-engine.sh has built."""
    home = os.environ.get("FILTERPROXY_CONTAINERS", "/var/tmp/filterproxy-containers")
    found = {"CONTAINERS_STORAGE_CONF": f"{home}/storage.conf", "CONTAINERS_CONF": f"{home}/containers.conf"}
    return {**os.environ, **found}


@dataclass(frozen=True)
class Network:
    """The namespaces, by what stands in them."""

    router: str
    box: str
    phone: str

    def phones(self, *command: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the guest's phone."""
        return run("ip", "netns", "exec", self.phone, *command, timeout=timeout, check=check)


@contextmanager
def network() -> Iterator[Network]:
    """Make the namespaces, and have the router answer."""
    mark = f"fp{os.getpid()}"
    made = Network(f"{mark}r", f"{mark}b", f"{mark}p")
    resolver = Path("/etc/netns") / made.phone
    site: subprocess.Popen[str] | None = None
    try:
        _wire(made)
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text(f"nameserver {BOX}\n")
        command = ["ip", "netns", "exec", made.router, sys.executable, "-c", SITE]
        site = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert site.stdout is not None
        assert site.stdout.readline() == "ready\n"
        yield made
    finally:
        if site is not None:
            site.kill()
            site.communicate(timeout=10)
        for name in (made.router, made.box, made.phone):
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(resolver, ignore_errors=True)
        with suppress(OSError):
            resolver.parent.rmdir()


def _wire(made: Network) -> None:
    for name in (made.router, made.box, made.phone):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", made.router, "link", "add", "lan0", "type", "bridge")
    run("ip", "-n", made.router, "addr", "add", f"{ROUTER}/24", "dev", "lan0")
    run("ip", "-n", made.router, "addr", "add", f"{ELSEWHERE}/32", "dev", "lo")
    run("ip", "-n", made.router, "link", "set", "lan0", "up")
    for name, address in ((made.box, BOX), (made.phone, PHONE)):
        end = ["name", "eth0", "netns", name, "type", "veth", "peer", "name", f"to-{name[-1]}", "netns", made.router]
        run("ip", "link", "add", *end)
        run("ip", "-n", made.router, "link", "set", f"to-{name[-1]}", "master", "lan0", "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", ROUTER)


class Container:
    """The image as docker/compose.yaml runs it: read-only, not root, one capability, the network of the box."""

    def __init__(self, network: Network, config: Path | None = None, *, name: str = "", image: str = DNS) -> None:
        self.image = image
        self.name = name or f"{network.box}-container"
        self.volume = f"{self.name}-state"
        self._network = network
        self._config = config or ROOT / "config" / "wifi.toml"

    def start(self, *command: str, volume: bool = True, options: tuple[str, ...] = (), ready: bool = True) -> None:
        """Start it; where `ready`, wait until its health check is content."""
        mounts = {"/etc/filterproxy/filterproxy.toml": self._config, "/etc/filterproxy/lists": ROOT / "lists"}
        asked = [part for there, here in mounts.items() for part in ("-v", f"{here}:{there}:ro")]
        if volume:
            asked += ["-v", f"{self.volume}:/var/lib/filterproxy"]
        run(
            "podman", "run", "--detach", "--name", self.name, "--no-healthcheck", "--network",
            f"ns:/run/netns/{self._network.box}", "--read-only", "--tmpfs", "/tmp:size=16m", "--cap-drop", "all",
            "--cap-add", "NET_BIND_SERVICE", *asked, *options, self.image, *command,
        )  # fmt: skip
        if ready:
            self.until(lambda: self.inside("doctor", "--quick", check=False).returncode == 0)

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of filterproxy inside, with its configuration."""
        config = "/etc/filterproxy/filterproxy.toml"
        return run("podman", "exec", self.name, "filterproxy", *command, "-c", config, check=check)

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until `holds`."""
        ends = time.monotonic() + seconds
        while not holds():
            assert self.runs(), self.log()
            assert time.monotonic() < ends, self.log()
            time.sleep(0.2)

    def ended(self, seconds: float = 30) -> tuple[int, str]:
        """Return exit code and log of a container that ends by itself."""
        return int(run("podman", "wait", self.name, timeout=seconds).stdout), self.log()

    def runs(self) -> bool:
        return run("podman", "inspect", "--format", "{{.State.Running}}", self.name).stdout == "true\n"

    def log(self) -> str:
        found = run("podman", "logs", self.name)
        return found.stdout + found.stderr

    def stop(self) -> int:
        """Ask it to end, as `docker stop` does, and return its exit code."""
        run("podman", "stop", "--time", "20", self.name)
        return int(run("podman", "inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)

    def remove(self, *, volume: bool = False) -> None:
        """Take it away, whatever state it is in."""
        run("podman", "rm", "--force", "--time", "1", self.name, check=False)
        if volume:
            run("podman", "volume", "rm", "--force", self.volume, check=False)
