"""Cached answers over TLS and over HTTPS on kept connections, beside dnsdist with its packet cache, one core each.

The questions are those of `dns_vs_peers` that no list names, since dnsdist has none: both give the same answers of the
same authority. Eight connections with 50 questions at once on each; dnsperf asks over TLS, h2load over HTTPS, for a
thousand names by GET and for one by POST. Exits 1 where one falls short of half of dnsdist.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import dns.message
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.dns_side import UPSTREAM, authority, dnsperf
from benchmarks.side import LOAD, Figures, answers_dns, compare, counted, cpu, derived, need, scratch, server

NAME, PATH = "dns.example", "/dns-query"
PLAIN, DOT, DOH = 5300, 5431, 5432
THEIR_PLAIN, THEIR_DOT, THEIR_DOH = 5440, 5441, 5442
LEAST = 0.5
"""Ours to theirs, at least."""
_QUESTIONS, _URIS = 10_000, 1000


def over_tls(port: int, seconds: float, group: int, work: Path) -> Figures:
    """Return what the server on `port` answers over TLS."""
    return dnsperf(port, seconds, group, "-m", "dot", questions=work / "questions")


def over_https(port: int, seconds: float, group: int, work: Path, *, post: bool) -> Figures:
    """Return what the server on `port` answers over HTTPS."""
    address = f"https://127.0.0.1:{port}{PATH}"
    if post:
        asked = ["-d", str(work / "message"), "-H", "content-type: application/dns-message", address]
    else:
        messages = (base64.urlsafe_b64encode(item).rstrip(b"=").decode() for item in _messages(work))
        (work / "uris").write_text("".join(f"{address}?dns={item}\n" for item in messages))
        asked = ["-i", str(work / "uris")]
    before = cpu(group)
    command = ["taskset", "-c", LOAD, "h2load", "-c", "8", "-m", "50", "-D", str(seconds), *asked]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu(group) - before
    found = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", said)
    answered, lost = (int(found[1]), int(found[2])) if found else (0, 0)
    if not answered or re.search(r"status codes: (\d+) 2xx", said) is None:
        raise SystemExit(f"the server on port {port} answered nothing")
    return {
        "answers_a_second": round(answered / seconds),
        "answered": answered,
        "lost": lost,
        "cpu_s_per_million": round(used / answered * 1e6, 3),
        "busy": round(used / seconds, 3),
    }


def _messages(work: Path) -> list[bytes]:
    names = [line.split()[0] for line in (work / "questions").read_text().splitlines()[:_URIS]]
    queries = [dns.message.make_query(name, "A", id=0) for name in names]
    return [query.to_wire() for query in queries]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for NAME that is good for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "dns.pem", folder / "dns.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    secret.chmod(0o600)
    return pem, secret


def ours(work: Path, pem: Path, secret: Path) -> list[str]:
    """Return our command."""
    table = (
        f'[dns.encrypted]\nname = "{NAME}"\npath = "{PATH}"\ndot = ["127.0.0.1:{DOT}"]\ndoh = ["127.0.0.1:{DOH}"]\n'
        f'certificate = "{pem}"\nkey = "{secret}"\n\n[gateway]\n'
    )
    return derived(work / "ours.toml", ("[gateway]\n", table), ("state/bench", f"{work}/state"))


def dnsdist(work: Path, pem: Path, secret: Path) -> list[str]:
    """Return the command of dnsdist, which remembers whole answers as we do."""
    (work / "dnsdist.conf").write_text(
        f'setLocal("127.0.0.1:{THEIR_PLAIN}")\n'
        f'addTLSLocal("127.0.0.1:{THEIR_DOT}", "{pem}", "{secret}")\n'
        f'addDOHLocal("127.0.0.1:{THEIR_DOH}", "{pem}", "{secret}", "{PATH}")\n'
        f'newServer("127.0.0.1:{UPSTREAM}"):setUp()\n'
        'getPool(""):setCache(newPacketCache(200000))\nsetMaxTCPClientThreads(1)\n'
        'setMaxTCPConnectionsPerClient(0)\nsetSecurityPollSuffix("")\n'
    )
    return ["dnsdist", "--supervised", "--disable-syslog", "-C", str(work / "dnsdist.conf")]


WAYS: dict[str, tuple[int, int, Callable[[int, float, int, Path], Figures]]] = {
    "dot": (DOT, THEIR_DOT, over_tls),
    "doh_get": (DOH, THEIR_DOH, partial(over_https, post=False)),
    "doh_post": (DOH, THEIR_DOH, partial(over_https, post=True)),
}
"""Our port, theirs, and how each way is measured."""


def main() -> None:
    """Measure in turn, ours and theirs, and print one JSON object; exit 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    need("dnsperf", "h2load", "dnsdist", "unbound", "taskset")
    report: dict[str, object] = {}
    short = []
    with ExitStack() as stack:
        work = stack.enter_context(scratch())
        names = [line for line in Path("bench-data/questions.txt").read_text().splitlines() if ".example" in line]
        (work / "questions").write_text("\n".join(names[:_QUESTIONS]) + "\n")
        pem, secret = certificate(work)
        stack.enter_context(server(authority(work), lambda: answers_dns(UPSTREAM), LOAD))
        us = stack.enter_context(server(ours(work, pem, secret), lambda: answers_dns(PLAIN)))
        them = stack.enter_context(server(dnsdist(work, pem, secret), lambda: answers_dns(THEIR_PLAIN)))
        (work / "message").write_bytes(_messages(work)[0])
        for way, (mine, yours, measure) in WAYS.items():
            sides = (partial(measure, mine, args.seconds, us, work), partial(measure, yours, args.seconds, them, work))
            for side in sides:
                side()
            pairs = [(sides[0](), sides[1]()) for _ in range(args.rounds)]
            found = compare(pairs, "answers_a_second", "cpu_s_per_million")
            report[way] = found | {"counts": counted(pairs)}
            if found[counted(pairs)] < LEAST or any(pair[0]["lost"] for pair in pairs):
                short.append(way)
    print(json.dumps({**report, "asked_at_least": LEAST}))
    if short:
        print(f"falls short: {', '.join(short)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
