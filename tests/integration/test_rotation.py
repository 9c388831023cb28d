"""Keys are rotated in the running product: no answer is lost, what is blocked stays blocked, and a kill leaves a whole.

And no process that meets the network has in its memory what opens sealed entries or tokens.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from filterproxy.errors import ControlError
from filterproxy.keys import ROTATED, Keys
from filterproxy.runtime import client
from tests.conftest import ROOT

from .product import DOMAINS, Load, Product, upstream

MORE = """
[[lists]]
id = "words"
source = "{f}/w.keywords"
format = "keywords"
action = "block"
[[profiles]]
id = "all"
networks = ["127.0.0.0/8"]
deny = ["own.example"]
"""
MANY = "".join(f"name{number:06d}.example\n" for number in range(60_000))
SPARED, BLOCKED = "http://mixed.example/listed/other.html", "http://mixed.example/listed/page.html"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """A product with two workers and a list of every sort, that is ended whatever happens."""
    made = Product(tmp_path, workers=2)
    made.config.write_text(made.config.read_text() + MORE.format(f=tmp_path))
    (tmp_path / "w.keywords").write_text("marzipane\n")
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


def keys_of(product: Product) -> Keys:
    return Keys.open(product.state / "keys")


def rotate(product: Product, name: str) -> str:
    """Rotate a key by the command line, and return what it said."""
    command = [sys.executable, "-m", "filterproxy", "admin", "rotate-key", name, "-c", str(product.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def judges(product: Product) -> None:
    """What each sort of list blocks is blocked, what an override spares is spared, and so is what no list names."""
    names = ("bad.example", "x.bad.example", "own.example", "good.example")
    assert [product.answers(name) for name in names] == [0, 0, 0, 1]
    assert product.get(BLOCKED)[0] == 403
    assert product.get(SPARED)[0] != 403
    assert product.get("http://law.example/page.html")[0] == 451
    assert product.get("http://good.example/marzipane")[0] == 403


def grant(product: Product, body: dict[str, str]) -> None:
    """File an appeal with the form, and grant it."""
    status, text = post(product, body)
    found = re.search(r"FP-\w{4}-\w{4}", text)
    assert found is not None, (status, text)
    assert product.ask(do="appeals.decide", receipt=found[0], decision="grant", reason="Asked.")["state"] == "granted"


def post(product: Product, body: dict[str, str]) -> tuple[int, str]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", product.portal, timeout=10)
    try:
        connection.request("POST", "/appeal", urlencode(body), {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def token_of(product: Product, url: str) -> str:
    """Return the token of the notice that stands in the place of `url`."""
    found = re.search(r'name="token" value="([^"]+)"', product.get(url)[1].decode())
    assert found is not None
    return found[1]


def test_every_key_is_rotated_without_an_outage(product: Product) -> None:
    """Under load no answer is lost or wrong; all is judged as before; of the old key nothing is left in force."""
    grant(product, {"address": SPARED, "message": "Please."})
    judges(product)
    first = keys_of(product)
    segments = {path.name for path in (product.state / "bundle").glob("*.seg")}
    for name in (*ROTATED, "digest"):
        before, status = keys_of(product), product.status()
        with Load(product) as load, Load(product, "own.example") as other:
            said = rotate(product, name)
            judges(product)
        assert (load.wrong, other.wrong) == (0, 0)
        assert max(load.silence, other.silence) < 0.45, "a question whose answer is lost waits for half a second"
        assert min(load.answered, other.answered) > 20
        assert said.startswith(f"The {name} key is a new one: ")
        after = keys_of(product)
        assert after.next == {}
        assert (after.ids != before.ids) is (name != "token")
        assert [item["pid"] for item in product.status()["processes"]] == [item["pid"] for item in status["processes"]]
    # A list that is as it was is no list that was replaced, under whichever key.
    report = product.ask(do="refresh")
    assert [(item["id"], item["refused"]) for item in report["lists"]] == [
        (name, 0) for name in ("domains", "pages", "law", "words")
    ]
    (product.folder / "d.domains").write_text(DOMAINS + "more.example\n")
    [change] = product.ask(do="diff", lists=["domains"])["differences"]
    assert (change["added"], change["removed"], change["refused"]) == (1, 0, "")
    product.ask(do="refresh", lists=["domains"])
    assert product.rcode("more.example") == 3
    judges(product)
    assert not segments & {path.name for path in (product.state / "bundle").glob("*.seg")}
    log = product.log.read_text()
    assert log.count("key_rotation_begun") == log.count("key_rotated") == 6
    for key in (*secrets_of(first).values(), *secrets_of(keys_of(product)).values()):
        assert key.hex() not in log
    assert product.stop() == 0
    product.start()
    judges(product)


def test_what_was_sealed_before_a_rotation_still_opens(product: Product) -> None:
    """A notice shown before the token's key was rotated leads to an appeal, and so does one shown after."""
    early = token_of(product, BLOCKED)
    before = keys_of(product)
    rotate(product, "token")
    late = token_of(product, SPARED)
    for token in (early, late):
        grant(product, {"token": token, "message": "Please."})
    assert [product.get(url)[0] != 403 for url in (BLOCKED, SPARED)] == [True, True]
    assert keys_of(product).token_previous == (before.token_private,)
    kill_control(product)
    product.until(lambda: product.page(product.portal, "/healthz")[0] == 200, 20)
    assert "The notice could not be read" not in post(product, {"token": early})[1]
    assert product.metric('filterproxy_events_total{event="tokens_failed"}') == 0


def test_the_selftest_passes_and_signs_by_the_new_key(product: Product) -> None:
    """Its canaries come from the digest key, its signature from the signing key: both are the new ones at once."""
    for name in ("digest", "signing"):
        rotate(product, name)
    command = [sys.executable, "-m", "filterproxy", "lists", "selftest", "--json", "-c", str(product.config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert base64.b64encode(keys_of(product).signing_public).decode() in done.stdout


def test_one_rotation_at_a_time_and_only_of_what_can_be(product: Product) -> None:
    """A second one is refused until the first is done; so is a key that seals what cannot be sealed anew."""
    (product.folder / "d.domains").write_text(DOMAINS + MANY)
    product.ask(do="refresh", lists=["domains"], accept=True)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(rotate(product, "digest")))
    thread.start()
    product.until((product.state / "keys" / "digest.next.key").exists, 20)
    with pytest.raises(ControlError, match="rotated already"):
        product.ask(do="rotate-key", key="token")
    # Meanwhile an override is in force as fast as ever, and a list may be read.
    begun = time.monotonic()
    grant(product, {"address": "bad.example", "message": "Please."})
    assert time.monotonic() - begun < 2
    (product.folder / "u.urls").write_text("http://mixed.example/listed/fresh.html\n" + BLOCKED + "\n")
    product.ask(do="refresh", lists=["pages"], accept=True)
    thread.join()
    assert said
    assert [product.answers(name) for name in ("bad.example", "name059999.example")] == [1, 0]
    assert product.get("http://mixed.example/listed/fresh.html")[0] == 403
    for name in ("column", "mac", "nothing"):
        with pytest.raises(ControlError, match="there is no key"):
            product.ask(do="rotate-key", key=name)


@pytest.mark.parametrize("who", ["control", "supervisor"])
def test_a_kill_in_the_middle_leaves_the_old_key_or_the_new(product: Product, who: str) -> None:
    """Killed at any step of a digest key's rotation, it comes back judging, by a key that fits the bundle."""
    (product.folder / "d.domains").write_text(DOMAINS + MANY)
    product.ask(do="refresh", lists=["domains"], accept=True)
    for step in (begun, writing, written, settled):
        arrived = step(product)
        thread = threading.Thread(target=lambda: rotated(product))
        thread.start()
        product.until(arrived, 20)
        if who == "control":
            kill_control(product)
        else:
            product.kill()
        thread.join()
        if who == "supervisor":
            product.start()
            assert keys_of(product).next == {}
        product.until(product.ready, 30)
        names = ("bad.example", "name000000.example", "name059999.example", "own.example", "good.example")
        assert [product.rcode(name) for name in names] == [3, 3, 3, 3, 0], step.__name__
        product.until(lambda: product.ask(do="lists")["lists"][0]["entries"] == 60_001, 20)
    before = keys_of(product)
    product.until(lambda: rotated(product) == "", 60)
    assert keys_of(product).digest != before.digest
    assert keys_of(product).next == {}
    assert [item["refused"] for item in product.ask(do="refresh")["lists"]] == [0, 0, 0, 0]
    assert product.rcode("name059999.example") == 3
    bad = ("internal error", "reading every list anew", "bundle_not_adopted name=edge", "bundle_not_adopted name=insp")
    assert not [said for said in bad if said in product.log.read_text()]


def begun(product: Product) -> Callable[[], bool]:
    """Return what tells that the next key lies beside the one in use."""
    there = (product.state / "keys" / "digest.next.key").exists()
    return lambda: there or (product.state / "keys" / "digest.next.key").exists()


def writing(product: Product) -> Callable[[], bool]:
    """Return what tells that segments are written under the next key."""
    folder = product.state / "bundle"
    before = set(folder.iterdir())
    return lambda: bool(set(folder.iterdir()) - before)


def written(product: Product) -> Callable[[], bool]:
    """Return what tells that the manifest on disk names the next key."""
    manifest = product.state / "bundle" / "manifest.json"
    before = re.findall('"digest":"([0-9a-f]{16})"', manifest.read_text())
    return lambda: re.findall('"digest":"([0-9a-f]{16})"', manifest.read_text()) != before


def settled(product: Product) -> Callable[[], bool]:
    """Return what tells that the next key has taken the place of the one before."""
    before = keys_of(product).digest
    return lambda: keys_of(product).digest != before


def rotated(product: Product) -> str:
    """Rotate the digest key, as soon as control can; return why it failed, empty where it did not."""
    while True:
        try:
            client.ask(product.state, {"do": "rotate-key", "key": "digest"}, timeout=60)
        except ControlError as exc:
            if "try again" not in str(exc):
                return str(exc)
            time.sleep(0.05)
        else:
            return ""


def kill_control(product: Product) -> None:
    """Kill the control process, if there is one just now, and return once there is another."""
    pid = product.pid("control")
    if pid is not None:
        os.kill(pid, 9)
    product.until(lambda: product.pid("control") not in (None, pid), 20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of a process that hides it")
def test_no_process_at_the_edge_holds_what_opens_anything(product: Product) -> None:
    """The memory of workers and inspector has no private half and not the column key, of before or after rotations."""
    product.get(BLOCKED)
    before = spelled(secrets_of(keys_of(product)))
    for name in ("token", "patterns", "sealing"):
        rotate(product, name)
    product.get(BLOCKED)
    product.rcode("bad.example")
    pids: dict[str, Any] = {item["name"]: item["pid"] for item in product.status()["processes"]}
    keys = keys_of(product)
    wanted = spelled(secrets_of(keys))
    for name in ("edge-0", "edge-1", "inspector"):
        assert found(pids[name], spelled({"token_public": keys.token_public})), "else nothing was read"
        assert found(pids[name], before | wanted) == set(), name
    # Control opens entries and tokens, and has no use for what opens patterns.
    assert "sealing_private" in found(pids["control"], wanted)
    assert "patterns_private" not in found(pids["control"], wanted)


def secrets_of(keys: Keys) -> dict[str, bytes]:
    """Return what opens or forges something, by its name."""
    names = ("token_private", "sealing_private", "patterns_private", "signing_private", "column")
    earlier = {f"token_previous {number}": key for number, key in enumerate(keys.token_previous)}
    return {name: getattr(keys, name) for name in names} | earlier


def spelled(keys: dict[str, bytes]) -> dict[bytes, str]:
    """Return the ways in which a key could lie in memory, and whose they are."""
    return {text: name for name, key in keys.items() for text in (key, key.hex().encode(), base64.b64encode(key))}


def found(pid: int, wanted: dict[bytes, str]) -> set[str]:
    """Return whose spellings are in the memory of a process."""
    names: set[str] = set()
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, flags, *_ = line.split()
            start, end = (int(text, 16) for text in place.split("-"))
            if not flags.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            with suppress(OSError, ValueError):
                memory.seek(start)
                content = memory.read(end - start)
                names |= {name for text, name in wanted.items() if text in content}
    return names
