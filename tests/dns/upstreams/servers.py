"""Upstreams over TCP, TLS and HTTPS on loopback, and the authority that vouches for them."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dnslib import DNSRecord
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from tests.dns.upstreams.peers import ZONE, Upstream

NAME = "resolver.example"


class Authority:
    """A certificate authority of its own; `ca` is its PEM file."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name}-ca.pem"
        key = self._key.public_key()
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = (
            self._made(self._name, key, 1)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        self.ca.write_bytes(self._signed(made))

    def context(self, *names: str, days: float = 1, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Return what serves TLS with a certificate for `names` that ends `days` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Clients built on GnuTLS fail over a certificate of nobody; no client takes this for a name of the server's.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server of a test")])
        made = (
            self._made(subject, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName([_general(item) for item in names]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )  # fmt: skip
        path = self._folder / f"{x509.random_serial_number()}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + self._signed(made))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def _made(self, subject: x509.Name, key: Any, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )

    def _signed(self, made: x509.CertificateBuilder) -> bytes:
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


HANG_UP = b""
"""A message that says: close the connection."""

Says = Callable[[DNSRecord, bytes], "list[bytes] | None"]


@dataclass
class Server:
    """A resolver over TCP or TLS, many questions on a connection. `says` sees each and its honest reply and returns the
    messages to send instead; None means the honest one. Names that begin with `slow` are answered `delay` s later.
    """

    zone: dict[tuple[str, str], str] = field(default_factory=lambda: ZONE)
    tls: ssl.SSLContext | None = None
    says: Says | None = None
    delay: float = 0.1
    greeting: bytes = b""
    seen: list[DNSRecord] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    connections: int = 0
    address: str = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._stream, "127.0.0.1", 0, ssl=self.tls)
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(self.greeting)
        try:
            while True:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                task = asyncio.create_task(self._answer(packet, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, packet: bytes, writer: asyncio.StreamWriter) -> None:
        self.sizes.append(len(packet))
        asked = DNSRecord.parse(packet)
        self.seen.append(asked)
        if str(asked.q.qname).lower().startswith("slow"):
            await asyncio.sleep(self.delay)
        honest = Upstream(self.zone).honest(asked)
        said = self.says(asked, honest) if self.says else None
        for message in [honest] if said is None else said:
            if message == HANG_UP:
                writer.transport.abort()
            elif not writer.is_closing():
                writer.write(len(message).to_bytes(2) + message)


@dataclass
class HttpServer:
    """A resolver over HTTP/2. `says` is called with the connection, the stream, the question and its honest reply, and
    returns whether it has answered itself.
    """

    tls: ssl.SSLContext
    zone: dict[tuple[str, str], str] = field(default_factory=lambda: ZONE)
    says: Callable[[HttpConnection, int, DNSRecord, bytes], bool] | None = None
    settings: dict[SettingCodes | int, int] = field(default_factory=dict)
    seen: list[DNSRecord] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    resets: int = 0
    connections: int = 0
    address: str = ""
    port: int = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.open: list[HttpConnection] = []
        self._server = await loop.create_server(lambda: HttpConnection(self), "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"https://{NAME}:{self.port}/dns-query#127.0.0.1"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for connection in self.open:
            connection.transport.abort()
        await asyncio.sleep(0.01)


class HttpConnection(asyncio.Protocol):
    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.bodies: dict[int, bytearray] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport
        self.server.connections += 1
        self.server.open.append(self)
        self.h2.initiate_connection()
        if self.server.settings:
            self.h2.update_settings(self.server.settings)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            self.transport.abort()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self.server.requests.append({str(name): str(value) for name, value in event.headers})
                self.bodies[event.stream_id] = bytearray()
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                asked = DNSRecord.parse(bytes(self.bodies[event.stream_id]))
                self.server.seen.append(asked)
                honest = Upstream(self.server.zone).honest(asked)
                if self.server.says is None or not self.server.says(self, event.stream_id, asked, honest):
                    self.answer(event.stream_id, honest)
            elif isinstance(event, StreamReset):
                self.server.resets += 1
        if not self.transport.is_closing():
            self.flush()

    def answer(
        self, stream: int, body: bytes, status: str = "200", kind: str = "application/dns-message", **more: str
    ) -> None:
        self.h2.send_headers(stream, [(":status", status), ("content-type", kind), *more.items()])
        for start in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[start : start + 16_000])
        self.h2.end_stream(stream)
        self.flush()
