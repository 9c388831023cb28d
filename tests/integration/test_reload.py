"""SIGHUP on a running product: another configuration, whole or not at all, and no question lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_ports

from .product import Product, children, readable_by, upstream
from .steady import Steady, hit_between_two_answers

OWN = '[[lists]]\nid = "own"\nsource = "{folder}/own.domains"\nformat = "domains"\non_failure = "closed"\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that runs for all tests of this file."""
    made = Product(tmp_path_factory.mktemp("reload"), workers=2)
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


@pytest.fixture
def product(running: Product) -> Iterator[Product]:
    """The product with its first configuration, to which it returns afterwards."""
    text = running.config.read_text()
    yield running
    running.config.write_text(text)
    reload(running)


def told(product: Product, event: str) -> int:
    return len(re.findall(rf" {event}\b", product.log.read_text()))


def hang_up(product: Product) -> None:
    assert product.process is not None
    product.process.send_signal(signal.SIGHUP)


def reload(product: Product) -> None:
    """Have the file read again, and wait until that is done."""
    before = told(product, "reloaded"), told(product, "reload_refused")
    hang_up(product)
    product.until(lambda: (told(product, "reloaded"), told(product, "reload_refused")) != before, 60)
    assert told(product, "reload_refused") == before[1], product.log.read_text()
    product.until(product.ready, 30)


def changed(product: Product, *pairs: tuple[str, str], more: str = "") -> None:
    text = product.config.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    product.config.write_text(text + more)


def running_children(product: Product) -> dict[str, int]:
    assert product.process is not None
    return children(product.process.pid)


def counts(product: Product) -> dict[str, float]:
    """Return every counter of the metrics."""
    text = product.page(product.metrics, "/metrics")[1]
    lines = (line.rpartition(" ") for line in text.splitlines() if re.match(r"filterproxy_\w+_total", line))
    return {name: float(value) for name, _, value in lines}


def ttl(reply: bytes | None) -> int:
    """Return the TTL of the first record behind the question, an SOA where the name is blocked."""
    assert reply is not None
    after = reply.index(b"\0", 12) + 5
    while reply[after] and reply[after] < 0xC0:
        after += reply[after] + 1
    after += 2 if reply[after] >= 0xC0 else 1
    return int.from_bytes(reply[after + 4 : after + 8])


@pytest.mark.timeout(240)
def test_another_configuration_takes_force_and_no_question_is_lost(product: Product) -> None:
    """Lists, profiles, TTLs and workers change under load; every question is answered, and by the one or the other."""
    (product.folder / "own.domains").write_text("own.example\n")
    old, counted = running_children(product), counts(product)
    assert product.rcode("own.example") == 0
    changed(
        product, ("workers = 2", "workers = 3"), ("[dns]", "[dns]\nblock_ttl = 37"),
        more=OWN.format(folder=product.folder)
        + '[[profiles]]\nid = "home"\nnetworks = ["127.0.0.0/8"]\ndeny = ["denied.example"]\n',
    )  # fmt: skip
    with Steady(product, "bad.example", "good.example", "own.example") as load:
        time.sleep(0.5)
        reload(product)
        time.sleep(0.5)
    assert load.lost == 0
    assert load.slowest < 3.0
    assert {key for key in load.codes if key[0] != "own.example"} == {("bad.example", 3), ("good.example", 0)}
    assert set(load.codes) >= {("own.example", 0), ("own.example", 3)}  # first the one, then the other, and no failure
    assert {code for name, code in load.codes if name == "own.example"} == {0, 3}
    assert (product.rcode("own.example"), product.rcode("denied.example"), product.rcode("good.example")) == (3, 3, 0)
    assert ttl(product.ask_dns("bad.example")) == 37
    now = running_children(product)
    assert set(now) == {"control", "edge-0", "edge-1", "edge-2", "inspector"}
    assert not set(old.values()) & set(now.values())
    assert not any(Path(f"/proc/{pid}").exists() for pid in old.values())
    after = counts(product)
    assert {name: value for name, value in counted.items() if after.get(name, -1) < value} == {}
    queries = 'filterproxy_events_total{event="dns_queries"}'
    assert after[queries] - counted[queries] >= load.asked
    assert {item["restarts"] for item in product.status()["processes"]} == {0}
    assert {item["id"] for item in product.status()["report"]["lists"]} == {"domains", "pages", "law", "own"}


@pytest.mark.timeout(240)
def test_what_is_gone_blocks_no_more_and_is_still_counted(product: Product) -> None:
    """Fewer lists and fewer workers: what their sockets hold is read by those who stay, and no total falls."""
    before, text = counts(product), product.config.read_text()
    row = 'filterproxy_verdicts_total{action="block",frontend="dns",list="domains"}'
    assert product.rcode("bad.example") == 3
    start = text.index('[[lists]]\nid = "domains"')
    product.config.write_text(
        (text[:start] + text[text.index('[[lists]]\nid = "pages"') :]).replace("workers = 2", "workers = 1")
    )
    with Steady(product, "bad.example", "good.example") as load:
        time.sleep(0.5)
        reload(product)
        time.sleep(1.0)
    assert load.lost == 0
    assert product.rcode("bad.example") == 0
    assert {code for name, code in load.codes if name == "good.example"} == {0}
    assert set(running_children(product)) == {"control", "edge-0", "inspector"}
    after = counts(product)
    # What is gone is told of no more, such as how often that list was refused; but for what was counted under its name.
    assert {name: value for name, value in before.items() if after.get(name, value) < value} == {}
    assert {name for name in before if "_verdicts_" in name} <= set(after)
    assert after[row] > before.get(row, 0)
    with Steady(product, "bad.example", rate=400) as load:  # both sockets have a reader
        time.sleep(1.0)
    assert load.lost == 0


@pytest.mark.parametrize(("change", "said"), [
    (("[dns]", "[dns]\nnonsense = 1"), "dns.nonsense: unknown key"),
    (("[dns]", "[dns"), "not TOML"),
    (('state = "', 'state = "/tmp/other'), "runtime.state: cannot change while filterproxy runs"),
    (("workers = 2", 'workers = 3\nuser = "daemon"'), "runtime.user: cannot change while filterproxy runs"),
    (("[dns]", '[keys]\nfolder = "/tmp/other"\n[dns]'), "keys.folder: cannot change while filterproxy runs"),
    (("[runtime]", '[[profiles]]\nid = "p"\ndeny = ["not a host"]\n[runtime]'), "profiles"),
])  # fmt: skip
def test_a_bad_file_is_refused_with_one_line_and_everything_stays(
    product: Product, change: tuple[str, str], said: str
) -> None:
    """The line names the key; no process is replaced, and it goes on as before."""
    before, mark = running_children(product), len(product.log.read_text())
    text = product.config.read_text()
    changed(product, change)
    refused = told(product, "reload_refused")
    hang_up(product)
    product.until(lambda: told(product, "reload_refused") > refused, 20)
    product.config.write_text(text)
    # Its own lines: lists that were read before may come into force meanwhile.
    lines = [line for line in product.log.read_text()[mark:].splitlines() if " supervisor " in line]
    assert len(lines) == 1
    assert said in lines[0]
    assert running_children(product) == before
    assert product.rcode("bad.example") == 3


def test_an_address_that_cannot_be_had_refuses_the_whole_file(product: Product) -> None:
    """Nothing of it takes force, not even what was bound before the address that is taken."""
    before, (free,) = running_children(product), free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        text = product.config.read_text()
        dns = f'listen = ["127.0.0.1:{product.dns}"'
        changed(
            product,
            (dns + "]", f'{dns}, "127.0.0.1:{free}"]'),
            (f'"127.0.0.1:{product.console}"', f'"127.0.0.1:{taken}"'),
        )
        refused = told(product, "reload_refused")
        hang_up(product)
        product.until(lambda: told(product, "reload_refused") > refused, 20)
        product.config.write_text(text)
    assert f"console.listen: 127.0.0.1:{taken}/tcp is taken" in product.log.read_text()
    assert running_children(product) == before
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", free))


@pytest.mark.timeout(240)
def test_addresses_come_and_go(product: Product) -> None:
    """A new address answers once the reload is over, one that is gone is free again; the metrics move too."""
    dns, portal, metrics = free_ports(3)
    changed(
        product, (f'listen = ["127.0.0.1:{product.dns}"]', f'listen = ["127.0.0.1:{product.dns}", "127.0.0.1:{dns}"]'),
        (f":{product.portal}", f":{portal}"), (f":{product.metrics}", f":{metrics}"),
    )  # fmt: skip
    with Steady(product) as load:
        reload(product)
    assert load.lost == 0
    there, product.dns = product.dns, dns
    assert product.rcode("bad.example") == 3
    product.dns = there
    assert product.page(portal, "/healthz")[0] == 200
    assert product.page(metrics, "/healthz") == (200, "ok\n")
    for port in (product.portal, product.metrics):
        with pytest.raises(ConnectionRefusedError):
            product.page(port, "/healthz")
    changed(
        product, (f', "127.0.0.1:{dns}"]', "]"), (f":{portal}", f":{product.portal}"),
        (f":{metrics}", f":{product.metrics}"),
    )  # fmt: skip
    reload(product)
    for port in (dns, portal, metrics):
        with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", port))


@pytest.mark.timeout(240)
def test_the_portal_refuses_nobody_and_the_inspector_stays_where_nothing_of_it_changed(product: Product) -> None:
    """Control is replaced behind a socket that stays open; the proxy, whose settings are the same, is left alone."""
    inspector = running_children(product)["inspector"]
    changed(product, ("[dns]", "[dns]\nblock_ttl = 33"))
    before = told(product, "reloaded")
    hang_up(product)
    pages: list[int] = []
    while told(product, "reloaded") == before:
        pages.append(product.page(product.portal, "/healthz")[0])
        assert product.page(product.metrics, "/healthz")[0] == 200
        time.sleep(0.02)
    assert set(pages) == {200}
    assert running_children(product)["inspector"] == inspector
    product.until(product.ready, 10)
    assert product.get("http://mixed.example/listed/page.html")[0] == 403
    assert ttl(product.ask_dns("bad.example")) == 33


@pytest.mark.timeout(240)
def test_one_asked_for_during_another_is_taken_after_it(product: Product) -> None:
    """Two signals, two files, and the second is in force at the end, whether or not the first was before."""

    def done() -> int:
        return told(product, "reloaded") + told(product, "reload_overtaken")

    before = done()
    changed(product, ("[dns]", "[dns]\nblock_ttl = 41"))
    hang_up(product)
    product.until(lambda: product.log.read_text().rpartition("reloaded")[2].count("process_started") > 0, 20)
    changed(product, ("block_ttl = 41", "block_ttl = 42"))
    hang_up(product)
    product.until(lambda: done() == before + 2, 60)
    product.until(product.ready, 10)
    assert ttl(product.ask_dns("bad.example")) == 42


@pytest.mark.timeout(240)
def test_a_worker_that_dies_in_the_middle_loses_nothing_either(product: Product) -> None:
    """The old one is not begun again under the new lists: its successor and its neighbour take over."""
    (product.folder / "own.domains").write_text("own.example\n")
    changed(product, more=OWN.format(folder=product.folder))
    pid, before = product.pid("edge-1"), told(product, "reloaded")
    with Steady(product, "bad.example", "good.example") as load:
        time.sleep(0.3)
        published = product.log.read_text().count("bundle_adopted")
        hang_up(product)
        product.until(lambda: product.log.read_text().count("bundle_adopted") > published, 30)
        if Path(f"/proc/{pid}").exists():
            hit_between_two_answers(pid or 0, signal.SIGKILL)
        product.until(lambda: told(product, "reloaded") > before, 60)
        product.until(product.ready, 30)
    assert load.lost == 0
    assert set(load.codes) == {("bad.example", 3), ("good.example", 0)}
    assert product.rcode("own.example") == 3


@pytest.mark.timeout(400)
def test_twenty_reloads_leave_no_descriptor_behind(tmp_path: Path) -> None:
    """Neither in the supervisor nor as a process, while questions are answered all along; then it ends as ever."""
    product = Product(tmp_path)
    with upstream(product.upstream):
        try:
            changed(product, more="[inspection]\nenabled = false\n")
            changed(product, ("[dns]", "[dns]\nblock_ttl = 31"))
            product.start()
            assert product.process is not None
            folder = Path(f"/proc/{product.process.pid}/fd")
            seen: list[int] = []
            with Steady(product, rate=50) as load:
                for number in range(20):
                    changed(product, (f"block_ttl = {31 + number}", f"block_ttl = {32 + number}"))
                    reload(product)
                    time.sleep(0.3)
                    seen.append(len(list(folder.iterdir())))
            assert load.lost == 0
            assert max(seen[1:]) <= seen[1] + 1  # one that is just being opened
            assert set(running_children(product)) == {"control", "edge-0"}
            assert ttl(product.ask_dns("bad.example")) == 51
            assert product.stop() == 0
        finally:
            product.kill()


@pytest.mark.timeout(120)
def test_a_stop_in_the_middle_of_a_reload_ends_it(tmp_path: Path) -> None:
    """No process is left, old or new."""
    product = Product(tmp_path)
    with upstream(product.upstream):
        try:
            product.start()
            changed(product, ("[dns]", "[dns]\nblock_ttl = 39"))
            hang_up(product)
            product.until(lambda: product.log.read_text().count("process_started name=edge-0") > 1, 20)
            pids = [int(pid) for pid in re.findall(r"process_started \S+ pid=(\d+)", product.log.read_text())]
            assert len(pids) == 5
            assert product.stop() == 0
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
            assert " error " not in product.log.read_text()
        finally:
            product.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges: run the tests as root")
@pytest.mark.timeout(240)
def test_a_product_that_dropped_its_privileges_takes_more_workers_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The kernel lets its sockets join none of root's: workers share, and no question is lost when one dies."""
    folder = Path(tmp_path_factory.mktemp("dropped"))
    for place in (folder, *folder.parents[:3]):
        if place.is_relative_to("/tmp") and place != Path("/tmp"):
            place.chmod(0o755)
    product = Product(folder)
    changed(product, ("[runtime]", '[runtime]\nuser = "nobody"'), more="[inspection]\nenabled = false\n")
    with upstream(product.upstream):
        try:
            product.start(within=readable_by("nobody"))
            changed(product, ("workers = 1", "workers = 3"))
            with Steady(product) as load:
                reload(product)
                product.until(product.ready, 20)
                hit_between_two_answers(product.pid("edge-1") or 0, signal.SIGKILL)
                time.sleep(0.5)
                product.until(product.ready, 20)
            assert load.lost == 0
            assert "workers_share_a_socket workers=3 sockets=1" in product.log.read_text()
            assert set(running_children(product)) == {"control", "edge-0", "edge-1", "edge-2"}
            assert product.stop() == 0
        finally:
            product.kill()
