"""Resolvers that a product asks: a real Unbound with a signed zone, and one that can be lame in every way."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from filterproxy.dns import wire

_UNBOUND = """
server:
  interface: {address}@{port}
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  verbosity: 1
  module-config: "validator iterator"
  trust-anchor-file: "{folder}/anchor"
  local-zone: "example." static
  local-zone: "signed.example." transparent
  local-zone: "192.in-addr.arpa." static
{data}
auth-zone:
  name: "signed.example."
  zonefile: "{folder}/zone.signed"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
remote-control:
  control-enable: no
"""
_DATA = [
    "example. 600 IN SOA ns.example. admin.example. 1 2 3 4 300",
    "fine.example. 600 IN A 192.0.2.80",
    "six.example. 600 IN AAAA 2001:db8::80",
    "rebind.example. 600 IN A 192.168.1.1",
    "leads.example. 600 IN CNAME x.bad.example.",
    "x.bad.example. 600 IN A 192.0.2.66",
    r"plain.example. 600 IN HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80 ech=AAYAAQACYWI=",
    r"seen.example. 600 IN HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80 ech=AAYAAQACYWI=",
    r"_8443._https.seen.example. 600 IN SVCB 1 seen.example. alpn=h3 no-default-alpn=",
    *(f'big.example. 600 IN TXT "{number:0200d}"' for number in range(20)),
    *(f"n{number}.example. 600 IN A 192.0.2.{number}" for number in range(1, 41)),
    "1.2.0.192.in-addr.arpa. 600 IN PTR host.example.",
]
_ZONE = """$ORIGIN signed.example.
$TTL 600
@ SOA ns admin 1 3600 600 86400 300
@ NS ns
ns A 127.0.0.1
@ A 192.0.2.90
www A 192.0.2.91
"""


def _signed(folder: Path) -> None:
    """Write a zone, signed for the next weeks, and the key to believe it by."""
    (folder / "zone").write_text(_ZONE)
    made = subprocess.run(
        ["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "signed.example"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    key = made.stdout.strip()
    subprocess.run(["ldns-signzone", "-f", "zone.signed", "zone", key], cwd=folder, check=True, capture_output=True)
    shutil.copy(folder / f"{key}.key", folder / "anchor")


@contextmanager
def unbound(folder: Path, port: int, address: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[None]:
    """Serve `example`, and `signed.example` with proof, from a `folder`; started by way of `within`, if anything."""
    _signed(folder)
    data = "\n".join(f"  local-data: '{line}'" for line in _DATA)
    conf = folder / "unbound.conf"
    conf.write_text(_UNBOUND.format(address=address, port=port, folder=folder, data=data))
    program = shutil.which("unbound", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program is not None
    with (folder / "unbound.log").open("wb") as log:
        process = subprocess.Popen([*within, program, "-d", "-c", str(conf)], stdout=log, stderr=log)
    try:
        for _ in range(200):
            if "start of service" in (folder / "unbound.log").read_text():
                break
            time.sleep(0.05)
        else:
            raise AssertionError((folder / "unbound.log").read_text())
        yield
    finally:
        process.terminate()
        process.wait(10)


Says = Callable[[bytes, bytes], "list[bytes] | None"]
"""Sees a question and the honest reply to it, and returns what is sent instead; None: the honest one."""


def honest(question: bytes, count: int = 1, ttl: int = 60, address: bytes = b"\xc0\0\2\1") -> bytes:
    """Return the reply that holds `count` addresses."""
    end = question.index(b"\0", 12) + 5
    record = b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4) + b"\0\4" + address
    return question[:2] + wire.HEADER.pack(0, 0x8180, 1, count, 0, 0)[2:] + question[12:end] + record * count


class Lame:
    """A resolver on 127.0.0.1 that answers every question for an address, over UDP and TCP, and may do so badly.

    `says` and `says_tcp` may be set anew at any moment, `delay` (in seconds) too, `up` as well: when it is not, nobody
    listens there. `seen` counts what was asked, by way.
    """

    def __init__(self, port: int) -> None:
        self.port, self.delay = port, 0.0
        self.says: Says | None = None
        self.says_tcp: Says | None = None
        self.ttl, self.address = 60, b"\xc0\0\2\1"
        self.seen: Counter[str] = Counter()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen."""
        self._ending = threading.Event()
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (udp, tcp):
            sock.settimeout(0.05)
            sock.bind(("127.0.0.1", self.port))
        tcp.listen()
        self._threads = [threading.Thread(target=serve, args=(sock, self._ending))
                         for serve, sock in ((self._udp, udp), (self._tcp, tcp))]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def down(self) -> None:
        """Listen no more."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _udp(self, sock: socket.socket, ending: threading.Event) -> None:
        late: list[tuple[float, bytes, Any]] = []
        with sock:
            while not ending.is_set():
                sock.settimeout(0.005 if late else 0.05)
                with suppress(TimeoutError, ConnectionError):
                    packet, client = sock.recvfrom(4096)
                    self.seen["udp"] += 1
                    reply = honest(packet, ttl=self.ttl, address=self.address)
                    said = self.says(packet, reply) if self.says else None
                    late += [
                        (time.monotonic() + self.delay, item, client) for item in ([reply] if said is None else said)
                    ]
                due = [item for item in late if item[0] <= time.monotonic()]
                late = [item for item in late if item not in due]
                for _, item, client in due:
                    with suppress(OSError):
                        sock.sendto(item, client)

    def _tcp(self, sock: socket.socket, ending: threading.Event) -> None:
        with sock:
            while not ending.is_set():
                with suppress(OSError):
                    connection, _ = sock.accept()
                    thread = threading.Thread(target=self._stream, args=(connection, ending))
                    self._threads.append(thread)
                    thread.start()

    def _stream(self, sock: socket.socket, ending: threading.Event) -> None:
        sock.settimeout(0.05)
        unread = b""
        with sock, suppress(ConnectionError):
            while not ending.is_set():
                with suppress(TimeoutError):
                    part = sock.recv(65536)
                    if not part:
                        return
                    unread += part
                while len(unread) >= 2 and len(unread) >= (end := 2 + int.from_bytes(unread[:2])):
                    packet, unread = unread[2:end], unread[end:]
                    self.seen["tcp"] += 1
                    reply = honest(packet, ttl=self.ttl, address=self.address)
                    said = self.says_tcp(packet, reply) if self.says_tcp else None
                    for item in [reply] if said is None else said:
                        if not item:
                            return  # hang up
                        sock.sendall(len(item).to_bytes(2) + item)
