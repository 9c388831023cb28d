"""What the service manager is told (sd_notify(3)): datagrams of `KEY=value` lines to the socket it named.

Where none is named nothing is sent, and no failure to send ever reaches the product.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What the manager hands to the supervisor alone: no child may speak for it."""
_SECONDS = 0.5
"""The longest that a manager which reads nothing may hold us."""


class Notifier:
    """Tells the service manager how the product stands."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read where to tell it, and how often a sign of life is wanted."""
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.every = _half(environment) if self._address is not None else None
        """Seconds between two signs of life: half of what the manager waits for; None where it waits for none."""
        self._said = ""

    def ready(self) -> None:
        """Tell that it serves: after the start, or after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Tell that a reload has begun; the manager waits for `ready`."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that it ends."""
        self._send("STOPPING=1")

    def lives(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def longer(self, seconds: float) -> None:
        """Ask the manager to wait this much longer for a start, a reload or an end that goes on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def status(self, line: str) -> None:
        """Tell in a line how it stands, where that is news."""
        if line != self._said:
            self._said = line
            self._send(f"STATUS={line}")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SECONDS)
            sock.sendto(text.encode(), self._address)


def _address(named: str) -> str | None:
    """Return the socket's address; one that begins with @ is abstract. Other kinds, such as vsock, are not ours."""
    if named.startswith("@") and len(named) > 1:
        return "\0" + named[1:]
    return named if named.startswith("/") else None


def _half(environment: Mapping[str, str]) -> float | None:
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", ""))
        meant = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 and meant == os.getpid() else None
