"""A flood of names that nobody asked for before: it takes neither the known answers nor another client's share.

What is counted here is answers, not time: how quick they are is what benchmarks say.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from .product import Product, question
from .resolvers import Lame, honest
from .steady import Steady

INFLIGHT, ENTRIES = 800, 500
SHARE = INFLIGHT // 8
RATE = 2500
"""Questions of a flood in a second."""


class Flood:
    """Asks for random names below `zone` from the addresses of many clients, at a steady pace; reads what comes."""

    def __init__(self, product: Product, zone: str, clients: int, rate: int = RATE) -> None:
        self._product, self._zone, self._rate = product, zone, rate
        self._clients = [f"127.0.1.{number}" for number in range(1, clients + 1)]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.asked = 0
        self.codes: Counter[int] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            sockets = []
            for client in self._clients:
                sock = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                sock.bind((client, 0))
                sock.connect(("127.0.0.1", self._product.dns))
                selector.register(sock, selectors.EVENT_READ)
                sockets.append(sock)
            begun = time.monotonic()
            while not self._ending.is_set():
                while self.asked < (time.monotonic() - begun) * self._rate:
                    with suppress(OSError):
                        sockets[self.asked % len(sockets)].send(question(f"{secrets.token_hex(6)}.{self._zone}"))
                    self.asked += 1
                for key, _ in selector.select(0.005):
                    with suppress(OSError):
                        while True:
                            self.codes[key.fileobj.recv(4096)[3] & 15] += 1  # type: ignore[union-attr]
            for sock in sockets:
                sock.close()


class Upstream(Lame):
    """Knows all names but those below `silent.example`, of which it says nothing; keeps how many of those it saw."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.silenced: dict[bytes, float] = {}
        self.says = self._says

    def _says(self, question: bytes, reply: bytes) -> list[bytes] | None:
        name = question[12:].lower()
        if b"\6silent\7example\0" in name:
            self.silenced.setdefault(name, time.monotonic())
            return []
        return [honest(question, 60)] if b"\4much\7example\0" in name else None


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Upstream]]:
    product = Product(tmp_path_factory.mktemp("flood"))
    keys = f"max_inflight = {INFLIGHT}\ncache_entries = {ENTRIES}\n"
    text = product.config.read_text().replace("[gateway]", f"{keys}[gateway]", 1)
    product.config.write_text(text + "[inspection]\nenabled = false\n")
    with Upstream(product.upstream) as made:
        try:
            product.start()
            yield product, made
        finally:
            product.kill()


def resident(product: Product) -> int:
    """Return the bytes of memory that the worker takes."""
    pid = product.pid("edge-0")
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_no_known_answer_is_lost_in_a_flood(upstream: tuple[Product, Upstream]) -> None:
    """Forty clients ask for names on which nobody answers, more than may wait: blocked and known names are answered."""
    product, _ = upstream
    for _ in range(2):
        assert product.rcode("known.example") == 0
    with Flood(product, "silent.example", 40) as flood:
        time.sleep(0.5)
        with Steady(product, "bad.example", "any.bad.example", "known.example", rate=400) as load:
            time.sleep(5)
    assert flood.asked > 5000
    assert load.asked > 1500
    assert load.lost == 0
    assert set(load.codes) == {("bad.example", 3), ("any.bad.example", 3), ("known.example", 0)}
    assert flood.codes[2] > 0  # what is too much is told so
    assert set(flood.codes) == {2}


def test_a_flooding_client_takes_no_more_than_its_share(upstream: tuple[Product, Upstream]) -> None:
    """One client's names wait in an eighth of the places at most; others are asked for all the while."""
    product, made = upstream
    time.sleep(5)  # until nothing of before waits
    made.silenced.clear()
    with Flood(product, "silent.example", 1) as flood:
        for number in range(100):
            assert product.rcode(f"n{number}.fine.example") == 0
            time.sleep(0.01)
        begun = min(made.silenced.values())
        assert SHARE / 2 < sum(at < begun + 1 for at in list(made.silenced.values())) <= SHARE
    assert flood.asked > 1000


def test_a_flood_leaves_no_memory_behind(upstream: tuple[Product, Upstream]) -> None:
    """Ten thousand long answers are forgotten but for the last: what is kept has its bounds."""
    product, _ = upstream
    with Flood(product, "much.example", 40, rate=1000):
        time.sleep(2)
    before = resident(product)
    with Flood(product, "much.example", 40, rate=1500) as flood:
        product.until(lambda: flood.codes[0] > 10_000, 60)
    assert resident(product) - before < 6_000_000
    assert product.rcode("known.example") == 0
    assert product.metric('filterproxy_events_total{event="dns_internal_error"}') == 0
