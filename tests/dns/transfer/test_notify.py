"""Receivers that are told of a change: over UDP on loopback."""

from __future__ import annotations

import asyncio
import socket

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

from filterproxy.dns.transfer.notify import Notifier
from tests.dns.transfer.house import KEYS, receivers

WAITS = (0.1, 0.1, 0.2)


class Peer(asyncio.DatagramProtocol):
    """A receiver: what it was told, and what it says to it."""

    def __init__(self, says) -> None:
        self.says, self.heard = says, list[dns.message.Message]()

    def connection_made(self, transport) -> None:
        self.transport = transport
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data, addr) -> None:
        found = dns.message.from_wire(data, keyring=KEYS["one"])
        self.heard.append(found)
        for reply in self.says(found):
            self.transport.sendto(reply, addr)


def well(found) -> list[bytes]:
    reply = dns.message.make_response(found)
    return [reply.to_wire()]


def forged(found) -> list[bytes]:
    """What others send: unsigned, signed by another key, of another question, and an error."""
    plain = dns.message.make_response(dns.message.from_wire(found.to_wire(), keyring=False))
    plain.tsig = None
    other = dns.message.make_response(found)
    other.use_tsig(dns.tsig.Key("one.example", b"x" * 32, "hmac-sha256"))
    wrong = dns.message.make_response(found)
    wrong.id ^= 1
    no = dns.message.make_response(found)
    no.set_rcode(dns.rcode.REFUSED)
    return [b"", b"hello", plain.to_wire(), other.to_wire(), wrong.to_wire(), no.to_wire()]


async def peer(says) -> Peer:
    _, found = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Peer(says), ("127.0.0.1", 0))
    return found


class House:
    """Makes a notifier of some addresses, and notes who was not heard."""

    def __init__(self) -> None:
        self.unheard: list[tuple[str, str]] = []
        self.made: Notifier | None = None

    def __call__(self, *addresses: str, waits=WAITS) -> Notifier:
        listen = ["127.0.0.1:853", "[::]:853"]
        self.made = Notifier(receivers(notify=list(addresses)), listen, self._unheard, waits)
        return self.made

    def _unheard(self, receiver: str, list_id: str) -> None:
        self.unheard.append((receiver, list_id))


@pytest.fixture
async def notified():
    house = House()
    yield house
    assert house.made is not None
    await house.made.close()


async def until(holds) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - whatever it asks is no event
            await asyncio.sleep(0.01)


async def test_a_receiver_is_told_once_and_signed(notified):
    """The zone's name in a NOTIFY, and no more once it has answered."""
    there = await peer(well)
    notified(there.address).tell("open.rpz.example", "open")
    await until(lambda: there.heard)
    await asyncio.sleep(sum(WAITS) + 0.1)
    (found,) = there.heard
    assert (found.opcode(), found.had_tsig, found.flags & dns.flags.AA) == (dns.opcode.NOTIFY, True, dns.flags.AA)
    assert found.question[0].to_text() == "open.rpz.example. IN SOA"
    assert notified.unheard == []
    there.transport.close()


async def test_only_who_may_have_a_list_is_told_of_it(notified):
    """The name of a confidential list's zone is its own receivers' alone."""
    there = await peer(well)
    notifier = notified(there.address)
    for name in ("secret", "kept", "own", "none"):
        notifier.tell(f"{name}.rpz.example", name)
    await asyncio.sleep(0.2)
    assert there.heard == []
    there.transport.close()


async def test_what_others_answer_is_no_answer(notified):
    """It is told again, as often as there are waits, and then its silence is noted."""
    there = await peer(forged)
    notified(there.address).tell("open.rpz.example", "open")
    await until(lambda: notified.unheard)
    assert len(there.heard) == len(WAITS)
    assert len({found.id for found in there.heard}) > 1
    assert notified.unheard == [("one", "open")]
    there.transport.close()


async def test_nobody_there_is_no_error(notified):
    """Neither a closed port nor an address that cannot be reached."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    notified(f"127.0.0.1:{port}", f"[2001:db8::5]:{port}").tell("open.rpz.example", "open")
    await until(lambda: len(notified.unheard) == 2)


async def test_a_zone_that_changes_again_is_told_anew(notified):
    """In place of what was being told: never more than one at a time for each place."""
    there = await peer(lambda _: [])
    notifier = notified(there.address, waits=(0.2,))
    for _ in range(10):
        notifier.tell("open.rpz.example", "open")
        await asyncio.sleep(0.01)
    await until(lambda: notified.unheard)
    assert notified.unheard == [("one", "open")]
    assert len(there.heard) <= 10
    there.transport.close()
