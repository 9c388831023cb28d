"""Clients that ask a product for all sorts of things, well and badly, and keep each answer beside what they sent."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from filterproxy.errors import ControlError
from tests.conftest import ROOT
from tests.dns.fakes import query

from .marked import ASKED
from .product import Product

FORM = "application/x-www-form-urlencoded"
NAMES = (
    "zqwanted-a.example", "www.zqwanted-a.example", "notzqwanted-a.example", "x.zqwanted-b.example",
    "zqwanted-b.example", "zqwanted-n.example", "ZQWANTED-C.Example", "zqwanted-d.example", "zqwanted-h.example",
    "zqwantedx7.example", "zqwantedword.example", "zqwanted.invalid",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came, for what was sent; `echo` is what else of this client's own may stand in it."""

    where: str
    sent: bytes
    came: bytes
    echo: bytes = b""


@dataclass
class Clients:
    """Everybody who asks the product."""

    product: Product
    sources: Path
    origin: int
    tls_origin: int
    answers: list[Answer] = field(default_factory=list)

    def keep(self, where: str, sent: bytes | str, came: bytes | str, echo: bytes | str = b"") -> str:
        """Keep an answer and return it as text."""
        all_bytes = [
            item.encode(errors="surrogateescape") if isinstance(item, str) else item for item in (sent, came, echo)
        ]
        self.answers.append(Answer(where, *all_bytes))
        return all_bytes[1].decode(errors="replace")

    # DNS

    def dns(self) -> None:
        """Ask for every name in every way, by UDP and TCP, and send what is no question."""
        for name in NAMES:
            for rtype in ("A", "AAAA", "ANY", "HTTPS", "TXT", "AXFR"):
                packet = bytes(query(name, rtype, edns=1232).pack())
                self.udp(packet)
                self.tcp(packet)
            plain = bytes(query(name, edns=None).pack())
            for kind in (0, 65_535):
                self.udp(plain[:-4] + struct.pack("!HH", kind, 1))
            for wrong in (
                plain[:-4] + b"\0\1\0\3", plain[:-7], plain[:2] + b"\x28\0" + plain[4:],
                plain[:2] + b"\x81\x80" + plain[4:], plain[:4] + b"\0\2" + plain[6:] + plain[12:], plain + plain,
                plain + b"\0\0\x29\x04\xd0\0\0\7\0\0\0",
                plain[:12] + b"\x3f" + name.encode(), plain[:12] + b"\xc0\x0c\0\1\0\1", name.encode(),
            ):  # fmt: skip
                self.udp(wrong, wait=0.02)
        self.tcp(name.encode())

    def udp(self, packet: bytes, wait: float = 1.0) -> None:
        """Send a packet, and keep the answer, if there is one."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(wait)
            sock.connect(("127.0.0.1", self.product.dns))
            sock.send(packet)
            with suppress(OSError):
                self.keep("dns udp", packet, sock.recv(65535))

    def tcp(self, packet: bytes) -> None:
        """Send a packet by TCP, and keep the answer."""
        self.keep("dns tcp", packet, self.raw(self.product.dns, struct.pack("!H", len(packet)) + packet))

    # HTTP

    def raw(self, port: int, data: bytes) -> bytes:
        """Send bytes on a connection of their own, and return all that comes back."""
        with socket.create_connection(("127.0.0.1", port), timeout=3) as sock, suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return _all(sock)
        return b""

    def http(self, port: int, head: str, body: str = "", *, host: str = "", fields: str = "", echo: str = "") -> str:
        """Send a request, and return its answer."""
        said = f"Host: {host or f'127.0.0.1:{port}'}\r\n{fields}"
        if body:
            said += f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
        data = f"{head} HTTP/1.1\r\n{said}Connection: close\r\n\r\n{body}"
        return self.keep(f"http {port} {head[:40]}", data, self.asked(port, data.encode("latin-1")), echo)

    def asked(self, port: int, data: bytes) -> bytes:
        """Send bytes and return what comes until the other side ends it."""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, suppress(OSError):
            sock.sendall(data)
            return _all(sock)
        return b""

    def proxied(self) -> None:
        """Ask the proxy for what is blocked, for its neighbours, for what is not there, and for nonsense."""
        here, gone = f"127.0.0.1:{self.origin}", "127.0.0.1:1"
        for url in (
            "zqwanted-h.example/zqwanted/page", "zqwanted-h.example/zqwanted/%70age?q#f",
            "zqwanted-h.example/zqwanted/pagex", "zqwanted-a.example/zqwanted", "x.zqwanted-b.example/",
            "zqwantedx7.example/", "zqwanted-r.example/zqwanted", f"{here}/zqwanted/page",
            f"{here}/zqwanted/near?zqwanted=1", f"{here}/zqwantedword", f"{here}/?q=zqwantedword",
            f"{gone}/zqwanted", "zqwanted.invalid/zqwanted", "127.0.0.1:99999/zqwanted", "zqwanted-a.example:8080/",
            "zqwanted:zqwanted@zqwanted-a.example/", "[::zqwanted]/", "zqwanted_/", f"{here}/{'zqwanted' * 3000}",
        ):  # fmt: skip
            self.http(self.product.proxy, f"GET http://{url}", host=url.split("/")[0])
        self.http(
            self.product.proxy, "POST http://zqwanted-h.example/zqwanted/page", "zqwanted", host="zqwanted-h.example"
        )
        for head in ("GET zqwanted", "GET /zqwanted", "OPTIONS *", "ZQWANTED http://zqwanted-a.example/", "GET ftp://zqwanted/",
                     "CONNECT zqwanted-a.example:443", "CONNECT zqwanted-a.example", "CONNECT zqwanted.invalid:443",
                     "CONNECT 127.0.0.1:1", "CONNECT zqwanted-h.example:22", "GET http:///zqwanted"):  # fmt: skip
            self.http(self.product.proxy, head, host="zqwanted-a.example")
        for data in (
            b"\x16\x03\x01zqwanted", b"zqwanted\r\n\r\n", b"GET http://zqwanted-a.example/\xff HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nzqwanted", b"GET http://zqwanted-a.example/ HTTP/9\r\n\r\n",
        ):  # fmt: skip
            self.keep("raw proxy", data, self.raw(self.product.proxy, data))

    def inside_tls(self, ca: Path) -> None:
        """Ask inside a tunnel that is opened: for the listed page, its neighbour, another host; and not in TLS."""
        for name in ("127.0.0.1", "zqwanted-a.example"):
            for path, host in (
                ("/zqwanted/page", name),
                ("/zqwanted/near", name),
                ("/zqwantedword", "zqwanted-a.example"),
            ):
                request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
                with self._tunnel() as sock:
                    context = ssl.create_default_context(cafile=str(ca))
                    context.check_hostname = False
                    came = b""
                    with suppress(OSError), context.wrap_socket(sock, server_hostname=name) as inside:
                        inside.sendall(request)
                        came = _all(inside)
                    self.keep("tls", request + name.encode(), came)
        with self._tunnel() as sock:
            sock.sendall(b"GET /zqwanted/page HTTP/1.1\r\n\r\n")
            with suppress(OSError):
                self.keep("no tls", ASKED, _all(sock))

    def _tunnel(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.product.proxy), timeout=5)
        sock.sendall(
            f"CONNECT 127.0.0.1:{self.tls_origin} HTTP/1.1\r\nHost: 127.0.0.1:{self.tls_origin}\r\n\r\n".encode()
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        return sock

    def post(self, path: str, *, echo: str = "", **fields: str) -> str:
        """Send a form to the portal."""
        return self.http(self.product.portal, f"POST {path}", urlencode(fields), echo=echo)


def _all(sock: socket.socket) -> bytes:
    came = b""
    with suppress(OSError):
        while part := sock.recv(65536):
            came += part
    return came


def ask_portal(clients: Clients) -> None:
    """Meet the notice, appeal with its token and by typing, ask how it stands, and read every page."""
    product, page = clients.product, "http://zqwanted-h.example/zqwanted/page"
    shown = clients.http(product.proxy, f"GET {page}", host="zqwanted-h.example")
    other = clients.http(product.portal, "GET /zqwanted", host="zqwanted-n.example")
    for text, subject in ((shown, page), (other, "zqwanted-n.example")):
        found = re.search(r'name="token" value="([^"]+)"', text)
        assert found is not None, text
        clients.post("/appeal", token=found[1], echo=subject)
        filed = clients.post("/appeal", token=found[1], message="zqwanted please", contact="zqwanted", echo=subject)
        receipt, secret = re.search(r"FP-\w{4}-\w{4}", filed), re.findall(r"\b\w{4}(?:-\w{4}){5}\b", filed)
        assert receipt is not None, filed
        clients.post("/appeal/status", receipt=receipt[0], secret=(*secret, "zqwanted")[0])
    for address in (
        page,
        "zqwanted-a.example",
        "zqwanted",
        "http://zqwanted bad/",
        "http://[zqwanted",
        "zqwanted." * 2000,
    ):
        clients.post("/appeal", address=address, message="zqwanted")
    clients.post("/appeal", token="zqwanted", message="")
    clients.post("/appeal/status", receipt="zqwanted", secret="zqwanted")
    clients.http(product.portal, "POST /appeal", fields="Content-Type: zqwanted/json\r\nContent-Length: 0\r\n")
    for path in (
        "/", "/notice", "/appeal", "/appeal/status", "/transparency", "/transparency.json", "/transparency.csv",
        "/healthz", "/readyz", "/captive-portal/api", "/api/openapi.json", "/zqwanted", "/%ff?zqwanted",
    ):  # fmt: skip
        clients.http(product.portal, f"GET {path}")
    for host in ("zqwanted-a.example", "zqwanted.invalid", "zqwanted bad", ""):
        clients.http(product.portal, "GET /zqwanted/page", host=host)
    for port in (product.console, product.metrics):
        for path in ("/", "/metrics", "/healthz", "/zqwanted"):
            clients.http(port, f"GET {path}")


def ask_control(clients: Clients) -> None:
    """Give every command of the control socket, unknown ones, and what is no command."""
    rows = clients.product.ask(do="appeals.list")["appeals"]
    assert len(rows) > 3
    with (clients.sources / "domains").open("a") as source:
        source.write("zqsilent-y.example\n")  # for a difference to tell of
    requests: tuple[dict[str, Any], ...] = (
        {"do": "status"}, {"do": "lists"}, {"do": "bundle"}, {"do": "diff", "names": 10_000}, {"do": "refresh"},
        {"do": "quarantine.list"}, {"do": "quarantine.decide", "id": "zqwanted"}, {"do": "appeals.list"},
        {"do": "appeals.decide", "receipt": "zqwanted"}, {"do": "overrides.list"}, {"do": "zqwanted"},
        {"do": "overrides.revoke", "id": "zqwanted"}, {"do": "diff", "lists": ["zqwanted"]}, {"do": 1},
        {"do": "rotate-key", "key": "zqwanted"},
        {"do": "appeals.list", "state": "zqwanted"}, {"do": "rotate-key", "key": "digest"},
        *({"do": "appeals.show", "receipt": row["receipt"]} for row in rows),
        {"do": "appeals.decide", "receipt": rows[0]["receipt"], "decision": "reject", "reason": "zqwanted"},
        {"do": "appeals.decide", "receipt": rows[-1]["receipt"], "decision": "grant"},
    )  # fmt: skip
    for request in requests:
        # Who decides is shown what the person sent, and nothing else.
        echo = ASKED if request["do"] == "appeals.show" else ""
        try:
            clients.keep("control", json.dumps(request), json.dumps(clients.product.ask(**request)), echo)
        except ControlError as exc:
            clients.keep("control", json.dumps(request), str(exc), echo)
    for line in (b"{zqwanted\n", b'["zqwanted"]\n', b'{"do": ["zqwanted"]}\n', b"\xff\n", b"[" * 50_000 + b"\n"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            sock.connect(str(clients.product.state / "control.sock"))
            sock.sendall(line)
            sock.shutdown(socket.SHUT_WR)
            clients.keep("control", line, sock.recv(65536))


def type_commands(clients: Clients) -> None:
    """Type every command that tells of the running product."""
    receipt = clients.product.ask(do="appeals.list")["appeals"][0]["receipt"]
    words = (
        "lists status", "lists diff --json", "lists quarantine", "lists selftest",
        "lists dry-run --list s-words -", f"appeals show {receipt}", "appeals overrides --json", "doctor --json",
        "top --once", "admin rotate-key zqwanted",
    )  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        for typed, said in zip(words, pool.map(lambda typed: command(clients.product, typed), words), strict=True):
            clients.keep(f"command {typed}", typed, said, ASKED if "show" in typed else "")


def command(product: Product, typed: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "filterproxy", *typed.split(), "-c", str(product.config)], cwd=ROOT, timeout=60,
        input=b"http://zqwanted.example/free\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2), done.stdout
    return done.stdout
