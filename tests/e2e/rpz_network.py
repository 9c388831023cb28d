"""A provider's network in namespaces: a filter that gives zones, who answers for all names, and machines of resolvers.

The filter's machine is `EDGE`; beside the product it has BIND as root of a small invented DNS with a signed zone.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

EDGE, WEB = "10.30.0.1", "192.0.2.80"
NAMED = "/usr/sbin/named"
_ROOT = f"""$TTL 600
. SOA ns.example. nobody.example. 1 3600 600 86400 60
. NS ns.example.
example. NS ns.example.
ns.example. A {EDGE}
"""
_EXAMPLE = f"""$TTL 600
@ SOA ns nobody 1 3600 600 86400 60
@ NS ns
ns A {EDGE}
* A {WEB}
leads CNAME www.bad
signed NS ns
"""
_SIGNED = f"""$TTL 600
@ SOA ns.example. nobody.example. 1 3600 600 86400 60
@ NS ns.example.
* A {WEB}
www A {WEB}
"""
_AUTHORITY = """
options {{
  directory "{folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no;
  listen-on {{ {address}; }}; listen-on-v6 {{ none; }};
}};
controls {{ }};
zone "." {{ type primary; file "root.zone"; }};
zone "example" {{ type primary; file "example.zone"; }};
zone "signed.example" {{ type primary; file "signed.zone.signed"; }};
"""


class Network:
    """Namespaces by address, on one wire."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._made: list[str] = []
        self._socket: socket.socket | None = None

    @property
    def client(self) -> socket.socket:
        """A socket for datagrams on the first machine: a socket stays where it was made, whoever uses it."""
        if self._socket is None:
            with ThreadPoolExecutor(1) as pool:
                self._socket = pool.submit(self._made_there).result(10)
        return self._socket

    def _made_there(self) -> socket.socket:
        with open(f"/run/netns/{self._made[0]}") as place:
            os.setns(place.fileno(), os.CLONE_NEWNET)  # of this thread alone
        made = socket.socket(type=socket.SOCK_DGRAM)
        made.setblocking(False)  # as dnspython wants it
        return made

    def add(self, address: str) -> None:
        """Make a machine; the first one has the wire."""
        name = self._name(address)
        _run("ip", "netns", "add", name)
        self._made.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        if name == self._made[0]:
            _run("ip", "-n", name, "link", "add", "lan0", "type", "bridge")
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "lan0")
            _run("ip", "-n", name, "link", "set", "lan0", "up")
        else:
            first, end = self._made[0], f"to{len(self._made)}"
            other = ["peer", "name", end, "netns", first]
            _run("ip", "link", "add", "eth0", "netns", name, "type", "veth", *other)
            _run("ip", "-n", first, "link", "set", end, "master", "lan0", "up")
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")

    def within(self, address: str) -> list[str]:
        """Return by way of which command a program runs on a machine."""
        return ["ip", "netns", "exec", self._name(address)]

    def remove(self) -> None:
        """Take the namespaces away."""
        if self._socket is not None:
            self._socket.close()
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=20)

    def _name(self, address: str) -> str:
        return f"{self._mark}-{address.rpartition('.')[2]}"


@contextmanager
def network(*addresses: str) -> Iterator[Network]:
    """Make a machine for each address."""
    made = Network(f"fprpz{os.getpid()}")
    try:
        for address in addresses:
            made.add(address)
        yield made
    finally:
        made.remove()


@contextmanager
def process(command: list[str], log: Path) -> Iterator[None]:
    """Run a program, what it says going to `log`."""
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(10)


def until(holds: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> float:
    """Wait until `holds`, and return how long that took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {explain()}"
        time.sleep(0.05)
    return time.monotonic() - begun


def sign(folder: Path) -> tuple[str, str, str]:
    """Write the zones, `signed.example` with signatures; return what to believe it by: flags and key, and the DS."""
    (folder / "root.zone").write_text(_ROOT)
    (folder / "example.zone").write_text(_EXAMPLE)
    (folder / "signed.zone").write_text(_SIGNED)
    made = _run("dnssec-keygen", "-q", "-K", str(folder), "-a", "ECDSAP256SHA256", "-f", "KSK", "signed.example")
    key = made.stdout.strip()
    _run("dnssec-signzone", "-q", "-z", "-S", "-K", str(folder), "-o", "signed.example", "signed.zone", at=folder)
    found = re.search(r"DNSKEY\s+(257 3 13)\s+(.+)", (folder / f"{key}.key").read_text())
    assert found is not None
    ds = _run("dnssec-dsfromkey", "-2", f"{key}.key", at=folder).stdout.strip().partition(" DS ")[2]
    return found[1], found[2].replace(" ", ""), ds


def authority(folder: Path) -> list[str]:
    """Return by which command all names are answered for on `EDGE`; the zones are those that `sign` has written."""
    (folder / "authority.conf").write_text(_AUTHORITY.format(folder=folder, address=EDGE))
    return [NAMED, "-g", "-n", "1", "-c", str(folder / "authority.conf")]


def _run(*command: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=at)
