"""Confidential lists of every format, each word of theirs marked: where no mark may ever be seen."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filterproxy.alerts import Alert, Alerts
from filterproxy.core.model import ListFormat
from filterproxy.errors import SourceError
from filterproxy.lists import difference
from filterproxy.lists.refresh import Refresher
from filterproxy.runtime import record
from filterproxy.settings import Settings
from tests.conftest import ROOT
from tests.policies import NOW
from tests.seals import OPENING, SEALS

from .nginx import raw
from .product import Product, upstream

HEX = "c0ffee5ec12e7"
MARKS = ("zqmark", HEX)
"""Each stands in every listed name, path, word, expression and hash below, in bad lines and in comments."""
OWN = "own-domain.example"
CUSTOMER = "customer.example"
HELD = f"zqmark-held.{OWN}"
HIT = f"zqmark-hit.{CUSTOMER}"
SEARCHED = ("keywords", "hashes")
"""Formats whose entries fall on no name."""

GOOD = {
    "urls": f"# zqmark\nhttp://zqmark-a.example/zqmark?zqmark=1\n{HELD}/\n{HIT}/zqmark\nzqmark b\n",
    "domains": f"# zqmark\nzqmark-a.example\n*.zqmark-b.example\n{HELD}\n{HIT}\nzqmark/c\nzqmark\n",
    "wildcard": f"# zqmark\n*.zqmark-a.example\nzqmark*.b.example\n{HELD}\n{HIT}\na**zqmark.example\n*.zqmark\n",
    "hosts": f"# zqmark\n0.0.0.0 zqmark-a.example {HELD} {HIT}\n192.0.2.1 zqmark-b.example\nzqmark\n0.0.0.0 zqmark,c\n",
    "adblock": (
        f"! zqmark\n||zqmark-a.example^\n||{HELD}^\n||{HIT}^\n@@||zqmark-b.example^\n/zqmark[0-9]+\\./\n-zqmark-\n"
        "||zqmark-c.example^$denyallow=zqmark.zqmark-c.example\n||d.example^$domain=zqmark.example\n/zqmark(/\n"
        "/(?=zqmark)x/\nzqmark.example##.zqmark\n||zqmark e^\n"
    ),
    "dnsmasq": (
        f"# zqmark\nlocal=/zqmark-a.example/\naddress=/{HELD}/{HIT}/0.0.0.0\nlocal=/zqmark*.b.example/\n"
        "address=/zqmark-c.example/192.0.2.1\nzqmark=1\nlocal=/zqmark/\n"
    ),
    "rpz": (
        "$TTL 60\n@ SOA zqmark.example. zqmark.zqmark.example. 1 1 1 1 1\n@ NS localhost.\nzqmark-a.example CNAME .\n"
        f"{HELD} CNAME .\n{HIT} CNAME *.\nzqmark-b.example CNAME rpz-passthru.\nzqmark-c.example A 192.0.2.1\n"
        "zqmark-d.example CNAME zqmark.garden.example.\nzqmark..example CNAME .\nzqmark CNAME .\nzqmark ; zqmark\n"
    ),
    "csv": (
        f'url,zqmark\nhttp://zqmark-a.example/zqmark,zqmark\n{HELD}/,\n"{HIT}/zqmark,""b""",zqmark\nzqmark c,zqmark\n'
        "zqmark-d.example/,zqmark,zqmark\n"
    ),
    "keywords": "# zqmark\nzqmark,word,3\nzqmarks,substring\nzqmarky,query-term\nzqmark,anywhere\nzqmark,word,zqmark\n",
    "hashes": (
        f"# zqmark\nmd5:{HEX:0<32}\n{HEX:1<64}\npdq:{HEX + '0123456789abcdef' * 4:.64}\nzqmark:{HEX:0<32}\nmd5:{HEX}\n"
        f"{HEX:g<32}\n"
    ),
}  # fmt: skip
"""What each list says first. A squidGuard list is a tree: `write` makes it."""
TREE = {
    "zqmark-games/domains": f"zqmark-a.example\n{HELD}\n{HIT}\nzqmark c\n",
    "zqmark-games/urls": "zqmark-b.example/zqmark\nzqmark d/\n",
    "zqmark-games/expressions": "zqmark[0-9]\n(zqmark\n(?=zqmark)e\n",
    "zqmark-games/domains.diff": "+zqmark-f.example\n-zqmark-a.example\n?zqmark\n",
    "zqmark.txt": "zqmark\n",
}
MORE = {
    "urls": "zqmark-z.example/zqmark\n",
    "adblock": "||zqmark-z.example^\n",
    "hosts": "0.0.0.0 zqmark-z.example\n",
    "dnsmasq": "local=/zqmark-z.example/\n",
    "rpz": "zqmark-z.example CNAME .\n",
    "csv": "zqmark-z.example/zqmark,\n",
    "keywords": "zqmarkz\n",
    "hashes": f"md5:{HEX:2<32}\n",
}
"""A line more; a name stands for itself elsewhere."""
FOREIGN = "".join(f"zqmark {HEX} ({number}) \\ \u00ff\n" for number in range(30))
"""What is a list of no format, but of terms."""
NO_TERMS = f"zqmark {HEX},anywhere\n" * 30
FORMATS = [form.value for form in ListFormat]


def write(folder: Path, form: str, content: str | None = None, more: str = "") -> Path:
    """Write a list's source and return it."""
    path = folder / f"{form}.list"
    if form != "squidguard":
        path.write_text((GOOD[form] if content is None else content) + more)
        return path
    for name, text in TREE.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text((text if content is None else content) + (more if name.endswith("domains") else ""))
    return path


def unseen(seen: object, where: str) -> None:
    """Assert that no mark is in a text or in bytes, in whatever case."""
    text = seen if isinstance(seen, bytes) else str(seen).encode(errors="surrogatepass")
    for mark in MARKS:
        at = text.lower().find(mark.encode())
        assert at < 0, f"{mark} in {where}: {text[max(0, at - 200) : at + 200]!r}"


def nothing_on_disk(state: Path) -> None:
    files = [path for path in state.rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        unseen(path.read_bytes(), str(path))
        unseen(path.name, "the name of a file")


def settings_of(folder: Path, form: str) -> Settings:
    more = {"subdomains": False} if form == "hosts" else {}
    return Settings.model_validate({
        "runtime": {"state": str(folder / "state")},
        "operator": {"domains": [OWN]},
        "alerts": {"domains": [CUSTOMER]},
        "lists": [
            {"id": "secret", "format": form, "source": str(write(folder, form)), "confidential": True, "root": "site",
             **more},
        ],
    })  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_no_word_of_a_confidential_list_leaves_the_reading_of_it(form, tmp_path, caplog):
    """Representations, exceptions, logs, alerts, status, differences and the state folder hold no mark."""
    caplog.set_level(logging.DEBUG)
    settings, told = settings_of(tmp_path, form), list[Alert]()
    (tmp_path / "state").mkdir()
    alerts, table = Alerts(settings), settings.lists[0]

    def tell(alert: Alert) -> None:
        told.append(alert)
        alerts.raise_(alert)

    refresher = Refresher(settings, SEALS, tell)
    reading = refresher.read(table, NOW)
    assert reading is not None
    shares = reading.compiled.shares
    assert shares.entries
    assert shares.bad_lines
    unseen(repr(reading), "a reading's representation")
    refresher.refresh(settings.lists, NOW)
    write(tmp_path, form, more=MORE.get(form, "zqmark-z.example\n"))
    found = [difference.of(refresher, table, NOW, frozenset(), 100)]
    assert (found[0]["refused"], found[0]["added"]) == ("", 1), found
    refresher.refresh(settings.lists, NOW)
    if form not in SEARCHED:
        assert refresher.manifest.statuses[0].held
        assert {"domain", "quarantine"} <= {alert.kind for alert in told}
    for content in (NO_TERMS if form == "keywords" else FOREIGN, "", "\0zqmark", "zqmark" * 20_000 + "\n"):
        write(tmp_path, form, content)
        found.append(difference.of(refresher, table, NOW, frozenset(), 100))
        status = refresher.refresh(settings.lists, NOW).statuses[0]
        assert status.state == "refused", content[:50]
        try:
            refresher.read(table, NOW)
        except SourceError:
            unseen(traceback.format_exc(), "a traceback")
    policy = alerts_of(refresher, settings)
    alerts.close(1)
    unseen(repr((refresher.manifest, refresher.known(table), told, found, policy)), "what is told")
    unseen(json.dumps([found, refresher.manifest.as_dict(), [dict(alert.facts) for alert in told]]), "an answer")
    unseen([(alert.text, alert.key) for alert in told], "an alert")
    unseen(caplog.text, "the log")
    unseen([record.__dict__ for record in caplog.records], "the log's records")
    nothing_on_disk(tmp_path / "state")


def alerts_of(refresher: Refresher, settings: Settings) -> list[dict[str, Any]]:
    """Return what operators are told of the list that is in force."""
    from filterproxy.lists.offline import compile_all

    policy = compile_all(settings, SEALS, OPENING)
    return record.internal(policy, settings, refresher.manifest, NOW)


MANY = """
[inspection]
enabled = false
[log]
level = "debug"
[operator]
domains = ["{own}"]
[alerts]
domains = ["{customer}"]
webhook = "http://127.0.0.1:{hook}/"
"""
LIST = """
[[lists]]
id = "of-{form}"
source = "{source}"
format = "{form}"
confidential = true
root = "site"
"""


@pytest.fixture
def posted() -> Iterator[tuple[int, list[bytes]]]:
    """Take what is posted to a webhook."""
    taken: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        connection.settimeout(10)
        body = b""
        while part := connection.recv(65536):
            body += part
            head, _, rest = body.partition(b"\r\n\r\n")
            size = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if size and len(rest) >= size[0]:
                break
        taken.append(body)
        connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with raw(answer) as port:
        yield port, taken


def run(product: Product, *arguments: str) -> str:
    """Type a command, and return all that it said."""
    command = [sys.executable, "-m", "filterproxy", "lists", *arguments, "-c", str(product.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


def test_no_word_of_a_confidential_list_leaves_the_product(tmp_path, posted):
    """Eleven lists, from start to refusal, at the finest log: commands, pages, metrics, mail, logs and files."""
    port, bodies = posted
    product = Product(tmp_path)
    text = product.config.read_text() + MANY.format(own=OWN, customer=CUSTOMER, hook=port)
    for form in FORMATS:
        text += LIST.format(form=form, source=write(tmp_path, form))
    product.config.write_text(text)
    said, ids = list[str](), [f"of-{form}" for form in FORMATS]
    with upstream(product.upstream):
        try:
            product.start()
            rows = {row["id"]: row for row in map(json.loads, run(product, "status", "--json").splitlines())}
            assert {form: rows[f"of-{form}"]["state"] for form in FORMATS} == dict.fromkeys(FORMATS, "ok")
            assert [form for form in FORMATS if form not in SEARCHED and not rows[f"of-{form}"]["quarantined"]] == []
            assert product.rcode("zqmark-a.example") == 3
            assert product.answers("zqmark7.example") == 0
            held = [json.loads(line) for line in run(product, "quarantine", "--json").splitlines()]
            assert {row["list"] for row in held} == {f"of-{form}" for form in FORMATS if form not in SEARCHED}
            said += [str(rows), str(held), run(product, "quarantine")]
            said.append(run(product, "decide", held[0]["id"], "release", "--note", "invented"))
            for form in FORMATS:
                write(tmp_path, form, more=MORE.get(form, "zqmark-z.example\n"))
            said += [run(product, "diff", *ids), run(product, "diff", "--json", *ids), run(product, "refresh")]
            assert said[-3].count("1 added") == len(FORMATS), said[-3]
            assert product.rcode("zqmark-z.example") == 3
            for form in FORMATS:
                write(tmp_path, form, NO_TERMS if form == "keywords" else FOREIGN)
            said += [run(product, "diff"), run(product, "refresh"), run(product, "status"), str(product.status())]
            product.until(lambda: product.metric('filterproxy_list_refused_total{list="of-rpz"}') == 1, 15)
            for number, path in [
                (product.metrics, "/metrics"), (product.console, "/"), (product.portal, "/transparency"),
                (product.portal, "/transparency.json"), (product.portal, "/transparency.csv"),
            ]:  # fmt: skip
                status, page = product.page(number, path)
                assert status == 200
                said.append(page)
            nothing_on_disk(product.state)
            assert product.stop() == 0
        finally:
            product.kill()
    for text in said:
        unseen(text, "what was told")
    assert all(any(kind in body for body in bodies) for kind in (b"domain", b"quarantine", b"list_refused"))
    unseen(b"".join(bodies), "the webhook")
    log = product.log.read_text()
    assert "alert kind=domain list=of-adblock" in log
    unseen(log, "the log")
    nothing_on_disk(product.state)
