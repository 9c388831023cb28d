"""Real receivers on loopback: an https server, a mail server, and the authority that their certificates lead to."""

from __future__ import annotations

import http.server
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_port


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and a server's certificate for 127.0.0.1."""

    ca: Path
    chain: Path

    @property
    def server_side(self) -> ssl.SSLContext:
        """What a server uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context


def authority(folder: Path, name: str = "ours") -> Authority:
    """Return a new authority whose files are in `folder`."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = (
        _certificate(issuer, issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        _certificate(x509.Name([]), issuer, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    found = Authority(folder / f"{name}-ca.pem", folder / f"{name}-server.pem")
    found.ca.write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.chain.write_bytes(server.public_bytes(pem) + private)
    return found


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=1)
    )


@dataclass
class Posts:
    """What an https server was sent, and how it answers."""

    port: int = 0
    status: int = 204
    taken: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path with query, headers, body."""


@contextmanager
def hook(trusted: Authority | None) -> Iterator[Posts]:
    """Serve posts, over TLS where an authority is given."""
    posts = Posts()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.taken.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(posts.status)
            self.send_header("Location", f"{'https' if trusted else 'http'}://127.0.0.1:{posts.port}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - as the library names it

        def log_message(self, *_):
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """Say nothing: a client that distrusts us is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    if trusted is not None:
        context = trusted.server_side
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    posts.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mails:
    """What a mail server took."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    refuse: str = ""
    """What it says to DATA, if it refuses."""
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as the library names it
        """Keep a mail, or refuse it."""
        if self.refuse:
            return self.refuse
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.taken.append(mail)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as the library names it
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Refuse whoever is called nobody."""
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Let in whoever knows the word."""
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"sesame", handled=False)


@contextmanager
def mail_server(trusted: Authority, how: str, *, login: bool = False) -> Iterator[Mails]:
    """Serve mail; `how` as in [mail] tls."""
    mails = Mails()
    context = trusted.server_side
    options: dict[str, Any] = {}
    if how == "tls":
        options = {"ssl_context": context}
    elif how == "starttls":
        options = {"tls_context": context, "require_starttls": True}
    if login:
        options |= {"authenticator": mails.login, "auth_required": True, "auth_require_tls": how == "starttls"}
    mails.port = free_port()
    server = Controller(mails, hostname="127.0.0.1", port=mails.port, **options)
    if how == "tls":
        # Its own first look trusts no authority; a connection alone will do.
        server._trigger_server = lambda: socket.create_connection(("127.0.0.1", mails.port)).close()  # type: ignore[method-assign]
    server.start()
    try:
        yield mails
    finally:
        server.stop()


@contextmanager
def silent(first: bytes = b"", *, drip: bytes = b"", pause: float = 0.05) -> Iterator[int]:
    """Accept connections, say `first`, and nothing more, or `drip` again and again."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    held: list[socket.socket] = []

    def serve():
        listening.settimeout(0.05)
        while not done.is_set():
            try:
                held.append(listening.accept()[0])
            except TimeoutError:
                continue
            try:
                held[-1].sendall(first)
                while drip and not done.wait(pause):
                    held[-1].sendall(drip)
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        done.set()
        thread.join()
        for sock in [listening, *held]:
            sock.close()


def until(true: Callable[[], object], within: float = 20.0) -> None:
    """Wait until something is so; fail where it is not in time."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
