"""DNS over TLS of a running product: real clients, every profile by its name, a certificate renewed under load."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.conftest import have
from tests.dns.pairs import NAME, Pair, trusting

from .encrypted import Encrypted
from .product import upstream

pytestmark = have("kdig", "knot-dnsutils")

_KEYS = """dot = ["127.0.0.1:{dot}"]
structured_errors = true"""


class OverTls(Encrypted):
    """A product that is asked over TLS too, by two workers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _KEYS, workers=2)

    def asked(self, name: str, called: str = NAME, options: tuple[dns.edns.Option, ...] = ()) -> dns.message.Message:
        """Return the answer to a question for an address of `name`, where the server is called so."""
        query = dns.message.make_query(name, "A", use_edns=0, options=list(options))
        return dns.query.tls(
            query, "127.0.0.1", timeout=5, port=self.dot, ssl_context=trusting(self.pair), server_hostname=called
        )


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverTls]:
    """A product with a certificate of its own."""
    made = OverTls(tmp_path_factory.mktemp("dot"))
    with made.running(upstream(made.upstream)):
        yield made


@pytest.mark.parametrize(("name", "status"), [("bad.example", "NXDOMAIN"), ("fine.example", "NOERROR")])
@pytest.mark.parametrize(("options", "padded"), [("", True), ("+nopadding", False)])
def test_kdig_asks_over_tls_and_believes_the_certificate(product, name, status, options, padded):
    """It checks the name, and gets padding where it pads, as it does by default."""
    command = (
        "kdig", "@127.0.0.1", "-p", str(product.dot), "+tls", f"+tls-ca={product.files.certificate}",
        f"+tls-hostname={NAME}", "+timeout=5", "+retry=0", *options.split(), name, "A",
    )  # fmt: skip
    for _ in range(3):
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        assert f"status: {status}" in said
        assert "TLS session (TLS1.3)" in said
        assert ("PADDING" in said) is padded


@pytest.mark.parametrize(("called", "rcode"), [
    (NAME, dns.rcode.NXDOMAIN),
    (f"free.{NAME}", dns.rcode.NOERROR),
    (f"own.{NAME}", dns.rcode.NXDOMAIN),
    (f"nobody.{NAME}", dns.rcode.NXDOMAIN),
])  # fmt: skip
def test_dnspython_chooses_the_profile_by_the_name_that_it_calls(product, called, rcode):
    """Where the profile may be chosen by anyone, and nowhere else."""
    assert product.asked("bad.example", called).rcode() == rcode


def test_who_asks_why_is_told_over_tls_whom_to_turn_to(product):
    """And no rule, neither which list; over TCP nothing but a number."""
    option = dns.edns.EDEOption(dns.edns.EDECode.OTHER)
    (found,) = product.asked("bad.example", options=(option,)).extended_errors()
    assert '"j":' in (found.text or "")
    assert "domains" not in (found.text or "")
    query = dns.message.make_query("bad.example", "A", use_edns=0, options=[option])
    (plain,) = dns.query.tcp(query, "127.0.0.1", timeout=5, port=product.dns).extended_errors()
    assert not plain.text


class Asking:
    """A client that asks on one connection until it is told to end; `lost` says what went wrong."""

    def __init__(self, product: OverTls, context: ssl.SSLContext, ending: threading.Event) -> None:
        self._product, self._context, self._ending = product, context, ending
        self.answered, self.lost = 0, ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            with self._product.connected(self._product.dot, self._context) as sock:
                while not self._ending.is_set():
                    reply = dns.query.tls(dns.message.make_query("bad.example", "A"), "127.0.0.1", timeout=5, sock=sock)
                    assert reply.rcode() == dns.rcode.NXDOMAIN
                    self.answered += 1
        except Exception as exc:  # noqa: BLE001 - the test tells it
            self.lost = repr(exc)


def certificates(product: OverTls, context: ssl.SSLContext) -> set[bytes]:
    """Return those that a few new connections are shown, by whichever worker takes them."""
    found = set()
    for _ in range(10):
        with product.connected(product.dot, context) as sock:
            found.add(sock.getpeercert(binary_form=True) or b"")
    return found


def test_a_certificate_renewed_under_load_drops_no_connection(product):
    """Every worker shows the new one within seconds; half a pair is refused, counted, and changes nothing."""
    old, new = product.pair, Pair()
    context, ending = trusting(old, new), threading.Event()
    clients = [Asking(product, context, ending) for _ in range(4)]
    try:
        product.files.write_certificate(new.pem)
        refused = 'filterproxy_events_total{event="dns_certificate_refused"}'
        product.until(lambda: product.metric(refused) >= 2, 10)
        assert certificates(product, context) == {old.der}
        product.files.write_key(new.private())
        product.until(lambda: certificates(product, context) == {new.der}, 10)
        answered = [item.answered for item in clients]
        product.until(lambda: all(item.answered > so_far for item, so_far in zip(clients, answered, strict=True)), 10)
    finally:
        for item in clients:
            item.end()
        product.pair = new
    assert [item.lost for item in clients] == [""] * len(clients)
    assert "PRIVATE KEY" not in product.log.read_text()
    assert product.asked("bad.example").rcode() == dns.rcode.NXDOMAIN
