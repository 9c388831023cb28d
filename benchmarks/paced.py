"""A bounded load of DNS questions at an even pace, and how long each answer took.

A process of its own, pinned to the core that the servers are not on. The kernel notes when an answer arrived, so that
a busy client makes no answer look late; questions are sent when they are due, answered or not those before.
Usage (by `Load`): paced.py PORT PACE NAMES OUT SOURCE; it sends until its input ends, and waits PATIENCE for
what is missing.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.side import LOAD, Figures

PATIENCE = 5.0
"""Seconds after which a question counts as lost: what resolvers of operating systems wait."""
_SOCKETS = 8
_BUFFER = 4 * 1024 * 1024
_SO_TIMESTAMPNS = 35
_NS = 1_000_000_000


class Load:
    """Asks the server on `port`, in turn, for each of `names`, `pace` times a second, for as long as it is entered.

    `source` is the address that it asks from.
    """

    def __init__(self, port: int, names: Iterable[str], pace: int, source: str = "127.0.0.1") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="filterproxy-bench-")
        self._out = Path(self._folder.name, "out")
        names_file = Path(self._folder.name, "names")
        names_file.write_text("\n".join(names))
        script = [sys.executable, "-m", "benchmarks.paced", str(port), str(pace), str(names_file)]
        self._command = ["taskset", "-c", LOAD, *script, str(self._out), source]
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: Any = None
        self._took: Any = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait(PATIENCE * 4) != 0:
            raise SystemExit("the load ended early")
        found = np.fromfile(self._out, np.int64).reshape(-1, 2)
        self._sent, self._took = found[:, 0], found[:, 1]
        self._folder.cleanup()

    def between(self, begin: float, end: float) -> Figures:
        """Return how questions sent between two moments (seconds since 1970) fared. Ask once it was left."""
        took = self._took[(self._sent >= begin * _NS) & (self._sent < end * _NS)]
        answered = took[took >= 0] / 1e6
        if not len(answered):
            raise SystemExit("no question was answered")
        percentiles = np.percentile(answered, (50, 99, 99.9, 100)).round(3).tolist()
        named = dict(zip(("p50_ms", "p99_ms", "p999_ms", "max_ms"), percentiles, strict=True))
        return {"asked": len(took), "lost": int((took < 0).sum()), **named}


class _Client:
    """Sends, receives, and keeps for each question when it was sent and how long its answer took, in nanoseconds."""

    def __init__(self, port: int, names: list[str], source: str) -> None:
        self.sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(_SOCKETS)]
        for sock in self.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.bind((source, 0))
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
        self._questions = [_question(name) for name in names]
        self._waiting: dict[int, int] = {}
        self.sent: list[int] = []
        self.took: list[int] = []

    def send(self) -> None:
        """Send the next question."""
        number = len(self.sent)
        packet = (number & 0xFFFF).to_bytes(2) + self._questions[number % len(self._questions)]
        self._waiting[number & 0xFFFF] = number
        self.took.append(-1)
        self.sent.append(time.time_ns())
        with suppress(OSError):  # refused, or no room: it stays without an answer
            self.sockets[number % _SOCKETS].send(packet)

    def receive(self, timeout: float) -> None:
        """Take what arrives within `timeout` seconds."""
        for sock in select.select(self.sockets, (), (), max(timeout, 0))[0]:
            for _ in range(100):
                try:
                    data, ancillary, _, _ = sock.recvmsg(512, 64)
                except OSError:
                    break
                number = self._waiting.pop(int.from_bytes(data[:2]), None)
                if number is not None:
                    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                    self.took[number] = max(seconds * _NS + nanoseconds - self.sent[number], 0)


def _question(name: str) -> bytes:
    """Return a question for an address of `name`, without its id."""
    labels = b"".join(len(label).to_bytes() + label.encode() for label in name.split("."))
    return struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def rcode(port: int, name: str, timeout: float = 0.5) -> int | None:
    """Return the response code of the server on `port` for `name`, or None where no answer came."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(b"\x12\x34" + _question(name))
            return sock.recv(512)[3] & 15
        except OSError:
            return None


def main() -> None:
    """Ask until standard input ends; write what each question took."""
    port, pace, names, out, source = sys.argv[1:]
    client, every = _Client(int(port), Path(names).read_text().split(), source), 1 / int(pace)
    os.set_blocking(0, False)
    begun = time.monotonic()
    while os.isatty(0) or not select.select([0], (), (), 0)[0]:
        # What is due is sent, at most 50 at a time, so that answers are taken in between.
        due = int((time.monotonic() - begun) / every) + 1
        for _ in range(min(due - len(client.sent), 50)):
            client.send()
        client.receive(begun + len(client.sent) * every - time.monotonic())
    end = time.monotonic() + PATIENCE
    while -1 in client.took[-200_000:] and time.monotonic() < end:
        client.receive(0.05)
    np.array([client.sent, client.took], np.int64).T.tofile(out)


if __name__ == "__main__":
    main()
