"""What the benchmarks of DNS share: dnsperf, the authority that all sides forward to, and Unbound with our list."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.make_data import domains
from benchmarks.side import LOAD, Figures, cpu

OURS, UNBOUND, UPSTREAM = 5300, 5411, 5399
ALONE = (
    ' do-daemonize: no\n username: ""\n chroot: ""\n pidfile: ""\n use-syslog: no\n verbosity: 0\n'
    " access-control: 127.0.0.0/8 allow\n"
)


def authority(work: Path) -> list[str]:
    """Return the command of what all sides forward to: every name under example. is 192.0.2.1 for an hour."""
    (work / "stub.conf").write_text(
        f'server:\n interface: 127.0.0.1@{UPSTREAM}\n{ALONE} so-rcvbuf: 4m\n module-config: "iterator"\n'
        ' local-zone: "example." redirect\n local-data: "example. 3600 IN A 192.0.2.1"\n local-zone: "test." static\n'
        "remote-control:\n control-enable: no\n"
    )
    return ["unbound", "-d", "-c", str(work / "stub.conf")]


def unbound(work: Path, below: Iterable[str] = ()) -> list[str]:
    """Return the command of Unbound with the list as a response policy zone, which is written too.

    A rule covers its name alone; `below` are listed names of which it is to cover all below them too, as ours does.
    Its socket holds as much as ours: else it loses a third of the load's first burst, and has so many fewer to answer.
    """
    zone = "$ORIGIN rpz.test.\n$TTL 60\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
    rules = [*domains(), *(f"*.{name}" for name in below)]
    (work / "rpz").write_text(zone + "".join(f"{name} CNAME .\n" for name in rules))
    (work / "unbound.conf").write_text(
        f"server:\n interface: 127.0.0.1@{UNBOUND}\n{ALONE} do-not-query-localhost: no\n"
        ' module-config: "respip iterator"\n num-threads: 1\n so-rcvbuf: 4m\n'
        " msg-cache-size: 64m\n rrset-cache-size: 64m\n"
        f'forward-zone:\n name: "."\n forward-addr: 127.0.0.1@{UPSTREAM}\n'
        f"rpz:\n name: rpz.test\n zonefile: {work}/rpz\nremote-control:\n control-enable: no\n"
    )
    return ["unbound", "-d", "-c", str(work / "unbound.conf")]


def written(path: Path, names: Iterable[str]) -> Path:
    """Write questions for addresses of `names` as dnsperf reads them."""
    path.write_text("".join(f"{name} A\n" for name in names))
    return path


def command(port: int, questions: Path, seconds: float, *options: str, core: str = LOAD) -> list[str]:
    """Return the command that asks the server on `port` of 127.0.0.1, from `core`: 400 questions at once by default."""
    asked = ["-d", str(questions), "-l", str(seconds), "-c", "8", "-T", "1", "-q", "400", *options]
    return ["taskset", "-c", core, "dnsperf", "-s", "127.0.0.1", "-p", str(port), *asked]


def figures(said: str) -> Figures:
    """Return what dnsperf prints at its end; where it printed each answer (`-v`), the 99th percentile too."""

    def number(pattern: str) -> float:
        found = re.search(pattern, said)
        return float(found[1]) if found else 0.0

    found = {
        "answers_a_second": round(number(r"Queries per second:\s+([\d.]+)")),
        "asked": number(r"Queries sent:\s+(\d+)"),
        "answered": number(r"Queries completed:\s+(\d+)"),
        "lost": number(r"Queries lost:\s+(\d+)"),
        "seconds": number(r"Run time \(s\):\s+([\d.]+)"),
        "latency_us": round(number(r"Average Latency \(s\):\s+([\d.]+)") * 1e6),
        "nxdomain_pct": number(r"NXDOMAIN \d+ \(([\d.]+)%\)"),
        "servfail_pct": number(r"SERVFAIL \d+ \(([\d.]+)%\)"),
    }
    took = re.findall(r"^> [A-Z]\S* \S+ A ([\d.]+)$", said, re.MULTILINE)
    return found | ({"p99_ms": round(float(np.percentile(np.array(took, float), 99)) * 1e3, 3)} if took else {})


def warm(port: int, group: int, *options: str, core: str = LOAD) -> None:
    """Ask the server on `port` each question four times, so that what it remembers is remembered."""
    dnsperf(port, 30, group, "-n", "4", *options, core=core)


def dnsperf(
    port: int, seconds: float, group: int, *options: str, questions: Path | None = None, core: str = LOAD
) -> Figures:
    """Return what the server on `port` answers, what that costs, and the share of a core that its group was `busy`."""
    before = cpu(group)
    run = command(port, questions or Path("bench-data/questions.txt"), seconds, *options, core=core)
    # Into a file: reading what it prints of each answer would take the server's core from it.
    with tempfile.TemporaryFile("w+") as said:
        subprocess.run(run, stdout=said, stderr=subprocess.DEVNULL, check=True)
        said.seek(0)
        found = figures(said.read())
    used = cpu(group) - before
    if not found["answered"]:
        raise SystemExit(f"the server on port {port} answered nothing")
    found["cpu_s_per_million"] = round(used / found["answered"] * 1e6, 3)
    return found | {"busy": round(used / found["seconds"], 3)}
