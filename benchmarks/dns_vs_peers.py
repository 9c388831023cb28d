"""Answers a second and CPU of our DNS filter beside Unbound, BIND 9 and dnsmasq, one core each, over one list."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.make_data import domains
from benchmarks.side import LOAD, TARGET, Figures, answers_dns, compare, cpu, need, scratch, server

OURS, UPSTREAM = 5300, 5399
ALONE = (
    ' do-daemonize: no\n username: ""\n chroot: ""\n pidfile: ""\n use-syslog: no\n verbosity: 0\n'
    " access-control: 127.0.0.0/8 allow\n"
)


def dnsperf(port: int, seconds: int, group: int) -> Figures:
    """Return what the server on `port` answers, and what that costs."""
    before = cpu(group)
    questions = ["-d", "bench-data/questions.txt", "-l", str(seconds), "-c", "8", "-T", "1", "-q", "400"]
    command = ["taskset", "-c", LOAD, "dnsperf", "-s", "127.0.0.1", "-p", str(port), *questions]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu(group) - before

    def number(pattern: str) -> float:
        found = re.search(pattern, out)
        return float(found[1]) if found else 0.0

    done = number(r"Queries completed:\s+(\d+)")
    return {
        "answers_a_second": round(number(r"Queries per second:\s+([\d.]+)")),
        "cpu_s_per_million": round(used / max(done, 1) * 1e6, 3),
        "latency_us": round(number(r"Average Latency \(s\):\s+([\d.]+)") * 1e6),
        "lost": number(r"Queries lost:\s+(\d+)"),
        "nxdomain_pct": number(r"NXDOMAIN \d+ \(([\d.]+)%\)"),
    }


def authority(work: Path) -> list[str]:
    """Return the command of what all sides forward to: every name under example. is 192.0.2.1 for an hour."""
    (work / "stub.conf").write_text(
        f'server:\n interface: 127.0.0.1@{UPSTREAM}\n{ALONE} module-config: "iterator"\n'
        ' local-zone: "example." redirect\n local-data: "example. 3600 IN A 192.0.2.1"\n local-zone: "test." static\n'
        "remote-control:\n control-enable: no\n"
    )
    return ["unbound", "-d", "-c", str(work / "stub.conf")]


def peers(work: Path) -> dict[str, tuple[int, list[str]]]:
    """Write the peers' configurations, the same list in each; return their ports and commands."""
    zone = "$ORIGIN rpz.test.\n$TTL 60\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
    (work / "rpz").write_text(zone + "".join(f"{name} CNAME .\n" for name in domains()))
    (work / "unbound.conf").write_text(
        f'server:\n interface: 127.0.0.1@5411\n{ALONE} do-not-query-localhost: no\n module-config: "respip iterator"\n'
        f' num-threads: 1\n msg-cache-size: 64m\n rrset-cache-size: 64m\nforward-zone:\n name: "."\n'
        f" forward-addr: 127.0.0.1@{UPSTREAM}\nrpz:\n name: rpz.test\n zonefile: {work}/rpz\n"
        "remote-control:\n control-enable: no\n"
    )
    (work / "named.conf").write_text(
        f'options {{ directory "{work}"; listen-on port 5413 {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        " pid-file none; session-keyfile none; recursion yes; allow-query { any; }; dnssec-validation no; forward only;"
        f" forwarders {{ 127.0.0.1 port {UPSTREAM}; }};"
        ' response-policy { zone "rpz.test"; } qname-wait-recurse no; };\n'
        f'controls {{}};\nzone "rpz.test" {{ type primary; file "{work}/rpz"; }};\n'
    )
    (work / "dnsmasq.conf").write_text(
        "port=5412\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\ncache-size=100000\n"
        f"server=127.0.0.1#{UPSTREAM}\n" + "".join(f"address=/{name}/\n" for name in domains())
    )
    return {
        "unbound": (5411, ["unbound", "-d", "-c", str(work / "unbound.conf")]),
        "dnsmasq": (5412, ["dnsmasq", "-k", "-C", str(work / "dnsmasq.conf"), "-u", "root"]),
        "bind9": (5413, ["named", "-f", "-n", "1", "-c", str(work / "named.conf")]),
    }


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    report: dict[str, object] = {}
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        ours = stack.enter_context(server(TARGET, lambda: answers_dns(OURS)))
        for name, (port, command) in peers(work).items():
            if shutil.which(command[0]) is None:
                report[name] = "not installed"
                continue
            with server(command, partial(answers_dns, port)) as theirs:
                dnsperf(OURS, 2, ours), dnsperf(port, 2, theirs)
                pairs = [
                    (dnsperf(OURS, args.seconds, ours), dnsperf(port, args.seconds, theirs)) for _ in range(args.rounds)
                ]
                report[name] = compare(pairs, "answers_a_second", "cpu_s_per_million")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
