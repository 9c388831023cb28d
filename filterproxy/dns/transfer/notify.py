"""Receivers are told that a zone has changed (RFC 1996): over UDP, signed, again after ever longer waits, not for ever.

What is told is the zone's name; a confidential list's is told to its own receivers only, as everything else of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import dns.flags
import dns.message
import dns.opcode
import dns.rcode

from filterproxy.settings.base import split_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dns.tsig

    from filterproxy.settings.service import Receiver

    from .receivers import Receivers

WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds that an answer is waited for, each time that it is told."""
AT_ONCE: Final = 64
"""Addresses that are being told at once."""


class Unheard(Protocol):
    """Who wants to know that an address did not answer."""

    def __call__(self, receiver: str, list_id: str) -> None: ...


class Notifier:
    """Tells the addresses of receivers. Of a zone that changes meanwhile an address is told anew, and once."""

    def __init__(
        self, receivers: Receivers, listen: Sequence[str], unheard: Unheard, waits: Sequence[float] = WAITS
    ) -> None:
        """`listen` is where zones are given: what is told comes from the same address, where that is one."""
        self._receivers, self._unheard, self._waits = receivers, unheard, tuple(waits)
        self._sources = _sources(listen)
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def tell(self, zone: str, list_id: str) -> None:
        """Tell everybody who may have it that this zone has changed."""
        for receiver in self._receivers.all:
            if self._receivers.may(receiver, list_id):
                for address in receiver.notify:
                    self._begin(zone, list_id, receiver, address)

    async def close(self) -> None:
        """Tell nobody any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, zone: str, list_id: str, receiver: Receiver, address: str) -> None:
        place = zone, receiver.id, address
        if (before := self._tasks.get(place)) is not None:
            before.cancel()
        task = asyncio.get_running_loop().create_task(self._insist(zone, list_id, receiver, address))
        self._tasks[place] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._tasks.get(place) is done:
                del self._tasks[place]

        task.add_done_callback(ended)

    async def _insist(self, zone: str, list_id: str, receiver: Receiver, address: str) -> None:
        key = self._receivers.key_of(receiver)
        async with self._turns:
            for wait in self._waits:
                if await self._told(zone, key, address, wait):
                    return
        self._unheard(receiver.id, list_id)

    async def _told(self, zone: str, key: dns.tsig.Key, address: str, wait: float) -> bool:
        """Tell once, and return whether an answer came that this key signed."""
        loop = asyncio.get_running_loop()
        packet, query = _message(zone, key)
        host, port = split_address(address)
        heard: asyncio.Future[None] = loop.create_future()
        source = self._sources.get(ipaddress.ip_address(host).version)
        if source is not None and ipaddress.ip_address(source).is_loopback:
            source = source if ipaddress.ip_address(host).is_loopback else None
        begun = loop.time()
        transport = None
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Answers(query, key, heard), remote_addr=(host, port),
                local_addr=None if source is None else (source, 0),
            )  # fmt: skip
            transport.sendto(packet)
            async with asyncio.timeout(wait):
                await heard
        except TimeoutError:
            return False
        except OSError:  # no way there now; there may be one later
            await asyncio.sleep(max(0.0, wait - (loop.time() - begun)))
            return False
        finally:
            if transport is not None:
                transport.abort()
        return True


class _Answers(asyncio.DatagramProtocol):
    """Takes what comes back. Only what the receiver's key has signed is an answer: anybody can send a datagram."""

    def __init__(self, query: dns.message.Message, key: dns.tsig.Key, heard: asyncio.Future[None]) -> None:
        self._query, self._key, self._heard = query, key, heard

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take an answer."""
        del addr  # the socket is connected
        with suppress(Exception):  # a stranger's bytes: whatever dnspython makes of them
            found = dns.message.from_wire(data, keyring={self._key.name: self._key}, request_mac=self._query.mac)
            right = found.id == self._query.id and found.opcode() == dns.opcode.NOTIFY and found.had_tsig
            if right and found.flags & dns.flags.QR and found.rcode() == dns.rcode.NOERROR and not self._heard.done():
                self._heard.set_result(None)


def _message(zone: str, key: dns.tsig.Key) -> tuple[bytes, dns.message.Message]:
    query = dns.message.make_query(zone, "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    query.flags |= dns.flags.AA
    query.flags &= ~dns.flags.RD
    query.use_tsig(key)
    return query.to_wire(), query


def _sources(listen: Sequence[str]) -> dict[int, str]:
    """Return the first address of each version of IP that zones are given at."""
    found: dict[int, str] = {}
    for item in listen:
        address = ipaddress.ip_address(split_address(item)[0])
        if not address.is_unspecified:
            found.setdefault(address.version, str(address))
    return found
