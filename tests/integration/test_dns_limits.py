"""A client that asks too much is told how to come instead, and one that meets too much of a list raises an alarm.

The clients are dig and this one; there is no upstream, so only blocks are answered.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from .product import Product, question

ENTRIES = 60


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    made = Product(tmp_path_factory.mktemp("limits"), workers=1)
    limits = "limits = { rate = 50, burst = 100, enumeration = 40 }"
    text = made.config.read_text().replace("limits = { rate = 0 }", limits, 1)
    made.config.write_text(text + "[inspection]\nenabled = false\n")
    (made.config.parent / "d.domains").write_text("".join(f"zqwanted{number}.example\n" for number in range(ENTRIES)))
    try:
        made.start()
        yield made
    finally:
        made.kill()


def dig(product: Product, name: str, *options: str) -> str:
    command = ["dig", "@127.0.0.1", "-p", str(product.dns), "+time=2", "+tries=8", *options, name]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def flood(product: Product, seconds: float) -> list[bytes]:
    """Ask 1,000 times a second from this machine's address; return what came."""
    found = []
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", product.dns))
        sock.settimeout(0.001)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sock.send(question("zqwanted1.example"))
            try:
                found.append(sock.recv(512))
            except TimeoutError:
                continue
    return found


def test_who_asks_too_much_is_still_served_over_tcp_and_with_a_cookie(product: Product) -> None:
    """What it is told, dig does by itself: it comes back over TCP, or with the cookie that it was given."""
    before = flood(product, 1.0)
    assert any(reply[3] & 15 == 3 for reply in before)
    cut = [reply for reply in flood(product, 1.0) if reply[2] & 2]
    assert cut
    assert all(reply[6:10] == bytes(4) for reply in cut)
    for options in (["+nocookie"], ["+cookie"], ["+tcp"]):
        flood(product, 0.2)
        assert "status: NXDOMAIN" in dig(product, "zqwanted1.example", *options)
    assert product.metric('filterproxy_events_total{event="dns_limited"}') > 100
    assert "(good)" in dig(product, "zqwanted1.example", "+cookie=0123456789abcdef")


def test_who_goes_through_a_list_raises_an_alarm_that_names_nobody(product: Product) -> None:
    """Through worker, supervisor and control to the log: list, number and a digest."""
    names = [f"zqwanted{number}.example" for number in range(ENTRIES)]
    assert dig(product, names[0], "+tcp", *names[1:]).count("status: NXDOMAIN") == ENTRIES
    deadline, told = time.monotonic() + 20, ""
    while not told and time.monotonic() < deadline:
        time.sleep(0.1)
        told = next((line for line in product.log.read_text().splitlines() if "kind=enumeration" in line), "")
    assert re.search(r" list=domains entries=40 network=[0-9a-f]{16} ", told)
    assert "127.0.0.1" not in told
    assert "zqwanted" not in product.log.read_text()
    assert product.metric('filterproxy_events_total{event="dns_enumeration"}') >= 1
