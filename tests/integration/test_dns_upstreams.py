"""A running product whose first upstream fails in every way: answers stay right, and what is known stays quick.

Each fault has a zone of its own, and so upstreams of its own, of which the second is in order. Where both fail, what
was known is given beyond its time (RFC 8767), and what was not fails soon.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from filterproxy.dns import wire
from tests.ports import free_ports

from .product import Product
from .resolvers import Lame, Says, honest

RIGHT, FORGED = b"\xc0\0\2\2", b"\6\6\6\6"
TIMEOUT = 0.6
LONGEST = 2 * TIMEOUT + 0.4
"""Seconds within which every question is answered, whatever upstreams do; a part of it for busy machines."""
QUICK = 0.02
"""Seconds within which nearly every answer is there for which nobody needs to be asked."""


def _section(question: bytes) -> bytes:
    return question[12 : question.index(b"\0", 12) + 5]


def cut(question: bytes, reply: bytes) -> list[bytes]:
    return [reply[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + _section(question)]


def coded(rcode: int) -> Says:
    return lambda question, reply: [reply[:3] + bytes([0x80 | rcode]) + b"\0\1" + bytes(6) + _section(question)]


def forged(question: bytes, address: bytes = FORGED) -> bytes:
    return honest(question, address=address)


FAULTS: dict[str, tuple[Says, Says | None]] = {
    "silence": (lambda question, reply: [], None),
    "wrong id": (lambda question, reply: [bytes([reply[0] ^ 0x55]) + forged(question)[1:]], None),
    "wrong name": (lambda question, reply: [forged(question[:12] + b"\4evil\0\0\1\0\1")], None),
    "wrong case": (lambda question, reply: [reply[:12] + reply[12:].swapcase()], lambda question, reply: [b""]),
    "a question as the reply": (lambda question, reply: [question], None),
    "garbage": (lambda question, reply: [os.urandom(99), reply[:2] + b"\x81\x80" + b"\xff" * 200, b""], None),
    "garbage that fits": (lambda question, reply: [reply[:40] + b"\xff" * 300], None),
    "half a reply": (lambda question, reply: [reply[:-3]], None),
    "SERVFAIL": (coded(wire.SERVFAIL), None),
    "REFUSED": (coded(wire.REFUSED), None),
    "FORMERR": (coded(wire.FORMERR), None),
    "NOTIMP": (coded(wire.NOTIMP), None),
    "TC and silence": (cut, lambda question, reply: []),
    "TC and the end": (cut, lambda question, reply: [b""]),
    "TC and half": (cut, lambda question, reply: [reply[:15], b""]),
    "TC and TC": (cut, cut),
    "TC and another's": (cut, lambda question, reply: [bytes([reply[0] ^ 0x55]) + forged(question)[1:]]),
    "thousands of records": (cut, lambda question, reply: [honest(question, 4000, address=FORGED)]),
}  # fmt: skip


class Steady:
    """Asks for what needs no upstream, every 5 ms, and keeps how long each answer took."""

    def __init__(self, port: int, *names: str) -> None:
        self._port, self._names = port, names
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.took: list[float] = []
        self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def usual(self) -> float:
        """Seconds within which nine of ten were answered."""
        return sorted(self.took)[len(self.took) * 9 // 10]

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(0.005):
            asked = dns.message.make_query(self._names[number % len(self._names)], "A")
            begun, number = time.monotonic(), number + 1
            try:
                dns.query.udp(asked, "127.0.0.1", timeout=2, port=self._port)
                self.took.append(time.monotonic() - begun)
            except (OSError, dns.exception.DNSException):
                self.lost += 1


ZONES = [*(f"fault{number}.example" for number in range(len(FAULTS))), "slow.example", "flaps.example", "both.example"]


class World:
    """A product, and the ports of both upstreams of each zone."""

    def __init__(self, folder: Path) -> None:
        self.product = Product(folder)
        ports = free_ports(2 * len(ZONES))
        self.ports = {zone: (ports.pop(), ports.pop()) for zone in ZONES}
        zones = "\n".join(
            f'[[dns.forward]]\nzone = "{zone}"\nupstreams = ["127.0.0.1:{first}", "127.0.0.1:{second}"]'
            for zone, (first, second) in self.ports.items()
        )
        config = self.product.config
        text = config.read_text().replace("[gateway]", f"timeout = {TIMEOUT}\n{zones}\n[gateway]", 1)
        config.write_text(text + "[inspection]\nenabled = false\n")

    @contextmanager
    def upstreams(self, zone: str) -> Iterator[tuple[Lame, Lame]]:
        """Run both upstreams of a zone, in order as yet."""
        with Lame(self.ports[zone][0]) as first, Lame(self.ports[zone][1]) as second:
            first.address = second.address = RIGHT
            yield first, second

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.product.pid('edge-0')}/fd").iterdir()))

    def ask(self, name: str, longest: float = LONGEST) -> dns.message.Message:
        asked = dns.message.make_query(name, "A", use_edns=0)
        return dns.query.udp(asked, "127.0.0.1", timeout=longest, port=self.product.dns)

    def right(self, name: str, longest: float = LONGEST) -> bool:
        reply = self.ask(name, longest)
        return [item.to_text() for found in reply.answer for item in found] == [socket.inet_ntoa(RIGHT)]

    def all_at_once(self, names: list[str]) -> list[bytes]:
        """Ask for all names in one burst, and return the addresses in the answers that come in time."""
        asked = {dns.message.make_query(name, "A", id=number).to_wire() for number, name in enumerate(names)}
        found: list[bytes] = []
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.product.dns))
            for packet in asked:
                sock.send(packet)
            ends = time.monotonic() + LONGEST
            while len(found) < len(names) and (left := ends - time.monotonic()) > 0:
                sock.settimeout(left)
                found.append(sock.recv(4096)[-4:])
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("faults"))
    with Lame(made.product.upstream):
        try:
            made.product.start()
            yield made
        finally:
            made.product.kill()


def extended(reply: dns.message.Message) -> list[int]:
    return [int(item.code) for item in reply.options if isinstance(item, dns.edns.EDEOption)]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_upstream_answers_where_the_first_fails(world: World, fault: str) -> None:
    """Twelve names one after the other and forty at once, all right and in time; blocked and known ones stay quick."""
    zone = f"fault{list(FAULTS).index(fault)}.example"
    with world.upstreams(zone) as (first, _):
        assert world.right(f"known.{zone}")
        before = world.descriptors
        first.says, first.says_tcp = FAULTS[fault]
        first.seen.clear()
        with Steady(world.product.dns, "bad.example", f"known.{zone}") as load:
            assert [name for name in (f"n{number}.{zone}" for number in range(12)) if not world.right(name)] == []
            assert world.all_at_once([f"m{number}.{zone}" for number in range(40)]) == [RIGHT] * 40
        assert first.seen["udp"] > 0
        assert load.lost == 0
        assert load.usual < QUICK
        world.product.until(lambda: world.descriptors <= before + 2, 5)  # a connection may be kept to each of both


def test_a_slow_upstream_is_waited_for_no_longer_than_it_is_worth(world: World) -> None:
    """The other one is asked beside it, and the late answers do no harm."""
    with world.upstreams("slow.example") as (first, _):
        assert world.right("known.slow.example")
        first.delay, first.address = 0.4, FORGED
        took = []
        for number in range(20):
            begun = time.monotonic()
            assert world.right(f"n{number}.slow.example")
            took.append(time.monotonic() - begun)
        assert sorted(took)[-2] < TIMEOUT / 2
        time.sleep(0.5)
        assert world.right("known.slow.example", QUICK * 5)


def test_an_upstream_that_comes_and_goes_costs_no_answer(world: World) -> None:
    """Up for a fifth of a second and down for another, with both ways: every question is answered right."""
    with world.upstreams("flaps.example") as (first, _):
        ending = threading.Event()

        def flap() -> None:
            while not ending.wait(0.2):
                first.down()
                ending.wait(0.2)
                first.up()

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            ends, number = time.monotonic() + 4, 0
            while time.monotonic() < ends:
                number += 1
                assert world.right(f"n{number}.flaps.example")
                time.sleep(0.01)
        finally:
            ending.set()
            thread.join()
        assert number > 50


def test_what_was_known_outlives_its_upstreams(world: World) -> None:
    """Both silent: the old answer with EDE 3 in time, then at once; what was never known fails in time with EDE 23."""
    with world.upstreams("both.example") as both:
        for item in both:
            item.ttl = 1
        assert world.right("old.both.example")
        assert extended(world.ask("old.both.example")) == []
        time.sleep(2.1)
        for item in both:
            item.says = lambda question, reply: []
        with Steady(world.product.dns, "bad.example") as load:
            for longest in (LONGEST, QUICK * 5):
                reply = world.ask("old.both.example", longest)
                assert extended(reply) == [3]
                assert (reply.answer[0].ttl, reply.answer[0][0].to_text()) == (30, "192.0.2.2")
            reply = world.ask("new.both.example", LONGEST)
            assert (reply.rcode(), extended(reply)) == (dns.rcode.SERVFAIL, [23])
        assert load.usual < QUICK
        for item in both:
            item.says = coded(wire.REFUSED)
        reply = world.ask("other.both.example", LONGEST)
        assert (reply.rcode(), extended(reply)) == (dns.rcode.REFUSED, [22])
        for item in both:
            item.says = None
        assert world.right("back.both.example")


def test_nothing_is_left_behind(world: World) -> None:
    """When kept connections have been idle for their time, the worker holds what it held, and nothing went wrong."""
    world.product.until(lambda: _upstream_sockets(world) == 0, 15)
    assert world.product.metric('filterproxy_events_total{event="dns_internal_error"}') == 0
    assert ".example" not in world.product.log.read_text()


def _upstream_sockets(world: World) -> int:
    """Return how many sockets of the worker lead to an upstream, over UDP or TCP."""
    pid = world.product.pid("edge-0")
    mine = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    ports = {port for pair in world.ports.values() for port in pair}
    found = 0
    for kind in ("udp", "tcp"):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            words = line.split()
            found += int(words[2].partition(":")[2], 16) in ports and f"socket:[{words[9]}]" in mine
    return found
