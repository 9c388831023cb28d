"""Connections to the portal: each stage has its time, and no network takes all the room."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from filterproxy.portal.networks import Networks, network_of

MOST = 1000
"""Connections at once."""


class Visitor(H11Protocol):
    """A connection that is cut off when its time is over; uvicorn by itself waits for ever for a first head."""

    head_seconds = 10.0
    """How long a head may take, counted from the connection's begin or from the last answer."""
    request_seconds = 60.0
    """How long a request may take from its head to the end of its answer."""
    most_of_a_network = 100
    """How many connections one client network (IPv4 /24, IPv6 /56) may have. A trusted proxy may have them all."""

    def __init__(self, *, proxies: Networks, **given: Any) -> None:
        super().__init__(**given)
        self._proxies = proxies
        self._ends: asyncio.TimerHandle | None = None
        self.network: str | None = None
        """Where it comes from; None where that is a trusted proxy."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection, or drop it at once where there is no room for it."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self.network = None if address in self._proxies else network_of(address)
        self._wait(self.head_seconds)
        if self._is_too_many():
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first head that is whole has come in time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._wait(self.request_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next head, which may be there already."""
        before = self.cycle
        super().on_response_complete()
        self._wait(self.head_seconds if self.cycle is before else self.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._ends is not None:
            self._ends.cancel()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        if self._ends is not None:
            self._ends.cancel()
        # Not close(): that would first wait until the client has read all that was sent.
        self._ends = self.loop.call_later(seconds, self.transport.abort)

    def _is_too_many(self) -> bool:
        if len(self.connections) > MOST:
            return True
        same = sum(isinstance(other, Visitor) and other.network == self.network for other in self.connections)
        return self.network is not None and same > self.most_of_a_network


def protocol(proxies: Networks) -> partial[Visitor]:
    """Return what makes the protocol of each connection; those of `proxies` carry many people each."""
    return partial(Visitor, proxies=proxies)
