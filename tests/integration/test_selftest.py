"""The self-test before running products: one that does what its lists say, and several that do not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filterproxy.keys import Keys
from filterproxy.lists.canaries import canaries_of
from filterproxy.settings import load
from tests.conftest import ROOT

from .product import Product, upstream

MORE = """
[[lists]]
id = "inside"
title = "What's <inside>"
source = "{f}/l.urls"
format = "urls"
https = "inspect"
www = true
[[lists]]
id = "hosts"
source = "{f}/hosts"
format = "hosts"
dns = "notice"
http_status = 404
basis = "subscriber"
[[lists]]
id = "wide"
source = "{f}/l.urls"
format = "urls"
https = "block-host"
root = "site"
dns = "null"
[[lists]]
id = "spares"
source = "{f}/hosts"
format = "hosts"
action = "allow"
[[lists]]
id = "rules"
source = "{f}/rules"
format = "adblock"
dns = "refused"
[[lists]]
id = "flags"
source = "{f}/words"
format = "keywords"
[[lists]]
id = "warns"
source = "{f}/words"
format = "keywords"
action = "warn"
[[lists]]
id = "words"
source = "{f}/words"
format = "keywords"
action = "block"
confidential = true
"""


def started(folder: Path, more: str = "", change: tuple[str, str] = ("", "")) -> Product:
    made = Product(folder)
    (folder / "hosts").write_text("0.0.0.0 hosted.example\n")
    (folder / "rules").write_text("||ruled.example^\n@@||fine.ruled.example^\n")
    (folder / "words").write_text("gadget\n")
    made.config.write_text(made.config.read_text().replace(*change) + more.format(f=folder))
    return made


def run(product: Product, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "filterproxy", "lists", "selftest", "-c", str(product.config)]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


def checks(done: subprocess.CompletedProcess[str], list_id: str) -> list[dict[str, Any]]:
    lists = json.loads(done.stdout)["result"]["lists"]
    found: list[dict[str, Any]] = next(item for item in lists if item["id"] == list_id)["checks"]
    return found


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product with a list of nearly every sort, that runs for all tests of this file that change nothing."""
    made = started(tmp_path_factory.mktemp("selftest"), MORE)
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


def test_all_lists_pass_and_the_result_is_signed(product: Product) -> None:
    """Through DNS and HTTP every list blocks as configured; what could not be asked is told with its reason."""
    done = run(product)
    assert (done.returncode, done.stderr, "failed:" in done.stdout) == (0, "", False), done.stdout
    [path] = (product.state / "selftest").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    record = json.loads(path.read_text())
    result = record["result"]
    assert result["summary"]["failed"] == 0
    assert {item["id"] for item in result["lists"] if item["summary"]["passed"] >= 5} == {
        "domains", "pages", "law", "inside", "hosts", "wide", "spares", "rules", "flags", "warns", "words",
    }  # fmt: skip
    assert all(check["reason"] for item in result["lists"] for check in item["checks"] if "observed" not in check)
    assert (result["generation"], result["profiles"]) == (
        product.status()["generation"], {"dns": "default", "http": "default"}
    )  # fmt: skip
    assert run(product, "--verify", path, "--key", record["key"]).returncode == 0
    path.write_text(path.read_text().replace('"outcome": "passed"', '"outcome": "not asked"', 1))
    assert run(product, "--verify", path).returncode == 1


def test_each_way_in_is_really_asked(product: Product) -> None:
    """UDP and TCP, plain http, CONNECT, and TLS that the product opens; each answer is the one configured."""
    done = run(product, "--json")
    seen = {
        name: {
            (check["how"].rpartition(" 127")[0] or check["how"], check.get("observed")) for check in checks(done, name)
        }
        for name in ("domains", "law", "inside", "hosts", "wide", "rules", "flags")
    }
    named = "403, the notice, naming the list"
    denied = "NXDOMAIN, EDE 15"
    assert {("dns udp", denied), ("dns tcp", denied), ("http", named), ("connect", named)} <= seen["domains"]
    assert ("http", "451, the notice") in seen["law"]
    assert ("https", "403, the notice, naming the list") in seen["inside"]
    assert {("dns udp", "127.0.0.1, EDE 17"), ("http", "404, the notice, naming the list")} <= seen["hosts"]
    assert {("dns udp", "0.0.0.0, EDE 15"), ("connect", "403, the notice, naming the list")} <= seen["wide"]
    assert ("dns tcp", "REFUSED, EDE 15") in seen["rules"]
    assert ("http, counters", "no list answers, flagged 1 times") in seen["flags"]


def test_nobodys_canaries_are_told_or_counted(product: Product, tmp_path: Path) -> None:
    """No name of a canary is in the record, the log or the totals; nothing is counted as the list's own."""
    before = product.status()["counts"]["verdicts"]
    done = run(product, "--output", tmp_path / "out.json")
    assert done.returncode == 0
    key = Keys.open(product.state / "keys").digest
    said = (
        (tmp_path / "out.json").read_text()
        + done.stdout
        + product.log.read_text()
        + product.page(product.metrics, "/metrics")[1]
    )
    for table in load(product.config).lists:
        found = canaries_of(table, key)
        assert all(secret not in said for secret in (found.name, found.page, found.excepted, found.term) if secret)
    assert "canary.invalid" not in said
    after = product.status()["counts"]["verdicts"]
    own = {"domains", "pages", "law", "inside", "hosts", "wide", "spares", "rules", "flags", "warns", "words"}
    assert [row for row in after if row[0] in own] == [row for row in before if row[0] in own]
    product.until(lambda: any((product.state / "journal").iterdir()), 10)
    assert all("canary" not in path.read_text() for path in (product.state / "journal").glob("*.json"))
    assert "canary" not in product.page(product.portal, "/transparency.json")[1]


def test_where_nothing_can_be_asked_nothing_is_signed(product: Product, tmp_path: Path) -> None:
    """A result that shows nothing would end as well as one that shows everything."""
    text = product.config.read_text().replace("[dns]", "[dns]\nenabled = false")
    (tmp_path / "shut.toml").write_text(text.replace("[gateway]", "[gateway]\nenabled = false"))
    command = [sys.executable, "-m", "filterproxy", "lists", "selftest", "--json", "-c", str(tmp_path / "shut.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing to ask here: DNS is not served" in done.stderr


def test_a_list_that_never_loaded_or_was_refused_fails(tmp_path: Path) -> None:
    """Exit 1: a list whose source is not there, one that grew too old, one whose last reading was refused."""
    made = started(tmp_path, change=(f'source = "{tmp_path}/d.domains"', f'source = "{tmp_path}/none"'))
    with upstream(made.upstream):
        try:
            made.start()
            (tmp_path / "u.urls").write_bytes(b"\0")
            made.ask(do="refresh", lists=["pages"])
            done = run(made, "--json")
            assert done.returncode == 1
            failed = {name: [check["observed"] for check in checks(done, name) if check["outcome"] == "failed"]
                      for name in ("domains", "pages", "law")}  # fmt: skip
            assert failed == {"domains": ["never read", "never"], "pages": ["refused"], "law": []}
            made.config.write_text(made.config.read_text().replace('id = "law"', 'id = "law"\nmax_age = "1s"'))
            old = [check for check in checks(run(made, "--json"), "law") if check["outcome"] == "failed"]
            assert [check["check"] for check in old] == ["it is in force and fresh"]
        finally:
            made.kill()


def test_a_product_that_does_not_do_what_the_file_says_fails(tmp_path: Path) -> None:
    """What is configured and not in force shows: another answer, another status, another title."""
    made = started(tmp_path)
    with upstream(made.upstream):
        try:
            made.start()
            text = made.config.read_text()
            changed = text.replace('id = "domains"', 'id = "domains"\ndns = "null"\nede = 17').replace(
                'id = "pages"', 'id = "pages"\ntitle = "Another"\nhttp_status = 404'
            )
            made.config.write_text(changed)
            done = run(made)
            assert done.returncode == 1
            assert "expected 0.0.0.0, EDE 17; saw NXDOMAIN, EDE 15" in done.stdout
            assert "expected 404, the notice, naming the list; saw 403, the notice" in done.stdout
        finally:
            made.kill()


def test_what_cannot_be_asked_here_is_not_passed(tmp_path: Path) -> None:
    """No DNS, a list that this machine's profile does not subscribe to: each is told with its reason."""
    made = started(
        tmp_path,
        '[[profiles]]\nid = "here"\nnetworks = ["127.0.0.0/8"]\nlists = ["pages"]\n',
        ("[dns]", "[dns]\nenabled = false"),
    )
    try:
        made.start()
        done = run(made, "--json")
        assert done.returncode == 0, done.stdout
        reasons = {name: {check["reason"] for check in checks(done, name) if check["outcome"] == "not asked"}
                   for name in ("domains", "pages", "law")}  # fmt: skip
        assert reasons["domains"] == {
            "DNS is not served: dns.enabled",
            "this machine is of the profile here, which does not subscribe to the list",
        }
        assert any(check["how"] == "http" and check["outcome"] == "passed" for check in checks(done, "pages"))
        assert any(check["how"] == "http" and check["outcome"] == "passed" for check in checks(done, "law"))
    finally:
        made.kill()
