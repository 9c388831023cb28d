"""Questions at a steady pace, each asked once: which were answered, how, and how late."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from .product import Product, question

_SOCKETS = 32
"""Each has a port of its own, so that the kernel spreads them over the workers' sockets."""


class Steady:
    """Asks for `names` in turn until it is left, then waits for what is missing. Nothing is ever asked again."""

    def __init__(self, product: Product, *names: str, rate: float = 200, patience: float = 10.0) -> None:
        self._port, self._names, self._pause, self._patience = (
            product.dns,
            names or ("bad.example",),
            1 / rate,
            patience,
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._asked: dict[tuple[int, bytes], tuple[str, float]] = {}
        self.asked = 0
        self.codes: Counter[tuple[str, int]] = Counter()
        """How often each name was answered with which code."""
        self.slowest = 0.0
        """Seconds."""

    @property
    def lost(self) -> int:
        """How many were never answered."""
        return len(self._asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(_SOCKETS)]
        with selectors.DefaultSelector() as selector:
            for number, sock in enumerate(sockets):
                sock.setblocking(False)
                sock.connect(("127.0.0.1", self._port))
                selector.register(sock, selectors.EVENT_READ, number)
            due, end = time.monotonic(), float("inf")
            while (now := time.monotonic()) < end and (self._asked or not self._ending.is_set()):
                if self._ending.is_set():
                    end = min(end, now + self._patience)
                elif now >= due:
                    due += self._pause
                    self._ask(sockets)
                    continue
                for key, _ in selector.select(max(0.0, min(due - now, 0.05))):
                    self._take(sockets[key.data], key.data)
        for sock in sockets:
            sock.close()

    def _ask(self, sockets: list[socket.socket]) -> None:
        name = self._names[self.asked % len(self._names)]
        place = self.asked // len(self._names) % len(sockets)
        packet = self.asked.to_bytes(4)[2:] + question(name)[2:]
        self.asked += 1
        self._asked[place, packet[:2]] = name, time.monotonic()
        sockets[place].send(packet)

    def _take(self, sock: socket.socket, place: int) -> None:
        reply = sock.recv(4096)
        found = self._asked.pop((place, reply[:2]), None)
        if found is not None:
            name, at = found
            self.codes[name, reply[3] & 15] += 1
            self.slowest = max(self.slowest, time.monotonic() - at)


def hit_between_two_answers(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process at a moment when it sleeps: what it has taken is answered, what waits is not taken."""
    while (state := Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "S":
        assert state in "RD", state
    os.kill(pid, number)
