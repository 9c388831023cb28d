"""One override among millions of entries: from the decision until DNS, proxy and tunnels spare the name."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from benchmarks.installation import DNS, GATEWAY, PORTAL, Installation
from benchmarks.paced import rcode

_SETTLED = 0.5
"""Seconds that each way is watched after the decision was answered, for a block that comes late."""
_OFTEN, _SELDOM = 0.01, 0.05
"""Seconds between two questions, and between two requests, which take far more of the core that decides."""
_BLOCKED = 403


class _Watched:
    """Asks one way again and again on a thread of its own, and keeps when what it hears changed."""

    def __init__(self, blocks: Callable[[], bool], every: float) -> None:
        self._blocks, self._every, self._ending = blocks, every, threading.Event()
        self.blocked_at = self.spared_at = 0.0
        """When it last blocked; when it first spared after that."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            blocked, now = self._blocks(), time.time()
            if blocked:
                self.blocked_at, self.spared_at = now, 0.0
            elif not self.spared_at:
                self.spared_at = now

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()
        self._thread.join()


def in_force(product: Installation, name: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Return for each way how many seconds after the decision it was first seen to spare `name`, and for good.

    `answered` is when the command returned, `adopted` when the last process took the bundle. `meanwhile` is called
    right before.
    """
    receipt = _filed(name)
    ways = {
        "dns": _Watched(lambda: rcode(DNS, name) == 3, _OFTEN),
        "proxy": _Watched(lambda: _get(name) == _BLOCKED, _SELDOM),
        "tunnel": _Watched(lambda: _connect(name) == _BLOCKED, _SELDOM),
    }
    try:
        product.until(lambda: all(way.blocked_at for way in ways.values()), 10)
        meanwhile()
        begun = time.time()
        product.ask(do="appeals.decide", receipt=receipt, decision="grant", by="bench")
        answered = time.time()
        time.sleep(_SETTLED)
    finally:
        for way in ways.values():
            way.end()
    if not all(way.spared_at for way in ways.values()):
        raise SystemExit("an override was granted and is not in force")
    found = {"answered": answered, "adopted": max(product.adopted_since(begun).values())}
    found |= {name: way.spared_at for name, way in ways.items()}
    return {name: round(at - begun, 3) for name, at in found.items()}


def _filed(name: str) -> str:
    """File an appeal about a name with the form, and return its receipt number."""
    body = urlencode({"address": name, "message": "Please look again."})
    connection = http.client.HTTPConnection("127.0.0.1", PORTAL, timeout=10)
    try:
        connection.request("POST", "/appeal", body, {"Content-Type": "application/x-www-form-urlencoded"})
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.search(r"FP-\w{4}-\w{4}", text)
    if found is None:
        raise SystemExit("the appeal was not taken")
    return found[0]


def _get(name: str) -> int:
    """Return the status of a page on `name` through the proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", GATEWAY, timeout=10)
    try:
        connection.request("GET", f"http://{name}/")
        return connection.getresponse().status
    finally:
        connection.close()


def _connect(name: str) -> int:
    """Return the status of a tunnel to `name` through the proxy."""
    with socket.create_connection(("127.0.0.1", GATEWAY), 10) as sock:
        sock.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
        return int(sock.recv(256).split()[1])
