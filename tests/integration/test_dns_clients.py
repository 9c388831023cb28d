"""Real clients ask a running product: dig, kdig, drill and dnspython, in every way that changes an answer.

Behind it stands a real Unbound that validates. Each row of a table is what somebody types, and what must be read then.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from tests.conftest import have
from tests.ports import free_ports

from .product import Product
from .resolvers import Lame, unbound

pytestmark = [
    have("unbound", "unbound"), have("ldns-signzone", "ldnsutils"), have("dig", "bind9-dnsutils"),
    have("kdig", "knot-dnsutils"), have("drill", "ldnsutils"),
]  # fmt: skip

SETTINGS = """
dns64 = "64:ff9b::/96"
forward = [{{ zone = "corp.example", upstreams = ["127.0.0.1:{corp}"] }}]
records = [
    {{ name = "router.home.example", value = "192.168.1.1" }},
    {{ name = "www.home.example", type = "CNAME", value = "fine.example" }},
    {{ name = "home.example", type = "MX", value = "10 mail.home.example" }},
]
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product on all addresses of this machine, before a resolver that validates and one of a company."""
    folder = tmp_path_factory.mktemp("clients")
    made = Product(folder)
    text = made.config.read_text().replace(f'["127.0.0.1:{made.dns}"]', f'["0.0.0.0:{made.dns}", "[::]:{made.dns}"]')
    (port,) = free_ports(1)
    text = text.replace("[gateway]", SETTINGS.format(corp=port) + "[gateway]", 1)
    made.config.write_text(text.replace('id = "pages"', 'id = "pages"\nhttps = "inspect"'))
    (folder / "d.domains").write_text("bad.example\n")
    (folder / "u.urls").write_text("https://seen.example/listed/page.html\n")
    with unbound(folder, made.upstream), Lame(port) as company:
        company.address = b"\x0a\0\0\x07"
        try:
            made.start()
            yield made
        finally:
            made.kill()


def said(*command: str) -> str:
    """Return what a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dig(product: Product, asked: str, server: str = "127.0.0.1") -> str:
    return said("dig", f"@{server}", "-p", str(product.dns), "+tries=1", "+timeout=5", *asked.split())


def kdig(product: Product, asked: str) -> str:
    return said("kdig", "@127.0.0.1", "-p", str(product.dns), "+retry=0", "+timeout=5", *asked.split())


def drill(product: Product, asked: str) -> str:
    return said("drill", "-p", str(product.dns), *asked.split()[:-2], *asked.split()[-2:], "@127.0.0.1")


COMPLAINTS = ("extra bytes", "malformed", "mismatch", "recursion requested but not available", "unexpected source",
              "WARNING", "Warning", "timed out")  # fmt: skip

DIG = {
    "fine.example": ["status: NOERROR", "600\tIN\tA\t192.0.2.80", "flags: qr rd ra;", "udp: 1232"],
    "fInE.eXaMpLe": [";fInE.eXaMpLe.", "192.0.2.80"],
    "+tcp fine.example": ["192.0.2.80", "(TCP)"],
    "+noedns fine.example": ["192.0.2.80", "ADDITIONAL: 0"],
    "+dnssec signed.example": ["flags: qr rd ra ad;", "flags: do;", "RRSIG\tA 13", "192.0.2.90"],
    "+dnssec +cdflag signed.example": ["flags: qr rd ra ad cd;", "RRSIG\tA 13"],
    "+dnssec nowhere.signed.example": ["status: NXDOMAIN", "NSEC", "RRSIG\tSOA", " ad;"],
    "+adflag www.signed.example": ["flags: qr rd ra ad;", "ANSWER: 1,"],
    "+noadflag www.signed.example": ["flags: qr rd ra;", "ANSWER: 1,"],
    "+dnssec fine.example": ["flags: qr rd ra;", "flags: do;"],
    "+norecurse fine.example": ["status: REFUSED", "EDE: 20 (Not Authoritative)", "ANSWER: 0"],
    "+norecurse x.bad.example": ["status: NXDOMAIN", "EDE: 15"],
    "big.example TXT": ["Truncated, retrying in TCP mode", "ANSWER: 20", "(TCP)"],
    "+bufsize=512 +ignore big.example TXT": ["flags: qr tc rd ra;", "ANSWER: 0"],
    "+cookie=0123456789abcdef fine.example": ["status: NOERROR", "192.0.2.80"],
    "+subnet=198.51.100.0/24 +nsid +padding=128 fine.example": ["status: NOERROR", "192.0.2.80"],
    "+ednsopt=65001:00ff fine.example": ["192.0.2.80"],
    "+edns=1 +noednsnegotiation fine.example": ["status: BADVERS"],
    "+notcp signed.example ANY": ["status: NOERROR"],
    "signed.example ANY": ["status: NOERROR", "ANSWER: 1", 'HINFO\t"RFC8482" ""'],
    "bad.example ANY": ["status: NXDOMAIN", "ANSWER: 0"],
    "plain.example HTTPS": ['1 . alpn="h2,h3" ipv4hint=192.0.2.80 ech=AAYAAQACYWI='],
    "seen.example HTTPS": ['1 . alpn="h2" ipv4hint=192.0.2.80\n'],
    "_8443._https.seen.example SVCB": ["status: NOERROR", "ANSWER: 0", "IN\tSOA"],
    "_8443._https.bad.example SVCB": ["EDE: 15 (Blocked)", "ANSWER: 0"],
    "bad.example": ["status: NXDOMAIN", "EDE: 15 (Blocked)", "60\tIN\tSOA"],
    "+dnssec +cdflag any.bad.example AAAA": ["status: NXDOMAIN", "EDE: 15 (Blocked)", "flags: qr rd ra cd;"],
    "leads.example": ["status: NOERROR", "EDE: 15 (Blocked)", "ANSWER: 0"],
    "rebind.example": ["status: NOERROR", "EDE: 15 (Blocked)", "ANSWER: 0"],
    "host.corp.example": ["60\tIN\tA\t10.0.0.7"],
    "router.home.example": ["300\tIN\tA\t192.168.1.1"],
    "router.home.example MX": ["status: NOERROR", "ANSWER: 0", "IN\tSOA"],
    "www.home.example": ["CNAME\tfine.example.", "192.0.2.80"],
    "home.example MX": ["10 mail.home.example."],
    "localhost": ["127.0.0.1"],
    "x.localhost AAAA": ["::1"],
    "fine.example AAAA": ["64:ff9b::c000:250"],
    "six.example AAAA": ["2001:db8::80", "ANSWER: 1,"],
    "-x 192.0.2.1": ["PTR\thost.example."],
    "-x 64:ff9b::c000:201": ["CNAME 1.2.0.192.in-addr.arpa.", "PTR\thost.example."],
    "nowhere.example": ["status: NXDOMAIN", "300\tIN\tSOA\tns.example."],
    "CH version.bind TXT": ["status: REFUSED"],
    "fine.example AXFR": ["Transfer failed"],
    "+noedns +opcode=NOTIFY fine.example SOA": ["status: NOTIMP"],
    "+noedns +header-only": ["status: FORMERR"],
    "+keepopen +tcp fine.example bad.example nowhere.example": ["192.0.2.80", "EDE: 15", "ns.example."],
}


@pytest.mark.parametrize("asked", DIG)
def test_dig_reads_what_it_should(product: Product, asked: str) -> None:
    """Twice, for the second answer comes from memory: each part is there, and dig has nothing to complain about."""
    for _ in range(2):
        text = dig(product, asked)
        assert [part for part in DIG[asked] if part not in text] == [], text
        assert [word for word in COMPLAINTS if word in text] == [], text


KDIG = {
    "fine.example": ["status: NOERROR", "192.0.2.80"],
    "+tcp +keepopen fine.example n1.example n2.example bad.example": ["192.0.2.80", "192.0.2.2\n", "NXDOMAIN"],
    "+dnssec signed.example": ["Flags: qr rd ra ad;", "RRSIG"],
    "+edns +norec fine.example": ["status: REFUSED", "20 (Not Authoritative)"],
    "+bufsize=512 big.example TXT": ["ANSWER: 20"],
    "+cookie=0123456789abcdef bad.example": ["status: NXDOMAIN", "15 (Blocked)"],
    "+padding=64 +nsid fine.example": ["192.0.2.80"],
    "seen.example HTTPS": ["alpn=h2 ipv4hint=192.0.2.80"],
    "fine.example AAAA": ["64:ff9b::c000:250"],
    "+noedns big.example TXT": ["ANSWER: 20"],
}  # fmt: skip


@pytest.mark.parametrize("asked", KDIG)
def test_kdig_reads_what_it_should(product: Product, asked: str) -> None:
    """Knot's client is stricter than most; it gets what dig gets."""
    text = kdig(product, asked)
    assert [part for part in KDIG[asked] if part not in text] == [], text
    assert "malformed" not in text
    assert ";; ERROR" not in text


DRILL = {
    "fine.example A": ["rcode: NOERROR", "192.0.2.80"],
    "-D signed.example A": ["flags: qr rd ra ad ;", "RRSIG"],
    "-t big.example TXT": ["ANSWER: 20"],
    "big.example TXT": ["flags: qr tc rd ra ;", "ANSWER: 0"],
    "-o rd fine.example A": ["rcode: REFUSED"],
    "-o CD -D www.signed.example A": ["flags: qr rd cd ra ad ;", "RRSIG"],
    "bad.example A": ["rcode: NXDOMAIN", "ANSWER: 0"],
    "signed.example DNSKEY": ["IN\tDNSKEY\t257 3 13"],
}


@pytest.mark.parametrize("asked", DRILL)
def test_drill_reads_what_it_should(product: Product, asked: str) -> None:
    """The client of ldns agrees."""
    text = drill(product, asked)
    assert [part for part in DRILL[asked] if part not in text] == [], text
    assert "rror" not in text.replace("NOERROR", "")


def test_a_chain_of_signatures_is_whole(product: Product) -> None:
    """With ldns, which validates what came through us, from the key it trusts."""
    key = next(product.folder.glob("Ksigned*.key"))
    text = said("drill", "-p", str(product.dns), "-S", "-k", str(key), "www.signed.example", "A", "@127.0.0.1")
    assert ";; Chase successful" in text


def test_many_questions_on_one_connection_are_answered_in_any_order(product: Product) -> None:
    """Forty at once, as RFC 7766 has it: each answer belongs to its question, and the connection stays open."""
    asked = {number: dns.message.make_query(f"n{number}.example", "A", id=number) for number in range(1, 41)}
    with socket.create_connection(("127.0.0.1", product.dns), timeout=5) as sock:
        for _ in range(2):
            packets = [item.to_wire() for item in asked.values()]
            sock.sendall(b"".join(len(packet).to_bytes(2) + packet for packet in packets))
            found = {}
            for _ in asked:
                reply, _ = dns.query.receive_tcp(sock, time.time() + 5)
                assert asked[reply.id].is_response(reply)
                found[reply.id] = reply.answer[0][0].to_text()
            assert found == {number: f"192.0.2.{number}" for number in asked}


def test_a_question_in_pieces_is_read_when_it_is_whole(product: Product) -> None:
    """A byte at a time is slow, not wrong."""
    packet = dns.message.make_query("fine.example", "A").to_wire()
    with socket.create_connection(("127.0.0.1", product.dns), timeout=5) as sock:
        for byte in len(packet).to_bytes(2) + packet:
            sock.sendall(bytes([byte]))
            time.sleep(0.002)
        reply, _ = dns.query.receive_tcp(sock, time.time() + 5)
    assert reply.answer[0][0].to_text() == "192.0.2.80"


@pytest.mark.parametrize("name", ["FINE.example", "fInE.ExAmPlE", "X.bAd.eXaMpLe"])
@pytest.mark.parametrize("tcp", [False, True])
def test_every_letter_comes_back_as_it_was_sent(product: Product, name: str, *, tcp: bool) -> None:
    """Whoever spells at random to tell forgeries (0x20) finds every letter, also in what was remembered."""
    asked = dns.message.make_query(name, "A")
    for _ in range(3):
        ask = dns.query.tcp if tcp else dns.query.udp
        reply = ask(asked, "127.0.0.1", timeout=5, port=product.dns)
        assert reply.question[0].name.to_text() == f"{name}."
        if reply.rcode() == dns.rcode.NOERROR:
            assert reply.answer[0].name.to_text() == f"{name}."


@pytest.mark.parametrize("payload", [None, 512, 600, 1232, 4096])
def test_no_datagram_is_longer_than_asked_for(product: Product, payload: int | None) -> None:
    """TC where it would be; then TCP has it whole."""
    asked = dns.message.make_query("big.example", "TXT", use_edns=payload is not None, payload=payload or 0)
    cut = dns.query.udp(asked, "127.0.0.1", timeout=5, port=product.dns)
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert (cut.edns >= 0) == (payload is not None)
    reply, tcp = dns.query.udp_with_fallback(asked, "127.0.0.1", timeout=5, port=product.dns)
    assert tcp
    assert len(reply.answer[0]) == 20


def test_a_stub_resolver_is_content(product: Product) -> None:
    """As an application uses dnspython: addresses, a block as NXDOMAIN, a service without what is stripped."""
    stub = dns.resolver.Resolver(configure=False)
    stub.nameservers, stub.port, stub.lifetime = ["127.0.0.1"], product.dns, 5
    assert [item.address for item in stub.resolve("fine.example")] == ["192.0.2.80"]
    assert [item.to_text() for item in stub.resolve("seen.example", "HTTPS")] == ['1 . alpn="h2" ipv4hint="192.0.2.80"']
    with pytest.raises(dns.resolver.NXDOMAIN):
        stub.resolve("www.bad.example")
    with pytest.raises(dns.resolver.NoAnswer):
        stub.resolve("leads.example")


@pytest.mark.parametrize(("server", "asked"), [
    ("127.0.0.7", "fine.example"), ("127.0.0.7", "bad.example"), ("127.8.9.10", "+tcp fine.example"),
    ("::1", "fine.example"), ("::1", "bad.example"),
])  # fmt: skip
def test_a_reply_comes_from_where_it_was_asked(product: Product, server: str, asked: str) -> None:
    """On 0.0.0.0 and [::] too: dig refuses a reply from any other address, known answers and new ones alike."""
    for _ in range(3):
        text = dig(product, asked, server)
        assert "unexpected source" not in text
        assert "status: N" in text
        assert f"SERVER: {server}#{product.dns}" in text


def test_nothing_of_this_was_an_error(product: Product) -> None:
    """After all of the above no question had failed inside, and the log names none."""
    assert product.metric('filterproxy_events_total{event="dns_internal_error"}') == 0
    log = product.log.read_text()
    assert "could not be answered" not in log
    assert ".example" not in log
    assert product.ready()
