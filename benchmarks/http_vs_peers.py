"""Requests a second and CPU of our forward proxy beside Squid, Privoxy, HAProxy and tinyproxy, one core each.

Squid carries the same domains as an ACL; the others carry no list at all, in their favour. While config/bench.toml
starts no inspector and the gateway's own lane is not built, nothing listens for us, and this says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.make_data import domains
from benchmarks.side import LOAD, TARGET, Figures, answers_dns, compare, cpu, listens, need, scratch, server

OURS, ORIGIN, DNS = 8300, 8999, 5300
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\\r\\n"
    "Accept: text/html,application/xhtml+xml,*/*;q=0.8\\r\\nAccept-Language: en-GB,en;q=0.5\\r\\n"
    "Accept-Encoding: gzip, deflate\\r\\nCookie: session=0123456789abcdef\\r\\n"
)


def mix(work: Path) -> Path:
    """Write wrk's script: a request in a hundred is for a listed domain, the rest for the origin over 2,000 paths."""
    script = work / "mix.lua"
    script.write_text(
        "local n = 0\n"
        "local function get(host, path)\n"
        f"  return 'GET http://' .. host .. path .. ' HTTP/1.1\\r\\nHost: ' .. host .. '\\r\\n{BROWSER}\\r\\n'\nend\n"
        "request = function()\n  n = n + 1\n"
        "  if n % 100 == 0 then return get('b' .. (n % 100000) .. '.test', '/') end\n"
        f"  return get('127.0.0.1:{ORIGIN}', '/k1?page=' .. (n % 2000))\nend\n"
    )
    return script


def wrk(port: int, script: Path, seconds: int, group: int) -> Figures:
    """Return what the proxy on `port` serves, and what that costs."""
    before = cpu(group)
    load = ["wrk", "-t1", "-c32", f"-d{seconds}", "--latency", "-s", str(script), f"http://127.0.0.1:{port}/"]
    out = subprocess.run(["taskset", "-c", LOAD, *load], capture_output=True, text=True, check=True).stdout
    used = cpu(group) - before

    def number(pattern: str) -> float:
        found = re.search(pattern, out)
        return float(found[1]) if found else 0.0

    total = max(number(r"(\d+) requests in"), 1)
    return {
        "requests_a_second": round(number(r"Requests/sec:\s+([\d.]+)")),
        "cpu_s_per_million": round(used / total * 1e6, 2),
        "blocked_pct": round(100 * number(r"Non-2xx or 3xx responses: (\d+)") / total, 2),
        "socket_errors": float("Socket errors" in out),
    }


def origin(work: Path) -> list[str]:
    """Return the command of the origin: nginx with one page of 1 KB."""
    (work / "html").mkdir()
    (work / "html" / "k1").write_bytes(os.urandom(512).hex().encode())
    (work / "nginx.conf").write_text(
        f"worker_processes 1; pid {work}/nginx.pid; error_log /dev/null; daemon off;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000000;"
        f" server {{ listen 127.0.0.1:{ORIGIN}; root {work}/html; }} }}\n"
    )
    return ["nginx", "-c", str(work / "nginx.conf")]


def peers(work: Path) -> dict[str, tuple[int, list[str]]]:
    """Write the peers' configurations; return their ports and commands."""
    (work / "squid.domains").write_text("".join(f".{name}\n" for name in domains()))
    (work / "squid.conf").write_text(
        f'http_port 127.0.0.1:5528\nacl listed dstdomain "{work}/squid.domains"\nhttp_access deny listed\n'
        "http_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\npid_filename none\nworkers 1\n"
        f"coredump_dir {work}\nvia off\nshutdown_lifetime 1 seconds\nmax_filedescriptors 8192\n"
    )
    (work / "privoxy.conf").write_text(
        "listen-address 127.0.0.1:5518\nkeep-alive-timeout 60\nconnection-sharing 1\nsocket-timeout 60\n"
        "max-client-connections 512\n"
    )
    (work / "haproxy.cfg").write_text(
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout connect 5s\n timeout client 30s\n"
        " timeout server 30s\n http-reuse always\nfrontend f\n bind 127.0.0.1:5591\n http-request set-uri %[pathq]\n"
        f" default_backend b\nbackend b\n server s 127.0.0.1:{ORIGIN}\n"
    )
    (work / "tinyproxy.conf").write_text("Port 5588\nListen 127.0.0.1\nMaxClients 500\nConnectPort 8999\n")
    return {
        "squid": (5528, ["squid", "-N", "-f", str(work / "squid.conf")]),
        "privoxy": (5518, ["privoxy", "--no-daemon", str(work / "privoxy.conf")]),
        "haproxy": (5591, ["haproxy", "-f", str(work / "haproxy.cfg"), "-db"]),
        "tinyproxy": (5588, ["tinyproxy", "-d", "-c", str(work / "tinyproxy.conf")]),
    }


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    need("wrk", "nginx", "taskset")
    report: dict[str, object] = {}
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(origin(work), lambda: listens(ORIGIN), LOAD))
        # DNS tells that the product is up: the proxy's port may have nobody behind it yet.
        ours = stack.enter_context(server(TARGET, lambda: listens(DNS) or answers_dns(DNS)))
        time.sleep(1)
        if not listens(OURS):
            print(json.dumps({"target": f"nothing listens on port {OURS}: the gateway's own lane is not built yet"}))
            return
        script = mix(work)
        for name, (port, command) in peers(work).items():
            if shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin") is None:
                report[name] = "not installed"
                continue
            with server(command, partial(listens, port)) as theirs:
                wrk(OURS, script, 1, ours), wrk(port, script, 1, theirs)
                pairs = [
                    (wrk(OURS, script, args.seconds, ours), wrk(port, script, args.seconds, theirs))
                    for _ in range(args.rounds)
                ]
                report[name] = compare(pairs, "requests_a_second", "cpu_s_per_million")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
