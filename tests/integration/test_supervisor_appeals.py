"""An appeal from the form to the decision, in the running product; and the product on a disk that is full."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from filterproxy.errors import ControlError
from tests.conftest import ROOT

from .product import Product, upstream


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that runs for all tests of this file."""
    made = Product(tmp_path_factory.mktemp("appeals"))
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


def test_a_granted_page_is_spared_within_a_second_and_it_alone(product: Product) -> None:
    """What was asked for is in force when the command returns; its neighbour stays blocked."""
    receipt = _file(product, "http://mixed.example/listed/page.html")
    begun = time.monotonic()
    reply = product.ask(do="appeals.decide", receipt=receipt, decision="grant", reason="It is a library.")
    took = time.monotonic() - begun
    assert reply["state"] == "granted"
    assert took < 1.0
    assert product.get("http://mixed.example/listed/page.html")[0] != 403
    assert product.get("http://mixed.example/listed/other.html")[0] == 403
    [override] = [row for row in product.ask(do="overrides.list")["overrides"] if row["receipt"] == receipt]
    product.ask(do="overrides.revoke", id=override["id"])
    assert product.get("http://mixed.example/listed/page.html")[0] == 403


def test_a_granted_host_is_answered_by_dns_and_no_name_below_it(product: Product) -> None:
    """A domain entry is spared for the exact host that was asked about, seen in DNS at once."""
    assert product.rcode("library.bad.example") == 3
    receipt = _file(product, "library.bad.example")
    assert product.ask(do="appeals.show", receipt=receipt)["appeal"]["blocked_by"] == ["domains"]
    product.ask(do="appeals.decide", receipt=receipt, decision="grant")
    assert product.answers("library.bad.example") == 1
    # The name above is still blocked, but no longer by NXDOMAIN, which would deny everything below it (RFC 8020).
    assert (product.answers("x.library.bad.example"), product.answers("bad.example")) == (0, 0)


def test_a_mandatory_list_needs_two_people_and_a_reference(product: Product) -> None:
    """One person's word changes nothing, nor the same person's twice; the second person's does."""
    receipt = _file(product, "http://law.example/page.html")
    code, said = _decide(product, receipt, "--by", "ada")
    assert (code, said.count("\n")) == (2, 1)
    assert "list law is mandatory" in said
    assert "--reference" in said
    code, said = _decide(product, receipt, "--by", "ada", "--reference", "AZ 1/26")
    assert code == 0
    assert f"filterproxy appeals decide {receipt} grant --by THEIR-NAME" in said
    assert product.get("http://law.example/page.html")[0] == 451
    code, said = _decide(product, receipt, "--by", "Ada")
    assert code == 2
    assert "approved already" in said
    code, said = _decide(product, receipt, "--by", "grace")
    assert code == 0
    assert "Granted" in said
    assert product.get("http://law.example/page.html")[0] != 451
    [override] = product.ask(do="appeals.show", receipt=receipt)["appeal"]["overrides"]
    assert override["in_force"]
    assert [name.partition(" (")[0] for name in override["approved_by"]] == ["ada", "grace"]


def test_a_rejected_appeal_changes_nothing(product: Product) -> None:
    """The list blocks as before, and a second decision is refused."""
    receipt = _file(product, "http://mixed.example/listed/other.html")
    assert product.ask(do="appeals.decide", receipt=receipt, decision="reject", reason="No.")["state"] == "rejected"
    assert product.get("http://mixed.example/listed/other.html")[0] == 403
    with pytest.raises(ControlError, match="rejected"):
        product.ask(do="appeals.decide", receipt=receipt, decision="grant")


def test_what_no_list_blocks_cannot_be_spared(product: Product) -> None:
    """The person who decides is told so, and the appeal waits."""
    receipt = _file(product, "http://good.example/")
    with pytest.raises(ControlError, match="nothing to spare"):
        product.ask(do="appeals.decide", receipt=receipt, decision="grant")


def test_an_override_survives_every_process(product: Product) -> None:
    """What was granted is spared after a restart of the whole product, from the first answer on."""
    assert product.answers("library.bad.example") == 1
    assert product.stop() == 0
    product.start()
    assert (product.answers("library.bad.example"), product.answers("bad.example")) == (1, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk: run the tests as root")
def test_a_full_disk_stops_nothing_and_is_told(tmp_path: Path) -> None:
    """Filtering goes on, the metrics and doctor's source say so, and the counts are written once there is room."""
    made = Product(tmp_path)
    made.state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(made.state)]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here: run the tests with CAP_SYS_ADMIN")
    try:
        with upstream(made.upstream):
            made.start()
            _fill(made.state / "ballast")
            assert made.rcode("bad.example") == 3
            made.until(lambda: made.metric("filterproxy_journal_failing") == 1, 10)
            (made.folder / "d.domains").write_text("bad.example\n" + "".join(f"n{i}.example\n" for i in range(3)))
            with pytest.raises(ControlError, match="cannot be written"):
                made.ask(do="refresh", lists=["domains"])
            assert (made.rcode("bad.example"), made.rcode("good.example")) == (3, 0)
            assert made.get("http://mixed.example/listed/page.html")[0] == 403
            assert made.page(made.portal, "/healthz")[0] == 200
            assert made.log.read_text().count("journal_not_written") == 1
            (made.state / "ballast").unlink()
            made.until(lambda: made.metric("filterproxy_journal_failing") == 0, 10)
            made.ask(do="refresh", lists=["domains"])
            assert made.rcode("n1.example") == 3
            assert made.stop() == 0
    finally:
        made.kill()
        time.sleep(0.2)
        subprocess.run(["umount", str(made.state)], check=True)


def _decide(product: Product, receipt: str, *more: str) -> tuple[int, str]:
    """Grant with the command line; return its exit code and what it said."""
    command = [sys.executable, "-m", "filterproxy", "appeals", "decide", receipt, "grant", "-c", str(product.config)]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def _file(product: Product, address: str) -> str:
    """File an appeal with the form, as somebody who types the address, and return the receipt number."""
    connection = http.client.HTTPConnection("127.0.0.1", product.portal, timeout=10)
    try:
        body = urlencode({"address": address, "message": "Please look again."})
        connection.request("POST", "/appeal", body, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    found = re.search(r"FP-\w{4}-\w{4}", text)
    assert found is not None, (response.status, text)
    return found[0]
