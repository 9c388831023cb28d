"""A receiver of zones: takes them over TLS with TSIG, as dnspython applies what it is given, and hears of changes."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import dns.message
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone

from tests.dns.upstreams.servers import Authority

NAME = "transfer.example"
SECRETS = {"one": b"1" * 32, "two": b"2" * 32}
KEYS = {name: dns.tsig.Key(f"{name}.example", secret, "hmac-sha256") for name, secret in SECRETS.items()}
OPEN = "open.example CNAME .\n*.open.example CNAME .\none.example CNAME .\n"
CONFIG = """
[dns.transfer]
listen = ["127.0.0.1:{port}"]
zone = "rpz.example"
certificate = "{folder}/transfer.pem"
key = "{folder}/transfer.pem"
[[dns.transfer.receivers]]
id = "one"
networks = ["127.0.0.1/32"]
key_name = "one.example"
secret = "{folder}/one.tsig"
notify = ["127.0.0.1:{notify}"]
[[dns.transfer.receivers]]
id = "two"
networks = ["127.0.2.0/24"]
key_name = "two.example"
secret = "{folder}/two.tsig"
"""
RPZ = """
[[lists]]
id = "open"
source = "{folder}/open.rpz"
format = "rpz"
rpz = true
[[lists]]
id = "secret"
source = "{folder}/secret.domains"
format = "domains"
confidential = true
rpz = true
rpz_receivers = ["two"]
[[lists]]
id = "absent"
source = "{folder}/absent.domains"
format = "domains"
rpz = true
"""


def write_files(folder: Path) -> Authority:
    """Write lists, keys and a certificate for `NAME`; return who vouches for it."""
    (folder / "open.rpz").write_text(OPEN)
    (folder / "secret.domains").write_text("secret.example\n")
    for name, secret in SECRETS.items():
        path = folder / f"{name}.tsig"
        path.write_text(base64.b64encode(secret).decode())
        path.chmod(0o600)
    authority = Authority(folder)
    certify(folder, authority)
    return authority


def certify(folder: Path, authority: Authority) -> None:
    """Put another certificate in place of the one there is, whole."""
    before = set(folder.glob("*.pem"))
    authority.context(NAME)
    (made,) = set(folder.glob("*.pem")) - before
    made.chmod(0o600)
    made.rename(folder / "transfer.pem")


class Taker:
    """A zone, as its receiver has it. `messages` are those of the last transfer."""

    def __init__(self, port: int, ca: Path, zone: str = "open.rpz.example", key: str | None = "one") -> None:
        self.port, self.key = port, None if key is None else KEYS[key]
        self.source = "127.0.2.1" if key == "two" else "127.0.0.1"
        self.zone = dns.zone.Zone(f"{zone}.")
        self.context = ssl.create_default_context(cafile=ca)
        self.context.set_alpn_protocols(["dot"])
        self.messages: list[Any] = []
        self.certificate = b""

    @property
    def serial(self) -> int | None:
        """The serial of what there is."""
        with self.zone.reader() as held:
            found = held.get("@", "SOA")
        return None if found is None else int(found[0].serial)

    @property
    def policy(self) -> dict[str, str]:
        """What the zone says, by name."""
        return {
            str(name): f"{dns.rdatatype.to_text(rdata.rdtype)} {rdata.to_text()}"
            for name, _, rdata in self.zone.iterate_rdatas()
            if rdata.rdtype not in (dns.rdatatype.SOA, dns.rdatatype.NS)
        }

    @contextlib.contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        address = ("127.0.0.1", self.port)
        with (
            socket.create_connection(address, 30, source_address=(self.source, 0)) as plain,
            self.context.wrap_socket(plain, server_hostname=NAME) as sock,
        ):
            self.certificate = sock.getpeercert(binary_form=True) or b""
            yield sock

    def take(self, serial: int | None = None) -> Self:
        """Take the zone, or what has changed since `serial`. Raises dns.xfr.TransferError where it is refused."""
        query, at = dns.xfr.make_query(self.zone, serial=serial, keyring=self.key)
        self.messages, steps = [], query.question[0].rdtype == dns.rdatatype.IXFR
        with self.connected() as sock, dns.xfr.Inbound(self.zone, query.question[0].rdtype, at) as inbound:
            send(sock, query.to_wire())
            done, context = False, None
            while not done:
                found = dns.message.from_wire(
                    receive(sock), keyring=self.key or False, request_mac=query.mac or b"", multi=True,
                    tsig_ctx=context, origin=self.zone.origin, xfr=True, one_rr_per_rrset=steps,
                )  # fmt: skip
                assert found.had_tsig or found.rcode(), "every message is signed"
                context = found.tsig_ctx
                self.messages.append(found)
                done = inbound.process_message(found)
        return self


def send(sock: ssl.SSLSocket, packet: bytes) -> None:
    sock.sendall(len(packet).to_bytes(2) + packet)


def receive(sock: ssl.SSLSocket) -> bytes:
    def exactly(size: int) -> bytes:
        found = b""
        while len(found) < size:
            if not (piece := sock.recv(size - len(found))):
                raise EOFError
            found += piece
        return found

    return exactly(int.from_bytes(exactly(2)))


class Listener:
    """Where a receiver is told of changes: it notes the zones and answers, signed."""

    def __init__(self, port: int, key: str = "one") -> None:
        self._sock = socket.socket(type=socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", port))
        self._sock.settimeout(0.1)
        self._key, self._ending = KEYS[key], threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.heard: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                packet, client = self._sock.recvfrom(4096)
                found = dns.message.from_wire(packet, keyring=self._key)
                assert found.had_tsig
                self.heard.append(found.question[0].name.to_text(omit_final_dot=True))
                self._sock.sendto(dns.message.make_response(found).to_wire(), client)
