"""The DNS filter between real programs: dig asks it, and Unbound answers what it does not block."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import uvloop

from filterproxy.dns import serve
from filterproxy.settings.dns import Dns
from tests.conftest import have
from tests.dns.fakes import Bench, bench

pytestmark = [have("unbound", "unbound"), have("dig", "bind9-dnsutils")]

UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  module-config: "iterator"
  local-zone: "example." static
  local-data: "example. 600 IN SOA ns.example. admin.example. 1 2 3 4 300"
  local-data: "fine.example. 600 IN A 192.0.2.80"
  local-data: "fine.example. 600 IN HTTPS 1 . alpn=h2"
  local-data: "x.blocked.example. 600 IN A 192.0.2.66"
  local-data: "big.example. 600 IN A 192.0.2.81"
{big}
remote-control:
  control-enable: no
"""


@pytest.fixture
def unbound(tmp_path: Path, free_port: int):
    """Return the address of an Unbound of our own that serves `example`."""
    big = "\n".join(f"  local-data: 'big.example. 600 IN TXT \"{number:0200d}\"'" for number in range(20))
    conf = tmp_path / "unbound.conf"
    conf.write_text(UNBOUND.format(port=free_port, folder=tmp_path, big=big))
    program = shutil.which("unbound", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program is not None
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, "-d", "-c", str(conf)], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", free_port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail((tmp_path / "log").read_text())
        yield f"127.0.0.1:{free_port}"
    finally:
        process.terminate()
        process.wait(10)


async def dig(port: int, *words: str) -> str:
    """Return what dig prints."""
    process = await asyncio.create_subprocess_exec(
        "dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+timeout=5", *words, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


async def story(here: Bench) -> dict[str, str]:
    """Serve on loopback and return what dig prints for each question."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    serving = await serve(here.resolver, [udp], [tcp], Dns())
    try:
        return {words: await dig(port, *words.split()) for words in QUESTIONS}
    finally:
        await serving.close(1)
        tcp.close()
        udp.close()


QUESTIONS = {
    "fine.example": ["status: NOERROR", "192.0.2.80", "udp: 1232"],
    "fInE.eXaMpLe": ["fInE.eXaMpLe.", "192.0.2.80"],
    "fine.example HTTPS": ['alpn="h2"'],
    "+tcp fine.example": ["192.0.2.80"],
    "+keepopen +tcp fine.example nowhere.example": ["192.0.2.80", "status: NXDOMAIN", "ns.example."],
    "big.example TXT": ["ANSWER: 20", ";; Truncated, retrying in TCP mode."],
    "blocked.example": ["status: NXDOMAIN", "EDE: 16 (Censored)", "60\tIN\tSOA"],
    "x.blocked.example": ["status: NXDOMAIN", "EDE: 16"],
    "null.example AAAA": ["EDE: 17 (Filtered)", "60\tIN\tAAAA\t::"],
    "only.example": ["status: NOERROR", "ANSWER: 0", "EDE: 15 (Blocked)"],
    "+dnssec +cdflag blocked.example": ["flags: qr rd ra cd;", "flags: do;"],
    "+noedns blocked.example": ["status: NXDOMAIN", "ADDITIONAL: 0"],
    "+opcode=STATUS fine.example": ["status: NOTIMP"],
    "+edns=1 +noednsnegotiation fine.example": ["status: BADVERS"],
    "CH version.bind TXT": ["status: REFUSED"],
    "fine.example AXFR": ["Transfer failed"],
}


def test_dig_and_unbound_are_content(unbound):
    """Every sort of answer reaches a real client as it should, with nothing to complain about."""
    here = bench(unbound)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(story(here))
    missing = {words: [part for part in parts if part not in found[words]] for words, parts in QUESTIONS.items()}
    assert {words: (parts, found[words]) for words, parts in missing.items() if parts} == {}
    complaints = ("extra bytes", "malformed", "mismatch", "recursion requested but not available")
    assert not [text for text in found.values() if any(word in text for word in complaints)]
    assert here.counts.events["dns_internal_error"] == 0
