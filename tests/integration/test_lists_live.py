"""Lists over https in the running product: in force, told of, refused, and in force again after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from tests.conftest import ROOT, have

from .nginx import Source, source
from .product import Product, upstream

pytestmark = have("nginx", "nginx")

MORE = """
[inspection]
enabled = false
[[lists]]
id = "late"
source = "{site}/late"
format = "domains"
fetch = {{ ca = "{ca}", private = true, timeout = "25s" }}
[[lists]]
id = "web"
source = "{site}/web"
format = "domains"
fetch = {{ ca = "{ca}", private = true, timeout = "5s" }}
[[lists]]
id = "hidden"
source = "{site}/hidden?token=invented-token"
format = "domains"
confidential = true
fetch = {{ ca = "{ca}", private = true, timeout = "5s" }}
"""


def lines(*names: str) -> bytes:
    return "".join(f"{name}.example\n" for name in names).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with source(tmp_path_factory.mktemp("source")) as found:
        found.put(lines("web-one", "web-two"), "web")
        found.put(lines("hidden-one", "hidden-two"), "hidden")
        found.put(lines("late-one"), "late")
        yield found


@pytest.fixture(scope="module")
def product(site: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that runs for all tests of this file; one list's source stalls at its first start."""
    made = Product(tmp_path_factory.mktemp("product"))
    made.config.write_text(made.config.read_text() + MORE.format(site=site.url("").rstrip("/"), ca=site.ca.pem))
    site.fail("stall", "late")
    with upstream(made.upstream):
        try:
            yield made
        finally:
            made.kill()


def run(product: Product, *arguments: str) -> tuple[int, str]:
    """Type a command, and return its exit code and what it printed."""
    command = [sys.executable, "-m", "filterproxy", "lists", *arguments, "-c", str(product.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def status(product: Product) -> dict[str, dict[str, object]]:
    rows = [json.loads(line) for line in run(product, "status", "--json")[1].splitlines()]
    return {row["id"]: row for row in rows}


def test_a_source_that_stalls_at_the_start_keeps_no_other_list_waiting(product, site):
    """The first bundle holds every list but that one, once its time is over; that one comes when it can."""
    product.start(wait=False)
    begun = time.monotonic()
    product.until(lambda: product.rcode("bad.example", 0.2) == 3, 30)
    taken = time.monotonic() - begun
    assert taken < 15
    assert product.rcode("web-one.example") == 3
    product.until(lambda: status(product)["late"]["state"] == "never", 20)
    assert "stalled" in str(status(product)["late"]["reason"])
    site.put(lines("late-one"), "late")
    assert run(product, "refresh", "late")[0] == 0
    assert product.rcode("late-one.example") == 3


def test_dns_blocks_what_an_https_list_says(product, site):
    """Open or confidential, and nothing beside it."""
    product.until(product.ready, 30)
    assert [product.rcode(f"{name}.example") for name in ("web-one", "web-two", "hidden-one")] == [3, 3, 3]
    assert product.answers("web-three.example") == 1


def test_a_difference_is_told_before_it_takes_force(product, site):
    """Names of the open list, numbers of the confidential one; then a refresh puts it in force."""
    site.put(lines("web-two", "web-three"), "web")
    site.put(lines("hidden-two", "hidden-three", "hidden-four"), "hidden")
    code, said = run(product, "diff", "web", "hidden")
    assert (code, said.splitlines()) == (0, [
        "web: 2 before, 2 after, 1 added, 1 removed, 0 bad lines, 0 unenforceable, 0 quarantined",
        "  + web-three.example [domain, tree]",
        "  - web-one.example [domain, tree]",
        "hidden: 2 before, 3 after, 2 added, 1 removed, 0 bad lines, 0 unenforceable, 0 quarantined",
        "  + 2 of a confidential list, not shown",
        "  - 1 of a confidential list, not shown",
    ])  # fmt: skip
    assert (product.rcode("web-one.example"), product.answers("web-three.example")) == (3, 1)
    code, said = run(product, "refresh", "web", "hidden")
    assert (code, "web" in said, "hidden-two" in said) == (0, True, False)
    assert (product.answers("web-one.example"), product.rcode("web-three.example")) == (1, 3)
    assert (product.answers("hidden-one.example"), product.rcode("hidden-four.example")) == (1, 3)
    code, said = run(product, "diff", "--json", "web")
    assert (code, json.loads(said)["added_names"], json.loads(said)["added"]) == (0, [], 0)
    found = status(product)
    assert [found["web"][key] for key in ("state", "entries", "added", "removed", "format", "refused")] == [
        "ok", 2, 1, 1, "domains", 0
    ]  # fmt: skip
    assert [found["hidden"][key] for key in ("state", "entries", "added", "removed")] == ["ok", 3, 2, 1]


def test_a_fault_is_told_everywhere_and_the_old_list_stays(product, site):
    """Exit code, status, metrics and the log say so; no word of the list or of its URL is among them."""
    site.fail("500", "hidden")
    assert run(product, "diff", "hidden") == (1, "hidden: not read\n  would be refused: localhost: answered 500\n")
    assert run(product, "refresh", "hidden")[0] == 1
    assert product.rcode("hidden-two.example") == 3
    found = status(product)["hidden"]
    assert (found["state"], found["reason"], found["refused"], found["entries"]) == (
        "refused", "localhost: answered 500", 1, 3
    )  # fmt: skip
    assert run(product, "status")[0] == 1
    product.until(lambda: product.metric('filterproxy_list_refused_total{list="hidden"}') == 1, 15)
    assert product.metric('filterproxy_alerts_total{kind="list_refused",list="hidden"}') == 1
    log = product.log.read_text()
    assert "list hidden: refused: localhost: answered 500; the last one stays in force" in log
    assert "alert kind=list_refused list=hidden" in log
    assert "hidden-" not in log
    assert "invented-token" not in log


def test_a_restart_without_the_source_has_the_list_in_force(product, site):
    """What came over https once is on disk; where its source is away it blocks from the first answer on."""
    site.fail("404", "web")
    assert product.stop() == 0
    product.start()
    assert [product.rcode(f"{name}.example") for name in ("web-three", "hidden-two", "late-one")] == [3, 3, 3]
    product.until(lambda: status(product)["web"]["state"] == "refused", 15)
    assert product.rcode("web-three.example") == 3
    site.heal("web")
    site.heal("hidden")
    assert run(product, "refresh")[0] == 0
    product.until(lambda: run(product, "status")[0] == 0, 15)


def test_a_list_whose_licence_has_ended_is_wiped_at_the_next_start(product, site):
    """It blocks nothing, its segment is gone from the disk, and an alert says so; the others go on."""
    [before] = [part["file"] for part in _parts(product) if part["name"] == "list:web"]
    yesterday = date.today() - timedelta(days=2)  # noqa: DTZ011 - over in every time zone
    text = product.config.read_text().replace('id = "web"', f'id = "web"\nlicence_until = {yesterday}')
    product.config.write_text(text)
    assert product.stop() == 0
    product.start()
    product.until(lambda: product.answers("web-three.example") == 1, 15)
    assert product.rcode("hidden-two.example") == 3
    assert not (product.state / "bundle" / before).exists()
    assert [part for part in _parts(product) if part["name"].endswith(":web")] == []
    found = status(product)["web"]
    assert (found["state"], found["reason"]) == ("ended", f"its licence ended on {yesterday}")
    assert run(product, "refresh", "web")[0] == 1
    assert product.answers("web-three.example") == 1
    product.until(lambda: product.metric('filterproxy_alerts_total{kind="licence_ended",list="web"}') == 1, 15)


def _parts(product: Product) -> list[dict[str, str]]:
    signed = json.loads((product.state / "bundle" / "manifest.json").read_text())
    found: list[dict[str, str]] = signed["manifest"]["parts"]
    return found
