"""Unbound, BIND 9 and dnsmasq with a list of names, each in the form that it reads again soonest."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dns_side import ALONE
from benchmarks.installation import UPSTREAM

_ZONE = "$ORIGIN rpz.test.\n$TTL 60\n@ SOA localhost. root.localhost. {serial} 3600 600 86400 60\n@ NS localhost.\n"
_KEY = 'key "bench" { algorithm hmac-sha256; secret "aW52ZW50ZWQgZm9yIGEgYmVuY2g="; };\n'


@dataclass(frozen=True)
class Side:
    """A server on a port of 127.0.0.1 that blocks by a list."""

    port: int
    start: list[str]
    write: Callable[[int], None]
    """Writes the list's variant of this number in the form that it reads."""
    renew: Callable[[int], None]
    """Has the process of this number read it again."""


def unbound(work: Path, lists: Sequence[Path]) -> Side:
    """Return Unbound with a response policy zone, which alone it reads again."""
    config = work / "unbound.conf"
    config.write_text(
        f'server:\n interface: 127.0.0.1@5411\n{ALONE} do-not-query-localhost: no\n module-config: "respip iterator"\n'
        f' num-threads: 1\n so-rcvbuf: 4m\nforward-zone:\n name: "."\n forward-addr: 127.0.0.1@{UPSTREAM}\n'
        f"rpz:\n name: rpz.test\n zonefile: {work}/unbound.rpz\n"
        f"remote-control:\n control-enable: yes\n control-use-cert: no\n control-interface: {work}/unbound.sock\n"
    )
    renew = ["unbound-control", "-c", str(config), "auth_zone_reload", "rpz.test"]
    start = ["unbound", "-d", "-c", str(config)]
    return Side(5411, start, _zone(work / "unbound.rpz", lists), lambda _: _run(renew))


def bind9(work: Path, lists: Sequence[Path]) -> Side:
    """Return BIND with a response policy zone, which alone it reads again."""
    (work / "rndc.key").write_text(_KEY)
    (work / "named.conf").write_text(
        f'include "{work}/rndc.key";\noptions {{ directory "{work}"; listen-on port 5413 {{ 127.0.0.1; }};'
        " listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion yes; allow-query { any; };"
        f" dnssec-validation no; forward only; forwarders {{ 127.0.0.1 port {UPSTREAM}; }};"
        ' response-policy { zone "rpz.test"; } qname-wait-recurse no min-update-interval 0; };\n'
        'controls { inet 127.0.0.1 port 5414 allow { 127.0.0.1; } keys { "bench"; }; };\n'
        f'zone "rpz.test" {{ type primary; file "{work}/bind.rpz"; }};\n'
    )
    renew = ["rndc", "-s", "127.0.0.1", "-p", "5414", "-k", str(work / "rndc.key"), "reload", "rpz.test"]
    start = ["named", "-f", "-n", "1", "-c", str(work / "named.conf")]
    return Side(5413, start, _zone(work / "bind.rpz", lists), lambda _: _run(renew))


def dnsmasq(work: Path, lists: Sequence[Path]) -> Side:
    """Return dnsmasq with a file of servers, which it reads again at SIGHUP."""
    names = work / "dnsmasq.servers"
    (work / "dnsmasq.conf").write_text(
        "port=5412\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\ncache-size=10000\n"
        f"server=127.0.0.1#{UPSTREAM}\nservers-file={names}\n"
    )

    def write(number: int) -> None:
        with lists[number].open() as lines, names.open("w") as file:
            file.writelines(f"server=/{line.rstrip()}/\n" for line in lines)

    start = ["dnsmasq", "-k", "-C", str(work / "dnsmasq.conf"), "-u", "root"]
    return Side(5412, start, write, lambda pid: os.kill(pid, signal.SIGHUP))


PEERS = {"unbound": unbound, "dnsmasq": dnsmasq, "bind9": bind9}


def _zone(path: Path, lists: Sequence[Path]) -> Callable[[int], None]:
    def write(number: int) -> None:
        with lists[number].open() as lines, path.open("w") as file:
            file.write(_ZONE.format(serial=number + 1))
            file.writelines(f"{line.rstrip()} CNAME .\n" for line in lines)

    return write


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
