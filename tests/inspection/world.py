"""The inspector for real, between raw clients and an origin that keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from filterproxy.core.model import Verdict
from filterproxy.core.policy import Policy
from filterproxy.inspection import HttpFilter, run_inspector
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Sealer
from filterproxy.settings import Settings
from tests.policies import NOW, build, table

PORTAL = "http://portal.example:8000"
NAMES = ("ok.example", "pages.example", "blocked.example", "words.example", "hosted.example", "inner.test")
MAC = b"m" * 32

LISTS = {
    table("pages", "urls", https="inspect", basis="law", mandatory=True): [
        "pages.example/listed",
        "pages.example/deep/",
    ],
    table("domains", "domains"): ["blocked.example"],
    table("hosted", "urls", https="block-host"): ["https://hosted.example/page"],
    table("warned", "keywords", action="warn"): ["warnword"],
    table("flagged", "keywords"): ["flagword"],
}  # fmt: skip


class Counts:
    """A counter that keeps everything."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.verdicts: list[Verdict] = []

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        assert frontend == "http"
        self.verdicts.append(verdict)

    def event(self, name: str) -> None:
        self.events[name] += 1

    @property
    def actions(self) -> list[str]:
        return [verdict.action.value for verdict in self.verdicts]


@dataclass(frozen=True)
class Reply:
    """A response as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    raw: bytes = b""


class Origin:
    """A web server on loopback, in clear and over TLS, that says `the page` and keeps every head it was sent."""

    def __init__(self, ca: Ca) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.body = b"the page"
        self.extra: Sequence[bytes] = ()
        self.hold = asyncio.Event()
        self.hold.set()
        self._ca = ca

    async def __aenter__(self) -> Self:
        self._plain = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._tls = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ca.server())
        self.port = self._plain.sockets[0].getsockname()[1]
        self.tls_port = self._tls.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in (self._plain, self._tls):
            server.close()
            server.close_clients()
        await asyncio.sleep(0.01)

    @property
    def lines(self) -> list[str]:
        """The request lines."""
        return [head.split(b"\r\n", 1)[0].decode("latin-1") for head in self.heads]

    def stop_tls(self) -> None:
        """Listen no more on `tls_port`."""
        self._tls.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                fields = _fields(head)
                if "content-length" in fields:
                    self.bodies.append(await reader.readexactly(int(fields["content-length"])))
                elif fields.get("transfer-encoding") == "chunked":
                    self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                await self.hold.wait()
                if fields.get("upgrade") == "websocket":
                    writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                    while data := await reader.read(65536):
                        writer.write(_unmasked(data))
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(self.body))
                writer.write(b"".join(line + b"\r\n" for line in self.extra) + b"\r\n")
                writer.write(b"" if head.startswith(b"HEAD ") else self.body)
                await writer.drain()
        writer.close()


class Ca:
    """A certificate authority of its own for the origin's names."""

    def __init__(self, folder: Path) -> None:
        self.pem, self._leaf = folder / "origin-ca.pem", folder / "origin.pem"
        root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = _certificate("origin ca", "origin ca", root.public_key(), root, ())
        served = _certificate("origin", "origin ca", leaf.public_key(), root, NAMES)
        self.pem.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        key = leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._leaf.write_bytes(key + served.public_bytes(serialization.Encoding.PEM))

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._leaf)
        return context


def _certificate(name: str, issuer: str, public: Any, key: Any, hosts: Sequence[str]) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name)).issuer_name(named(issuer)).public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_usage(sign=not hosts), critical=True)
    )  # fmt: skip
    if hosts:
        names = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, hashes.SHA256())


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, key_cert_sign=sign, crl_sign=sign, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


@dataclass
class World:
    """One inspector, one origin, and what was counted."""

    settings: Settings
    origin: Origin
    counts: Counts
    addon: HttpFilter
    stop: asyncio.Event
    task: asyncio.Task[None] = field(repr=False)
    moment: list[datetime]

    @property
    def port(self) -> int:
        return int(self.settings.gateway.listen.rpartition(":")[2])

    @property
    def ca(self) -> Path:
        return self.settings.runtime.state / "ca" / "mitmproxy-ca-cert.pem"

    async def connect(self) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", self.port))

    async def raw(self, data: bytes) -> Reply:
        """Send bytes on a connection of their own and return the first response."""
        async with await self.connect() as wire:
            await wire.send(data)
            return await wire.reply()

    async def get(self, url: str, *fields: str, method: str = "GET") -> Reply:
        """Ask for a plain URL as a browser asks a proxy; `PORT` stands for the origin's port."""
        url = url.replace("PORT", str(self.origin.port))
        host = url.split("/")[2]
        extra = "".join(f"{line}\r\n" for line in fields)
        return await self.raw(f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode())

    async def tunnel(self, host: str, port: int | None = None) -> tuple[Wire, Reply]:
        """Send a CONNECT and return the connection and its answer."""
        wire = await self.connect()
        name = f"{host}:{self.origin.tls_port if port is None else port}"
        await wire.send(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        return wire, await wire.reply()

    async def tls(self, host: str, sni: str | None = None, *, ca: Path | None = None, alpn: str = "http/1.1") -> Wire:
        """Return a connection inside a tunnel's TLS; `ca` is the one it must be signed by, ours unless said."""
        wire, reply = await self.tunnel(host)
        if reply.status != 200:
            await wire.close()
            raise ConnectionError(reply.status)
        context = ssl.create_default_context(cafile=str(ca or self.ca))
        context.set_alpn_protocols([alpn])
        try:
            await wire.writer.start_tls(context, server_hostname=sni or host)
        except BaseException:
            await wire.close()
            raise
        return wire


class Wire:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def reply(self) -> Reply:
        """Read one response; status 0 where the connection ends without one."""
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        except (asyncio.IncompleteReadError, ConnectionError):
            return Reply(0, {}, b"")
        fields = _fields(head)
        status = int(head.split()[1])
        body = await self.reader.readexactly(int(fields.get("content-length", "0"))) if status != 101 else b""
        return Reply(status, fields, body, head + body)

    async def ended(self) -> bool:
        """Tell whether the other side hung up without another byte."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 10) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    async def http2(self, authority: str, path: str, *fields: tuple[str, str], scheme: str = "https") -> int:
        """Ask over HTTP/2 and return the status, 0 where the stream or connection is ended without one."""
        return (await self.http2_reply(authority, path, *fields, scheme=scheme)).status

    async def http2_reply(
        self, authority: str, path: str, *fields: tuple[str, str], scheme: str = "https", method: str = "GET"
    ) -> Reply:
        """Ask over HTTP/2, as the first request of a connection, and return the whole response."""
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        client = h2.connection.H2Connection(config)
        client.initiate_connection()
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        client.send_headers(1, [*pseudo, *fields], end_stream=True)
        await self.send(client.data_to_send())
        headers: dict[str, str] = {}
        body = b""
        while data := await asyncio.wait_for(self.reader.read(65536), 10):
            for event in client.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    headers = {str(name): str(value) for name, value in event.headers or ()}
                if isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                if isinstance(event, h2.events.StreamEnded):
                    return Reply(int(headers[":status"]), headers, body)
                if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return Reply(0, {}, b"")
        return Reply(0, {}, b"")


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _unmasked(frame: bytes) -> bytes:
    """Return the echo of a short WebSocket frame."""
    mask, data = frame[2:6], frame[6 : 6 + (frame[1] & 127)]
    return frame[:1] + bytes([len(data)]) + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def resolver(answers: Mapping[str, str]) -> Callable[..., Any]:
    """Return a getaddrinfo that knows the invented names, each on loopback unless `answers` says where."""
    import socket

    async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        address = answers.get(host) or ("127.0.0.1" if host in NAMES or host == "127.0.0.1" else None)
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    return getaddrinfo


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    port: int,
    *,
    policy: Policy | None = None,
    prepare: Callable[[HttpFilter], None] = lambda _: None,
    answers: Mapping[str, str] | None = None,
    gateway: Mapping[str, object] | None = None,
    inspection: Mapping[str, object] | None = None,
    drain: float = 1.0,
) -> AsyncIterator[World]:
    """Start an origin and an inspector before it, and end both."""
    ca = Ca(folder)
    async with Origin(ca) as origin:
        settings = Settings.model_validate({
            "runtime": {"state": folder / "state", "drain": drain},
            "gateway": {
                "listen": f"127.0.0.1:{port}", "allow_targets": ["127.0.0.0/8"], "trust_local": False,
                "connect_ports": [origin.port, origin.tls_port, 443], **(gateway or {}),
            },
            "inspection": {"upstream_ca": ca.pem, **(inspection or {})},
            "portal": {"url": PORTAL},
        })  # fmt: skip
        in_force = build(LISTS) if policy is None else policy
        counts, moment = Counts(), [NOW]
        key = X25519PrivateKey.generate().public_key().public_bytes_raw()
        notices = Notices(settings.operator, settings.portal.url, Sealer(key))
        filter_ = HttpFilter(settings, lambda: in_force, notices, counts, lambda: moment[0], MAC)
        prepare(filter_)
        ready, stop = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().getaddrinfo = resolver(answers or {})  # type: ignore[method-assign]
        task = asyncio.create_task(run_inspector(settings, filter_, lambda _: ready.set(), stop))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task
        try:
            yield World(settings, origin, counts, filter_, stop, task, moment)
        finally:
            stop.set()
            await task
