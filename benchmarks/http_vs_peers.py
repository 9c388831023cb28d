"""Requests a second and CPU of our forward proxy beside Squid, Privoxy, HAProxy and tinyproxy, one core each.

Squid carries the same domains as an ACL; the others carry no list at all, in their favour. Then the same connection
loads a large object through one CONNECT tunnel, and we are asked for nothing but listed domains, beside nothing but the
origin's page. Exits 1 under 1.8 times Squid, 2.5 times Privoxy and 0.65 times HAProxy, where p99 is above Squid's or a
tunnel slower or dearer than its, or where a notice costs more than a forward.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.make_data import domains
from benchmarks.side import LOAD, TARGET, Figures, answers_dns, compare, counted, cpu, listens, need, scratch, server

OURS, ORIGIN, DNS = 8300, 8999, 5300
LARGE = 10_000_000
ASKED = {"squid": 1.8, "privoxy": 2.5, "haproxy": 0.65}
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\\r\\n"
    "Accept: text/html,application/xhtml+xml,*/*;q=0.8\\r\\nAccept-Language: en-GB,en;q=0.5\\r\\n"
    "Accept-Encoding: gzip, deflate\\r\\nCookie: session=0123456789abcdef\\r\\n"
)


def mix(work: Path, name: str = "mix", listed: str = "n % 100 == 0") -> Path:
    """Write wrk's script: a request is for a listed domain if `listed`, else for the origin over 2,000 paths."""
    script = work / f"{name}.lua"
    script.write_text(
        "local n = 0\n"
        "local function get(host, path)\n"
        f"  return 'GET http://' .. host .. path .. ' HTTP/1.1\\r\\nHost: ' .. host .. '\\r\\n{BROWSER}\\r\\n'\nend\n"
        "request = function()\n  n = n + 1\n"
        f"  if {listed} then return get('b' .. (n % 100000) .. '.test', '/') end\n"
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
        "p99_us": _micros(out),
        "busy": round(used / seconds, 3),
        "blocked_pct": round(100 * number(r"Non-2xx or 3xx responses: (\d+)") / total, 2),
        "socket_errors": float("Socket errors" in out),
    }


def _micros(out: str) -> float:
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found[2]] if found else 0.0


def tunnel(port: int, seconds: int, group: int) -> Figures:
    """Return what one CONNECT tunnel carries of a large object, and the CPU seconds of a GB."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(f"CONNECT 127.0.0.1:{ORIGIN} HTTP/1.1\r\nHost: 127.0.0.1:{ORIGIN}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (piece := sock.recv(4096)):
            head += piece
        before, begun, got = cpu(group), time.monotonic(), 0
        buffer = bytearray(1 << 18)
        while time.monotonic() - begun < seconds:
            sock.sendall(f"GET /m10 HTTP/1.1\r\nHost: 127.0.0.1:{ORIGIN}\r\n\r\n".encode())
            left, start = -1, b""
            while left:
                size = sock.recv_into(buffer)
                if not size:
                    raise SystemExit(f"the tunnel through port {port} ended")
                got += size
                if left < 0:
                    start += buffer[:size]
                    if b"\r\n\r\n" in start:
                        left = start.find(b"\r\n\r\n") + 4 + LARGE - len(start)
                else:
                    left -= size
        took = time.monotonic() - begun
        return {"mb_a_second": round(got / took / 1e6), "cpu_s_per_gb": round((cpu(group) - before) / got * 1e9, 3)}


def origin(work: Path) -> list[str]:
    """Return the command of the origin: nginx with one page of 1 KB."""
    (work / "html").mkdir()
    (work / "html" / "k1").write_bytes(os.urandom(512).hex().encode())
    (work / "html" / "m10").write_bytes(bytes(LARGE))
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
    report: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(origin(work), lambda: listens(ORIGIN), LOAD))
        ours = stack.enter_context(server(TARGET, lambda: listens(DNS) or answers_dns(DNS)))
        time.sleep(1)
        script, short = mix(work), []
        for name, (port, command) in peers(work).items():
            if shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin") is None:
                report[name] = {"peer": "not installed"}
                continue
            with server(command, partial(listens, port)) as theirs:
                wrk(OURS, script, 1, ours), wrk(port, script, 1, theirs)
                pairs = [
                    (wrk(OURS, script, args.seconds, ours), wrk(port, script, args.seconds, theirs))
                    for _ in range(args.rounds)
                ]
                row = compare(pairs, "requests_a_second", "cpu_s_per_million")
                row["counts"] = counted(pairs)
                if row[row["counts"]] < ASKED.get(name, 0):
                    short.append(f"{name}: {row[row['counts']]}")
                if name == "squid":
                    both = [
                        (tunnel(OURS, args.seconds, ours), tunnel(port, args.seconds, theirs))
                        for _ in range(args.rounds)
                    ]
                    row["tunnel"] = compare(both, "mb_a_second", "cpu_s_per_gb")
                    row["p99_ratio"] = round(statistics.median(us["p99_us"] / them["p99_us"] for us, them in pairs), 3)
                    short += [f"tunnel: {key}" for key in ("ratio", "cpu_ratio") if row["tunnel"][key] < 1]
                    short += ["p99"] if row["p99_ratio"] > 1 else []
                report[name] = row
        every, none = mix(work, "listed", "true"), mix(work, "passed", "false")
        pairs = [
            (wrk(OURS, every, args.seconds, ours), wrk(OURS, none, args.seconds, ours)) for _ in range(args.rounds)
        ]
        report["notice to forward"] = compare(pairs, "requests_a_second", "cpu_s_per_million")
        short += ["a notice"] if report["notice to forward"]["cpu_ratio"] < 1 else []
    print(json.dumps(report))
    if short:
        sys.exit(f"short of what is asked: {', '.join(short)}")


if __name__ == "__main__":
    main()
