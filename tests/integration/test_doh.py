"""DNS over HTTPS of a running product: real clients, every profile by its path, a certificate renewed under load."""

from __future__ import annotations

import base64
import http.server
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import httpx2
import pytest

from tests.conftest import have
from tests.dns.pairs import NAME, Pair, trusting

from .encrypted import Encrypted
from .product import upstream

pytestmark = [have("curl", "curl"), have("kdig", "knot-dnsutils"), have("h2load", "nghttp2-client")]

MEDIA = "application/dns-message"
_KEYS = 'doh = ["127.0.0.1:{doh}"]'
_SITE = """
[[dns.records]]
name = "site.home.example"
value = "127.0.0.1"
"""


class OverHttps(Encrypted):
    """A product that is asked over HTTPS too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _KEYS, _SITE)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.doh}/dns-query"

    def curl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run curl, which knows where NAME is and trusts our certificate."""
        known = ("--resolve", f"{NAME}:{self.doh}:127.0.0.1", "--cacert", str(self.files.certificate))
        command = ("curl", "-sS", "--max-time", "10", "--noproxy", "*", *known, *words)
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def kdig(self, *words: str) -> str:
        command = (
            "kdig", "@127.0.0.1", "-p", str(self.doh), f"+tls-ca={self.files.certificate}", f"+tls-hostname={NAME}",
            "+timeout=5", "+retry=0", *words,
        )  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout

    def said(self, *words: str) -> str:
        """Return version and status of what curl got."""
        return self.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", *words).stdout


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverHttps]:
    """A product with a certificate of its own."""
    made = OverHttps(tmp_path_factory.mktemp("doh"))
    with made.running(upstream(made.upstream)):
        yield made


@pytest.fixture
def site() -> Iterator[int]:
    """The port of a page on this machine."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(10)


def test_curl_finds_its_hosts_by_our_https(product: OverHttps, site: int) -> None:
    """A page is there, a blocked name is not (curl's 6: could not resolve host), and the certificate is believed."""
    for _ in range(2):
        found = product.curl("--doh-url", product.url, f"http://site.home.example:{site}/")
        assert (found.returncode, found.stdout) == (0, "hello"), found.stderr
        assert product.curl("--doh-url", product.url, f"http://bad.example:{site}/").returncode == 6
    other = product.curl("--doh-url", product.url.replace(NAME, "127.0.0.1"), f"http://site.home.example:{site}/")
    assert other.returncode != 0


@pytest.mark.parametrize("way", ["+https", "+https-get"])
@pytest.mark.parametrize(("name", "status"), [("bad.example", "NXDOMAIN"), ("fine.example", "NOERROR")])
@pytest.mark.parametrize("padded", ["+padding", "+nopadding"])
def test_kdig_asks_by_get_and_by_post(product: OverHttps, way: str, name: str, status: str, padded: str) -> None:
    """Twice, for the second answer comes from memory; what pads gets padding."""
    for _ in range(3):
        said = product.kdig("+https", way, padded, name, "A")
        assert f"status: {status}" in said
        assert f"HTTP/2-{'GET' if 'get' in way else 'POST'})" in said
        assert "(status: 200)" in said
        assert ("PADDING" in said) is (padded == "+padding")
        assert ("15 (Blocked)" in said) is (name == "bad.example" and padded == "+padding")  # without EDNS none


@pytest.mark.parametrize(("path", "says"), [
    ("/dns-query", "status: NXDOMAIN"), ("/dns-query/free", "status: NOERROR"), ("/dns-query/own", "(status: 404)"),
    ("/dns-query/home", "(status: 404)"), ("/", "(status: 404)"),
])  # fmt: skip
def test_kdig_chooses_the_profile_by_the_path(product: OverHttps, path: str, says: str) -> None:
    """Where the profile may be chosen by anyone, and nowhere else."""
    assert says in product.kdig(f"+https={path}", "bad.example", "A")


def test_a_library_asks_much_at_once(product: OverHttps) -> None:
    """One connection, GET and POST in turn: each answer is its own, and says how long it may be kept, and by whom."""
    with httpx2.Client(http2=True, http1=False, verify=trusting(product.pair, alpn="h2"), trust_env=False) as client:
        for number in range(120):
            name = "bad.example" if number % 3 else f"n{number}.example"
            query = dns.message.make_query(name, "A", id=0)
            address, extensions = f"https://127.0.0.1:{product.doh}/dns-query", {"sni_hostname": NAME}
            if number % 2:
                headers = {"content-type": MEDIA}
                found = client.post(address, content=query.to_wire(), headers=headers, extensions=extensions)
            else:
                text = base64.urlsafe_b64encode(query.to_wire()).decode().rstrip("=")
                found = client.get(f"{address}?dns={text}", extensions=extensions)
            assert (found.status_code, found.http_version, found.headers["content-type"]) == (200, "HTTP/2", MEDIA)
            reply = dns.message.from_wire(found.content)
            assert query.is_response(reply)
            assert reply.rcode() == (dns.rcode.NXDOMAIN if name == "bad.example" else dns.rcode.NOERROR)
            assert found.headers["cache-control"].startswith("private, max-age=")


@pytest.mark.parametrize(("words", "status"), [
    (("?dns=AAAA",), "2 400"), (("",), "2 400"), (("/none",), "2 404"), (("-X", "DELETE", ""), "2 405"),
    (("-I", ""), "2 405"),
    (("-H", "content-type: text/plain", "-d", "x", ""), "2 415"),
    (("-H", "content-type: text/plain", "-d", "x" * 50_000, ""), "2 415"),
    (("?dns=" + "A" * 5000,), "2 414"),
    (("--http1.1", "?dns=AAAA"), "1.1 505"),
    (("-H", "x: " + "y" * 9000, "?dns=AAAA"), "0 000"),
])  # fmt: skip
def test_what_is_no_question_gets_its_status(product: OverHttps, words: tuple[str, ...], status: str) -> None:
    """In HTTP/2, and in HTTP/1.1 to who speaks no other; a head that is far too long ends the connection."""
    *before, path = words
    assert product.said(*before, f"{product.url}{path}") == status


def test_many_streams_under_load_lose_no_answer(product: OverHttps) -> None:
    """A hundred at once on each of eight connections, on and on: none fails, and each is a 2xx."""
    wire = dns.message.make_query("bad.example", "A", id=0).to_wire()
    message = product.folder / "message"
    message.write_bytes(wire)
    said = subprocess.run(
        ["h2load", "-c", "8", "-m", "100", "-n", "20000", "-d", str(message), "-H", f"content-type: {MEDIA}",
         f"https://127.0.0.1:{product.doh}/dns-query"], capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "20000 2xx" in said


def test_no_handshake_no_place_for_long(product: OverHttps) -> None:
    """Connections that say nothing are closed in seconds, and others are served meanwhile."""
    held = [socket.create_connection(("127.0.0.1", product.doh), 5) for _ in range(50)]
    try:
        assert "status: NXDOMAIN" in product.kdig("+https", "bad.example")
        for sock in held:
            sock.settimeout(10)
            assert sock.recv(1) == b""
    finally:
        for sock in held:
            sock.close()


def test_a_certificate_renewed_under_load_drops_no_connection(product: OverHttps) -> None:
    """Who is connected goes on, with the old one; who comes now is shown the new one."""
    old, new = product.pair, Pair()
    context = trusting(old, new, alpn="h2")
    wire = dns.message.make_query("bad.example", "A", id=0).to_wire()

    def shown() -> bytes | None:
        with product.connected(product.doh, context) as sock:
            assert sock.selected_alpn_protocol() == "h2"
            return sock.getpeercert(binary_form=True)

    with httpx2.Client(http2=True, http1=False, verify=context, trust_env=False) as client:

        def ask() -> ssl.SSLObject:
            found = client.post(
                f"https://127.0.0.1:{product.doh}/dns-query", content=wire, headers={"content-type": MEDIA},
                extensions={"sni_hostname": NAME},
            )  # fmt: skip
            assert found.status_code == 200
            stream = found.extensions["network_stream"]
            return cast("ssl.SSLObject", stream.get_extra_info("ssl_object"))

        first = ask()
        product.files.write(new)
        product.until(lambda: ask() is first and shown() == new.der, 10)
    product.pair = new


def test_nothing_of_this_was_an_error(product: OverHttps) -> None:
    """After all of the above no question had failed inside, what was wrong was counted, and the log names none."""
    assert product.metric('filterproxy_events_total{event="dns_internal_error"}') == 0
    for event in ("dns_doh_refused", "dns_doh_broken", "dns_doh_connections", "dns_tls_failed"):
        assert product.metric(f'filterproxy_events_total{{event="{event}"}}') > 0
    log = product.log.read_text()
    assert "Traceback" not in log
    assert "bad.example" not in log
    assert product.ready()
