"""Several edge workers on sockets of the supervisor's: none is missed, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .product import Product, upstream
from .steady import Steady, hit_between_two_answers


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product with two edge workers, and no inspector."""
    made = Product(tmp_path_factory.mktemp("workers"), workers=2)
    made.config.write_text(made.config.read_text() + "[inspection]\nenabled = false\n")
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


def waiting(port: int) -> list[int]:
    """Return the bytes that wait in each UDP socket of `port`, as the kernel shows it."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return [int(line.split()[4].partition(":")[2], 16) for line in lines if line.split()[1].endswith(f":{port:04X}")]


def test_each_worker_has_a_socket_of_its_own(product: Product) -> None:
    """Two in the kernel, and both workers answer."""
    assert len(waiting(product.dns)) == 2
    before = [_cpu(product, name) for name in ("edge-0", "edge-1")]
    with Steady(product, rate=1000) as load:
        time.sleep(1.5)
    assert load.lost == 0
    assert all(_cpu(product, name) > was for name, was in zip(("edge-0", "edge-1"), before, strict=True))


@pytest.mark.parametrize("name", ["edge-0", "edge-1"])
def test_a_worker_killed_under_load_loses_no_question(product: Product, name: str) -> None:
    """What was queued in its socket is answered by the other one at once, without being asked again."""
    product.until(product.ready, 30)
    pid = product.pid(name)
    assert pid is not None
    with Steady(product) as load:
        time.sleep(0.5)
        hit_between_two_answers(pid, signal.SIGKILL)
        time.sleep(0.1)
        product.until(product.ready, 30)
        time.sleep(0.5)
    assert product.pid(name) != pid
    assert load.asked > 200
    assert load.lost == 0
    assert load.slowest < 1.0
    assert load.codes == {("bad.example", 3): load.asked}


@pytest.mark.timeout(180)
def test_a_worker_that_hangs_is_covered_then_replaced_and_loses_no_question(product: Product) -> None:
    """Stopped, it says nothing: after some seconds the other one reads its socket, and after a few more it is gone."""
    product.until(product.ready, 30)
    pid = product.pid("edge-1")
    assert pid is not None
    with Steady(product, rate=100) as load:
        time.sleep(0.5)
        hit_between_two_answers(pid, signal.SIGSTOP)
        product.until(lambda: product.pid("edge-1") not in (None, pid), 15)
        product.until(product.ready, 30)
        time.sleep(0.5)
    assert load.lost == 0
    assert load.slowest < 6.0
    said = product.log.read_text()
    assert "process_doubted name=edge-1" in said
    assert "process_silent name=edge-1" in said


def test_one_that_was_only_slow_gets_its_socket_back(product: Product) -> None:
    """Stopped for a moment, it is covered, and goes on as the process that it was."""
    product.until(product.ready, 30)
    pid = product.pid("edge-0")
    assert pid is not None
    before = product.log.read_text().count("process_doubted")
    with Steady(product, rate=100) as load:
        hit_between_two_answers(pid, signal.SIGSTOP)
        try:
            product.until(lambda: product.log.read_text().count("process_doubted") > before, 10)
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1.5)
    assert load.lost == 0
    assert product.pid("edge-0") == pid
    used = _cpu(product, "edge-0")
    with Steady(product, rate=1000) as load:
        time.sleep(1.0)
    assert load.lost == 0
    assert _cpu(product, "edge-0") > used


def test_both_killed_at_once_answer_what_has_waited(product: Product) -> None:
    """Nobody is there to cover: the sockets themselves wait for the replacements."""
    product.until(product.ready, 30)
    pids = [product.pid(name) for name in ("edge-0", "edge-1")]
    with Steady(product, rate=50, patience=30.0) as load:
        time.sleep(0.3)
        for pid in pids:
            hit_between_two_answers(pid or 0, signal.SIGKILL)
        time.sleep(0.1)
        product.until(product.ready, 30)
    assert load.lost == 0
    assert load.codes == {("bad.example", 3): load.asked}


def test_another_program_cannot_have_its_address(product: Product) -> None:
    """The first socket of a group is bound by itself, so a second product is told that the address is taken."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="in use"):
        sock.bind(("127.0.0.1", product.dns))


def _cpu(product: Product, name: str) -> int:
    """Return the processor time of a process, in ticks."""
    fields = Path(f"/proc/{product.pid(name)}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
