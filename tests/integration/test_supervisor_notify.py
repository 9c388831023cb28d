"""What a service manager hears of a running product, on a socket of the test's that stands for its own."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from .product import Product, children, upstream
from .steady import hit_between_two_answers

EVERY = 1.0
"""Seconds between two signs of life: half of what this manager waits for."""


class Manager:
    """Notes every message, when it came, and from which process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[float, str]] = []
        self.senders: set[int] = set()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._sock.bind(str(path))
        self._sock.settimeout(0.1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._sock.close()

    def times(self, message: str) -> list[float]:
        """Return when a message that begins so was heard."""
        return [at for at, text in self.heard if text.startswith(message)]

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                data, ancillary, _, _ = self._sock.recvmsg(4096, 256)
            except TimeoutError:
                continue
            self.senders.add(int.from_bytes(ancillary[0][2][:4], "little"))
            self.heard.append((time.monotonic(), data.decode()))


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    made = Manager(tmp_path_factory.mktemp("manager") / "notify")
    yield made
    made.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, manager: Manager) -> Iterator[Product]:
    """A product without inspector that was started by the manager."""
    made = Product(tmp_path_factory.mktemp("notified"))
    made.config.write_text(made.config.read_text() + "[inspection]\nenabled = false\n")
    with upstream(made.upstream):
        try:
            made.start(within=["env", f"NOTIFY_SOCKET={manager.path}", f"WATCHDOG_USEC={int(2_000_000 * EVERY)}"])
            yield made
        finally:
            made.kill()


def test_it_tells_when_it_serves_and_nobody_speaks_for_it(product: Product, manager: Manager) -> None:
    """READY once, from the supervisor; its processes do not even know where to tell."""
    assert product.process is not None
    product.until(lambda: bool(manager.times("READY=1")), 5)
    assert product.rcode("bad.example") == 3
    assert len(manager.times("READY=1")) == 1
    assert manager.senders == {product.process.pid}
    if os.geteuid() == 0:  # others may not look
        for pid in children(product.process.pid).values():
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_its_status_is_a_line_of_numbers(product: Product, manager: Manager) -> None:
    """How many workers serve, how many lists there are, and which bundle; no list is named."""
    product.until(lambda: bool(manager.times("STATUS=1 of 1 workers serve; 3 lists, bundle")), 10)
    assert not any(name in text for _, text in manager.heard for name in ("domains", "pages", "law", "example"))


def test_a_reload_is_told_from_its_begin_to_its_end(product: Product, manager: Manager) -> None:
    """RELOADING with the time of it, then READY: also where the file is refused."""
    text = product.config.read_text()
    for changed in (text.replace("[dns]", "[dns]\nblock_ttl = 44"), text.replace("[dns]", "[dns"), text):
        ready, begun = len(manager.times("READY=1")), len(manager.times("RELOADING=1"))
        product.config.write_text(changed)
        assert product.process is not None
        product.process.send_signal(signal.SIGHUP)
        product.until(lambda seen=ready: len(manager.times("READY=1")) > seen, 60)  # type: ignore[misc]
        assert len(manager.times("RELOADING=1")) == begun + 1
        assert manager.times("RELOADING=1")[-1] <= manager.times("READY=1")[-1]
    said = next(text for _, text in manager.heard if text.startswith("RELOADING=1"))
    assert said.split("\n")[1].startswith("MONOTONIC_USEC=")


@pytest.mark.timeout(180)
def test_signs_of_life_stay_away_while_no_worker_answers(product: Product, manager: Manager) -> None:
    """They come all along, until the only worker hangs; and again once another one answers."""
    product.until(product.ready, 30)
    begun = time.monotonic()
    product.until(lambda: len([at for at in manager.times("WATCHDOG=1") if at > begun]) >= 3, 20)
    pid = product.pid("edge-0")
    hit_between_two_answers(pid or 0, signal.SIGSTOP)
    stopped = time.monotonic()
    product.until(lambda: product.pid("edge-0") not in (None, pid), 20)
    product.until(product.ready, 30)
    product.until(lambda: manager.times("WATCHDOG=1")[-1] > stopped + 5.0, 20)
    times = [at for at in manager.times("WATCHDOG=1") if at > begun]
    pauses = [after - before for before, after in pairwise(times)]
    assert max(pauses) > 2 * EVERY


def test_it_tells_that_it_ends(product: Product, manager: Manager) -> None:
    """STOPPING, and then nothing but that."""
    assert product.stop() == 0
    product.until(lambda: len(manager.times("STOPPING=1")) == 1, 5)
    assert manager.times("READY=1")[-1] < manager.times("STOPPING=1")[0]
