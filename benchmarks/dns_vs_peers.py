"""Answers a second and CPU of our DNS filter beside Unbound, BIND 9 and dnsmasq, one core each, over one list.

Blocked and cached names. `counts` names the ratio that is compared with what was promised: answers a second, or CPU
where one of the two did not keep its core busy and so waited for the load generator. Exits 1 where one falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.dns_side import OURS, UNBOUND, UPSTREAM, authority, dnsperf, unbound, warm
from benchmarks.make_data import domains
from benchmarks.side import LOAD, TARGET, answers_dns, compare, counted, installed, need, scratch, server

ASKED = {"unbound": 1.0, "dnsmasq": 1.05, "bind9": 1.8}
"""At least, ours to theirs."""


def peers(work: Path) -> dict[str, tuple[int, list[str]]]:
    """Write the peers' configurations, the same list in each; return their ports and commands."""
    unbounds = unbound(work)  # BIND reads the same zone
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
        "unbound": (UNBOUND, unbounds),
        "dnsmasq": (5412, ["dnsmasq", "-k", "-C", str(work / "dnsmasq.conf"), "-u", "root"]),
        "bind9": (5413, ["named", "-f", "-n", "1", "-c", str(work / "named.conf")]),
    }


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object; exit 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    need("dnsperf", "unbound", "taskset")
    report: dict[str, object] = {}
    short = []
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        ours = stack.enter_context(server(TARGET, lambda: answers_dns(OURS)))
        for name, (port, command) in peers(work).items():
            if not installed(command[0]):
                report[name] = "not installed"
                continue
            with server(command, partial(answers_dns, port)) as theirs:
                warm(OURS, ours)
                warm(port, theirs)
                pairs = [
                    (dnsperf(OURS, args.seconds, ours), dnsperf(port, args.seconds, theirs)) for _ in range(args.rounds)
                ]
            found = compare(pairs, "answers_a_second", "cpu_s_per_million")
            report[name] = found | {"counts": counted(pairs)}
            if found[counted(pairs)] < ASKED[name]:
                short.append(name)
    print(json.dumps({**report, "asked_at_least": ASKED}))
    if short:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
