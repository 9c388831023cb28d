"""A bounded load of DNS and HTTP against the product, watching its memory: it must level off, and nothing be lost.

Starts `filterproxy run -c config/bench.toml` unless `--pid` names the leader of a running one. DNS questions repeat the
benchmark's; requests go to the portal's transparency page and, where a proxy listens, through it to listed domains.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import ExitStack

from dnslib import DNSRecord

from benchmarks.make_data import questions
from benchmarks.side import TARGET, listens, memory, server

DNS, PROXY, PORTAL = 5300, 8300, 8301
GROWTH = 1.25
"""How much larger the last quarter may be than the second."""


class Questions(asyncio.DatagramProtocol):
    """Sends questions as fast as `pace` allows and counts answers."""

    def __init__(self) -> None:
        self.answered = 0

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the protocol's signature
        self.answered += 1


async def dns_load(until: float, pace: int) -> tuple[int, int]:
    """Ask `pace` questions a second; return how many were asked and answered."""
    packets = [DNSRecord.question(line.split()[0]).pack() for line in questions(5_000)]
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Questions, remote_addr=("127.0.0.1", DNS)
    )
    asked = 0
    while time.monotonic() < until:
        for _ in range(pace // 50):
            transport.sendto(packets[asked % len(packets)])
            asked += 1
        await asyncio.sleep(0.02)
    await asyncio.sleep(3)
    transport.close()
    return asked, protocol.answered


async def http_load(until: float, port: int, target: str) -> tuple[int, int]:
    """Fetch `target` again and again; return how many requests were made and answered."""
    asked = answered = 0
    while time.monotonic() < until:
        asked += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            host = target.split("/")[2]
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answered += (await reader.read(12)).startswith(b"HTTP/1.1 ")
            await reader.read()
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)
    return asked, answered


async def watch(until: float, group: int) -> list[int]:
    """Return the product's memory in bytes, once in two seconds."""
    sizes = []
    while time.monotonic() < until:
        sizes.append(memory(group))
        await asyncio.sleep(2)
    return sizes


async def soak(group: int, seconds: int, pace: int) -> bool:
    """Load the product; print what happened; return whether memory levelled off and answers came."""
    until = time.monotonic() + seconds
    web = [http_load(until, PORTAL, f"http://127.0.0.1:{PORTAL}/transparency")]
    if listens(PROXY):
        web.append(http_load(until, PROXY, "http://b1.test/"))
    sizes, dns, *pages = await asyncio.gather(watch(until, group), dns_load(until, pace), *web)
    quarter = max(len(sizes) // 4, 1)
    before, after = max(sizes[quarter : 2 * quarter] or sizes), max(sizes[-quarter:])
    level = after <= before * GROWTH
    kept = dns[1] >= dns[0] * 0.999 and all(page[1] >= page[0] * 0.999 for page in pages)
    print(json.dumps({"dns": dns, "http": pages, "mb_before": before >> 20, "mb_after": after >> 20, "level": level}))
    return level and kept


def main() -> None:
    """Start the product where none is named, load it, exit 1 where it grew or lost answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--pace", type=int, default=2_000, help="DNS questions a second")
    parser.add_argument("--pid", type=int, help="the leader of the process group of a running product")
    args = parser.parse_args()
    with ExitStack() as stack:
        group = args.pid or stack.enter_context(server(TARGET, lambda: listens(DNS) and listens(PORTAL)))
        fine = asyncio.run(soak(group, args.seconds, args.pace))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
