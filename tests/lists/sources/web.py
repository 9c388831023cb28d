"""A certificate authority, and a web server over TLS that says byte for byte what a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filterproxy.settings.lists import List

NAMES = ("lists.example", "cdn.example", "localhost")


def table(source: object, **more: Any) -> List:
    return List(id="ads", source=str(source), **more)


def plain(body: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Return an answer as it stands on the wire."""
    said = len(body) if length is None else length
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {said}", *fields, "", ""]).encode() + body


@dataclass
class Said:
    """What is sent, and what then happens to the connection: close, reset, hang, or drip a byte now and then."""

    raw: bytes
    then: str = "close"


class Ca:
    """Issues certificates, and writes each with its key into one file."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(self._signed(name, self._key, ()).public_bytes(serialization.Encoding.PEM))

    def issued(self, name: str, *, days: int = 1) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{self._name}-{name}.pem"
        path.touch(0o600)
        encoding = serialization.Encoding.PEM
        secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(secret + self._signed(name, key, NAMES, days=days).public_bytes(encoding))
        return path

    def _signed(self, name: str, key: Any, hosts: tuple[str, ...], *, days: int = 1) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name)).issuer_name(named(self._name)).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(sign=not hosts), critical=True)
        )  # fmt: skip
        if hosts:
            places = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(places), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, key_cert_sign=sign, crl_sign=sign, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


@dataclass
class Web:
    """The server: what it says to each path, and the heads that it was sent."""

    port: int
    ca: Ca
    says: dict[str, Said | bytes | Callable[[], bytes]] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/list", host: str = "lists.example") -> str:
        return f"https://{host}:{self.port}{path}"

    def table(self, path: str = "/list", *, fetch: Any = None, **more: Any) -> List:
        fetch = {"ca": self.ca.pem, "private": True, "timeout": 20} | (fetch or {})
        return table(self.url(path), fetch=fetch, **more)

    def answer(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError), raw:
            raw.settimeout(10)
            with context.wrap_socket(raw, server_side=True) as tls:
                head = b""
                while b"\r\n\r\n" not in head and (more := tls.recv(65536)):
                    head += more
                self.heads.append(head.decode())
                said = self.says.get(head.decode().split(" ")[1], plain(b"", status="404 Not Found"))
                said = said() if callable(said) else said
                said = Said(said) if isinstance(said, bytes) else said
                tls.sendall(said.raw)
                if said.then == "drip":
                    while not self.stopped.wait(0.01):
                        tls.sendall(b"\n")
                elif said.then == "hang":
                    self.stopped.wait(10)
                elif said.then == "reset":
                    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    tls.unwrap()


@contextlib.contextmanager
def serving(ca: Ca, leaf: Path) -> Iterator[Web]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = Web(listener.getsockname()[1], ca)
        threads = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=web.answer, args=(listener.accept()[0], context)))
                    threads[-1].start()

        main = threading.Thread(target=accept)
        main.start()
        try:
            yield web
        finally:
            web.stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [main, *threads]:
                thread.join(15)


def here(host: str, port: int) -> list[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]
