"""Zones of the running product, over TLS with TSIG: who takes them, who does not, and how soon a change is there."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import dns.message
import dns.tsig
import dns.xfr
import pytest

from tests.ports import free_ports

from .product import Product, children, upstream
from .takes import CONFIG, KEYS, NAME, OPEN, RPZ, SECRETS, Listener, Taker, certify, receive, send, write_files


class Running:
    """A product that gives zones, and what is needed to take them."""

    def __init__(self, folder: Path) -> None:
        self.product, (self.port, self.notify) = Product(folder), free_ports(2)
        self.folder, self.authority = folder, write_files(folder)
        text = CONFIG.format(port=self.port, notify=self.notify, folder=folder) + RPZ.format(folder=folder)
        self.product.config.write_text(self.product.config.read_text() + text)

    def taker(self, zone: str = "open.rpz.example", key: str | None = "one") -> Taker:
        return Taker(self.port, self.authority.ca, zone, key)

    def listed(self, text: str) -> None:
        """Change the open list and have it read."""
        (self.folder / "open.rpz").write_text(text)
        self.product.ask(do="refresh")

    def log(self) -> str:
        return self.product.log.read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("transfer"))
    with upstream(made.product.upstream):
        try:
            made.product.start()
            yield made
        finally:
            made.product.kill()


def refused(taker: Taker) -> str:
    """Return with what a transfer is refused."""
    with pytest.raises(dns.xfr.TransferError) as caught:
        taker.take()
    return str(caught.value)


def test_a_receiver_takes_the_zone_of_a_list(running):
    """Its scopes as RPZ spells them, signed in every message, and noted without a name."""
    found = running.taker().take()
    assert found.policy == {
        "open.example": "CNAME *.", "*.open.example": "CNAME .", "one.example": "CNAME *.",
    }  # fmt: skip
    running.product.until(lambda: "receiver=one list=open kind=axfr" in running.log(), 10)
    assert "open.example" not in running.log()
    assert running.product.metric('filterproxy_events_total{event="dns_transfer"}') >= 0


def test_a_change_is_told_at_once_and_taken_as_a_difference(running):
    """NOTIFY comes within seconds of the list's reading; IXFR holds what changed and no more."""
    before = running.taker().take()
    with Listener(running.notify) as listener:
        begun = time.monotonic()
        running.listed(OPEN + "".join(f"new{number}.example CNAME .\n" for number in range(10)))
        running.product.until(lambda: "open.rpz.example" in listener.heard, 5)
        assert time.monotonic() - begun < 5
    whole = len(before.messages[0].answer)
    serial = before.serial
    begun = time.monotonic()
    before.take(serial)
    assert time.monotonic() - begun < 1
    assert before.serial != serial
    assert before.policy == running.taker().take().policy
    assert len(before.policy) == 3 + 10
    assert whole > 0
    assert "kind=ixfr" in running.log()
    again = before.take(before.serial)
    assert sum(len(message.answer) for message in again.messages) == 1


def test_who_may_not_is_refused(running):
    """Unsigned, wrongly signed, by a key that is not known, and for a list that is not its own."""
    assert refused(running.taker(key=None)) == "Zone transfer error: REFUSED"
    wrong = running.taker()
    wrong.key = dns.tsig.Key("one.example", b"x" * 32, "hmac-sha256")
    with pytest.raises(dns.tsig.PeerBadSignature):
        wrong.take()
    wrong.key = dns.tsig.Key("three.example", SECRETS["one"], "hmac-sha256")
    with pytest.raises(dns.tsig.PeerBadKey):
        wrong.take()
    wrong.key = KEYS["two"]
    assert refused(wrong) == "Zone transfer error: REFUSED"
    for zone in ("secret.rpz.example", "none.rpz.example", "domains.rpz.example", "rpz.example"):
        assert refused(running.taker(zone)) == "Zone transfer error: REFUSED"
    for reason in ("unsigned", "signature", "key", "address", "zone"):
        assert f"transfer_refused reason={reason} " in running.log()
    stranger = running.taker()
    stranger.source = "127.0.3.1"
    with pytest.raises(OSError):  # noqa: PT011 - there is nobody to say anything
        stranger.take()
    assert running.product.until(lambda: counted(running, "dns_transfer_refused") >= 9, 10) < 10


def test_a_list_that_never_loaded_is_no_empty_zone(running):
    """A resolver that took one would let everything pass; it is told to come again, and keeps what it has."""
    assert refused(running.taker("absent.rpz.example")) == "Zone transfer error: SERVFAIL"


def test_how_zones_stand_is_told_without_a_name(running):
    """To the command line, and to Prometheus."""
    serial = running.taker().take().serial
    running.product.until(lambda: running.product.status()["zones"]["open"]["serial"] == serial, 10)
    zones = running.product.status()["zones"]
    assert set(zones) == {"open", "secret"}
    assert running.product.metric('filterproxy_zone_serial{list="open"}') == serial
    assert running.product.metric('filterproxy_zone_unenforceable{list="secret"}') == 0
    command = [sys.executable, "-m", "filterproxy", "lists", "status", "-c", str(running.product.config)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    assert f"open: zone: serial {serial}, {zones['open']['records']} records, unenforceable: nothing" in said
    assert "example" not in said


def counted(running: Running, name: str) -> int:
    return int(running.product.status()["counts"]["events"][name])


def test_a_confidential_list_goes_to_whom_an_audited_setting_names(running):
    """And the log tells who that is, with every start."""
    assert set(running.taker("secret.rpz.example", "two").take().policy) == {"secret.example", "*.secret.example"}
    assert "transfer_receivers list=secret confidential=True receivers=two" in running.log()
    assert "secret.example" not in running.log()


@pytest.mark.skipif(shutil.which("kdig") is None, reason="kdig is not installed")
def test_kdig_takes_a_zone(running):
    """Another implementation, which checks certificate and signatures by itself."""
    command = [
        "kdig", "@127.0.0.1", "-p", str(running.port), "-b", "127.0.0.1", f"+tls-ca={running.authority.ca}",
        f"+tls-hostname={NAME}", "-y", f"hmac-sha256:one.example:{base64.b64encode(SECRETS['one']).decode()}",
        "AXFR", "open.rpz.example",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "*.open.example.open.rpz.example." in found.stdout, found.stderr
    assert "WARNING" not in found.stdout + found.stderr


def test_a_certificate_is_replaced_while_zones_are_taken(running):
    """New connections see the new one, and one that was there goes on."""
    taker = running.taker().take()
    first = taker.certificate
    with taker.connected() as sock:
        certify(running.folder, running.authority)
        running.product.until(lambda: running.taker().take().certificate != first, 10)
        query, _ = dns.xfr.make_query(taker.zone, serial=None, keyring=taker.key)
        send(sock, query.to_wire())
        assert dns.message.from_wire(receive(sock), keyring=taker.key, request_mac=query.mac or b"", xfr=True).answer
    (running.folder / "transfer.pem").write_text("half")
    running.product.until(lambda: "dns_certificate_refused" in running.log(), 10)
    assert running.taker().take().policy
    certify(running.folder, running.authority)


def test_what_an_appeal_frees_is_free_with_other_resolvers_too(running):
    """The override takes the entry out of the zone, and its revocation puts it back: both are told at once."""
    receipt = appealed(running.product, "one.example")
    with Listener(running.notify) as listener:
        running.product.ask(do="appeals.decide", receipt=receipt, decision="grant")
        running.product.until(lambda: listener.heard, 5)
    assert "one.example" not in running.taker().take().policy
    (override,) = running.product.ask(do="overrides.list")["overrides"]
    running.product.ask(do="overrides.revoke", id=override["id"])
    running.product.until(lambda: "one.example" in running.taker().take().policy, 5)


def appealed(product: Product, address: str) -> str:
    """File an appeal with the form, and return its receipt number."""
    connection = http.client.HTTPConnection("127.0.0.1", product.portal, timeout=10)
    try:
        body = urlencode({"address": address, "message": "Please look again."})
        connection.request("POST", "/appeal", body, {"Content-Type": "application/x-www-form-urlencoded"})
        found = re.search(r"FP-\w{4}-\w{4}", connection.getresponse().read().decode())
    finally:
        connection.close()
    assert found is not None
    return found[0]


def test_a_process_that_is_killed_gives_the_same_zone_again(running):
    """Under the same serial: nobody takes it a second time."""
    serial = running.taker().take().serial
    assert running.product.process is not None
    before = children(running.product.process.pid)["transfer"]
    os.kill(before, signal.SIGKILL)
    running.product.until(lambda: running.product.pid("transfer") not in (before, None), 20)
    running.product.until(running.product.ready, 20)
    assert running.taker().take().serial == serial


def test_a_reload_gives_a_list_to_others(running):
    """Who it names now may have it, who was named before may not, and it is noted."""
    text = running.product.config.read_text()
    running.product.config.write_text(text.replace('rpz_receivers = ["two"]', 'rpz_receivers = ["one"]'))
    assert running.product.process is not None
    running.product.process.send_signal(signal.SIGHUP)
    running.product.until(lambda: " reloaded" in running.log(), 60)
    running.product.until(running.product.ready, 30)
    assert set(running.taker("secret.rpz.example").take().policy) == {"secret.example", "*.secret.example"}
    assert refused(running.taker("secret.rpz.example", "two")) == "Zone transfer error: REFUSED"
    assert "transfer_receivers list=secret confidential=True receivers=one" in running.log()
