"""A list of 1,000,000 domains as a zone: the whole of it, and then ten changes, over TLS with TSIG, and who waits.

The whole product shares one core; kdig takes the zone on the other, from which questions come too, evenly paced. The
transfers of some rounds are compared with the rest before them: questions lost, and p99. Prints one JSON object; exits
1 where it falls short.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.dns_encrypted import certificate
from benchmarks.dns_side import authority
from benchmarks.installation import DNS, MB, UPSTREAM, Installation, footprint, questions
from benchmarks.make_data import many
from benchmarks.paced import Load
from benchmarks.side import LOAD, answers_dns, need, scratch, server

PORT, ZONE, KEY = 5323, "long.rpz.bench.example", "bench-receiver.example"
PACE, REST = 1_000, 6.0
CHANGES = 10
ASKED = {"whole_s": 30.0, "changes_s": 1.0, "lost": 0, "p99_ratio": 2.0}
"""At most."""
_MORE = """
rpz = true
[dns.transfer]
listen = ["127.0.0.1:{port}"]
zone = "rpz.bench.example"
certificate = "{pem}"
key = "{key}"
[[dns.transfer.receivers]]
id = "bench"
networks = ["127.0.0.0/8"]
key_name = "{name}"
secret = "{secret}"
"""


class Receiver:
    """kdig, which verifies every signature."""

    def __init__(self, folder: Path, secret: str) -> None:
        self._said, self._secret = folder / "said", secret

    def asks(self, *question: str) -> float:
        """Return how many seconds the answer took; ends where there was none."""
        # Idle: it stands for another machine, and is not to hold up who asks from this one.
        run = ["taskset", "-c", LOAD, "chrt", "--idle", "0"]
        command = [*run, "kdig", "@127.0.0.1", "-p", str(PORT), "+tls", "+nocrypto", "+timeout=60"]
        begun = time.monotonic()
        with self._said.open("w") as said:
            signed = ["-y", f"hmac-sha256:{KEY}:{self._secret}"]
            subprocess.run([*command, *signed, ZONE, *question], stdout=said, stderr=subprocess.STDOUT, check=True)
        return time.monotonic() - begun

    def records(self) -> Iterator[str]:
        """Yield the records of the last answer, but for its signatures."""
        with self._said.open() as said:
            yield from (line for line in said if line[:1] not in (";", "\n") and not line.startswith(KEY))

    def serial(self) -> int:
        """Return the serial in force."""
        self.asks("SOA")
        found = re.search(r"\sSOA\s+\S+\s+\S+\s+(\d+)", self._said.read_text())
        return int(found[1]) if found else 0


def changed(source: Path, count: int) -> None:
    """Replace the last domains of the list by as many others."""
    names = list(islice(many(count), count - CHANGES))
    source.write_text("".join(f"{name}\n" for name in (*names, *(f"new{at}.example" for at in range(CHANGES)))))


def measured(count: int, rounds: int) -> dict[str, Any]:
    """Return how long transfers took, and how others fared."""
    secret, names = base64.b64encode(secrets.token_bytes(32)).decode(), questions(count)
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        pem, key = certificate(work)
        (work / "tsig").write_text(secret)
        (work / "tsig").chmod(0o600)
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        product = Installation(work, _MORE.format(port=PORT, pem=pem, key=key, name=KEY, secret=work / "tsig"))
        product.source.write_text("".join(f"{name}\n" for name in many(count)))
        stack.enter_context(product.running(30 + count / 40_000))
        receiver = Receiver(work, secret)
        product.until(lambda: receiver.serial() > 0, 60)
        found = [_whole(receiver, names, count) for _ in range(rounds)]
        before = receiver.serial()
        changed(product.source, count)
        product.refresh()
        published = time.monotonic()
        product.until(lambda: receiver.serial() != before, 60)
        built = time.monotonic() - published
        took = receiver.asks(f"IXFR={before}")
        told = sum(1 for _ in receiver.records())
        memory = footprint(product.processes())
    if told != 4 + 4 * CHANGES:  # a domain and all below it, taken out and put in, between four times the SOA
        raise SystemExit(f"the difference has {told} records")
    return {
        "whole_s": max(item["whole_s"] for item in found),
        "changes_s": round(took, 3),
        "lost": sum(item["lost"] for item in found),
        "p99_ratio": round(statistics.median(item["p99_ratio"] for item in found), 2),
        "in_zone_after_s": round(built, 2),
        "memory_mb": {name: round(size / MB, 1) for name, size in memory.items()},
        "rounds": found,
    }


def _whole(receiver: Receiver, names: list[str], count: int) -> dict[str, Any]:
    with Load(DNS, names, PACE) as load:
        time.sleep(1)
        resting = time.time()
        time.sleep(REST)
        begun = time.time()
        took = receiver.asks("AXFR")
        ended = time.time()
    records = sum(1 for _ in receiver.records())
    if records < 2 * count:
        raise SystemExit(f"the zone has {records} records")
    rest, during = load.between(resting, begun), load.between(begun, ended)
    ratio = round(during["p99_ms"] / rest["p99_ms"], 2)
    return {"whole_s": round(took, 2), "lost": during["lost"], "p99_ratio": ratio, "rest": rest, "during": during}


def main() -> None:
    """Measure, print the figures, exit 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 domains, one round; compared with nothing")
    quick = parser.parse_args().quick
    need("unbound", "kdig", "taskset", "chrt")
    report = measured(100_000, 1) if quick else measured(1_000_000, 3)
    print(json.dumps({**report, "asked_at_most": ASKED}))
    short = [name for name, most in ASKED.items() if report[name] > most]
    if short and not quick:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
