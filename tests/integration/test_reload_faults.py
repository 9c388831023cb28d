"""A reload that comes too early, takes too long or is taken back; and signals that reach everybody."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from filterproxy.errors import ControlError
from tests.ports import free_ports

from .product import Product, upstream
from .steady import Steady, hit_between_two_answers
from .test_reload import changed, hang_up, reload, running_children, told, ttl


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """A product with two workers and without inspector, which is not started yet."""
    made = Product(tmp_path, workers=2)
    changed(made, ("[dns]", "[dns]\nblock_ttl = 31"), more="[inspection]\nenabled = false\n")
    with upstream(made.upstream):
        try:
            yield made
        finally:
            made.kill()


def stop_control(product: Product) -> int:
    """Have control hang, as it does with lists that take their time, and return its number."""
    pid = running_children(product)["control"]
    hit_between_two_answers(pid, signal.SIGSTOP)
    return pid


@pytest.mark.timeout(120)
def test_one_that_comes_before_everybody_serves_ends_in_ready(product: Product) -> None:
    """The processes of the first file never served; those of the second do, and that is what the start waits for."""
    product.start(wait=False)
    product.until(lambda: told(product, "process_started") == 3, 20)
    stop_control(product)
    changed(product, ("block_ttl = 31", "block_ttl = 32"))
    hang_up(product)
    product.until(lambda: told(product, "reloaded") == 1, 60)
    product.until(lambda: " supervisor ready " in product.log.read_text(), 10)
    assert ttl(product.ask_dns("bad.example")) == 32


@pytest.mark.timeout(120)
def test_a_file_that_takes_too_long_is_taken_back_at_once(product: Product) -> None:
    """Its lists are still being read when the one before it is put back; nobody waits for them, nor for an address."""
    product.start()
    old, text, (moved,) = running_children(product), product.config.read_text(), free_ports(1)
    changed(product, ("block_ttl = 31", "block_ttl = 33"), (f'["127.0.0.1:{product.dns}"]', f'["127.0.0.1:{moved}"]'))
    with Steady(product, "bad.example", "good.example") as load:
        hang_up(product)
        product.until(lambda: told(product, "process_ended") == 1, 30)
        stopped = stop_control(product)
        changed(product, ("[dns]", "[dns"))
        hang_up(product)  # one that is refused changes nothing
        product.until(lambda: told(product, "reload_refused") == 1, 10)
        product.config.write_text(text)
        hang_up(product)
        product.until(lambda: told(product, "reload_overtaken") == 1, 10)
        product.until(lambda: told(product, "reloaded") == 1, 60)
    assert load.lost == 0
    assert set(load.codes) == {("bad.example", 3), ("good.example", 0)}
    assert ttl(product.ask_dns("bad.example")) == 31
    now = running_children(product)
    assert set(now) == {"control", "edge-0", "edge-1"}
    assert not {*old.values(), stopped} & set(now.values())
    with socket.create_server(("127.0.0.1", moved)), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", moved))


@pytest.mark.timeout(120)
def test_the_same_file_again_begins_nothing_anew(product: Product) -> None:
    """Whoever asks twice only waits: the lists are read once more at the end."""
    product.start()
    changed(product, ("block_ttl = 31", "block_ttl = 34"))
    hang_up(product)
    product.until(lambda: told(product, "process_ended") == 1, 30)
    stopped = stop_control(product)
    hang_up(product)
    time.sleep(0.5)
    os.kill(stopped, signal.SIGCONT)
    product.until(lambda: told(product, "reloaded") == 2, 60)
    assert told(product, "reload_overtaken") == 0
    assert running_children(product)["control"] == stopped
    assert ttl(product.ask_dns("bad.example")) == 34


def test_whoever_asks_for_a_command_meanwhile_is_told_to_try_again(product: Product) -> None:
    """Not that its command is unknown, which a control process that has just begun would say."""
    product.start()
    said: set[str] = set()
    changed(product, ("block_ttl = 31", "block_ttl = 35"))
    hang_up(product)
    while not told(product, "reloaded"):
        try:
            assert len(product.ask(do="lists")["lists"]) == 3
        except ControlError as exc:
            said.add(str(exc))
    assert said <= {"the control process does not serve; try again in a moment", "the process is gone"}


def test_a_hang_up_that_reaches_every_process_ends_none(product: Product) -> None:
    """As of `systemctl kill --signal=HUP`, or of a terminal that closes: the supervisor alone takes it."""
    product.start()
    before = running_children(product)
    with Steady(product) as load:
        for pid in before.values():
            os.kill(pid, signal.SIGHUP)
        reload(product)
    assert load.lost == 0
    assert running_children(product) == before
