"""The running product as a whole: real processes on loopback."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

from .product import Load, Product, children, readable_by, upstream


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that runs for all tests of this file."""
    made = Product(tmp_path_factory.mktemp("product"), workers=2)
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


def test_it_filters_by_dns_and_by_http_and_answers_for_it(product: Product) -> None:
    """One command gives DNS, a proxy, the portal, the operator's page and metrics."""
    assert (product.rcode("bad.example"), product.rcode("below.bad.example"), product.rcode("good.example")) == (
        3,
        3,
        0,
    )
    assert product.get("http://mixed.example/listed/page.html")[0] == 403
    assert product.get("http://law.example/page.html")[0] == 451
    assert product.page(product.portal, "/healthz")[0] == 200
    assert "pages" in product.page(product.console, "/")[1]
    assert product.page(product.metrics, "/healthz") == (200, "ok\n")


@pytest.mark.parametrize("name", ["edge-0", "edge-1", "inspector", "control"])
def test_a_killed_process_is_replaced_and_nothing_is_lost(product: Product, name: str) -> None:
    """Kill -9 under load: ports, counts, bundle and user are as before, and service resumes within a moment."""
    product.until(product.ready, 30)
    before = product.status()
    counted = product.metric('filterproxy_verdicts_total{action="block",frontend="dns",list="domains"}')
    pid = product.pid(name)
    assert pid is not None
    with Load(product) as load:
        time.sleep(0.3)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        product.until(lambda: product.pid(name) not in (None, pid), 2)
        assert time.monotonic() - killed < 1.0
        product.until(product.ready, 30)
        time.sleep(0.3)
    after = product.status()
    assert load.answered > 0
    assert load.wrong == 0
    assert load.silence < 3.0
    assert product.get("http://mixed.example/listed/page.html")[0] == 403
    assert product.page(product.portal, "/healthz")[0] == 200
    # Control reads its lists anew when it starts, and each reading is a generation.
    assert after["generation"] == before["generation"] or name == "control"
    assert after["generation"] >= before["generation"]
    now = product.metric('filterproxy_verdicts_total{action="block",frontend="dns",list="domains"}')
    # A question that a killed worker had read is asked again by its client: counted once or twice, never less.
    assert now >= counted + load.answered
    new = product.pid(name)
    assert new is not None
    assert _uid(new) == _uid(product.process.pid if product.process else 0)
    assert product.metric(f'filterproxy_process_restarts_total{{process="{name}"}}') >= 1


def test_children_are_hardened(product: Product) -> None:
    """No child may dump core, gain privileges by exec, or be read by another process of its user."""
    for pid in (product.pid("control"), product.pid("edge-0"), product.pid("inspector")):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        assert [line.split()[4:6] for line in limits if line.startswith("Max core")] == [["0", "0"]]
        assert _dumpable(pid or 0) is False


def test_a_second_run_on_the_same_state_folder_is_told_so(product: Product) -> None:
    """One line that names the reason, exit code 2, and the first goes on."""
    found = _run(product.config)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "runs already" in found.stderr
    assert product.rcode("bad.example") == 3


def test_a_taken_port_is_told_with_its_key(product: Product, tmp_path: Path) -> None:
    """One line that names the key and the address, exit code 2."""
    other = Product(tmp_path)
    other.config.write_text(other.config.read_text().replace(f":{other.dns}", f":{product.dns}"))
    found = _run(other.config)
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1].startswith("filterproxy: dns.listen[0]: 127.0.0.1:")
    assert "taken" in found.stderr


def test_only_its_own_user_reaches_the_state_folder(product: Product) -> None:
    """Folder 0700, socket 0600, no list and no key in clear on disk."""
    assert stat.S_IMODE(product.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((product.state / "control.sock").stat().st_mode) == 0o600
    for path in product.state.rglob("*"):
        if path.is_file() and path.parent.name != "ca":
            content = path.read_bytes()
            assert b"bad.example" not in content, path
            assert b"mixed.example/listed" not in content, path


def test_a_list_is_read_again_when_told(product: Product) -> None:
    """A new line takes force everywhere before the request is answered; a bad list leaves the last in force."""
    source = product.folder / "d.domains"
    text = source.read_text()
    try:
        source.write_text(text + "new.example\n")
        product.ask(do="refresh", lists=["domains"])
        assert product.rcode("new.example") == 3
        source.write_bytes(b"\0\1\2" * 1000)
        report = product.ask(do="refresh", lists=["domains"])
        assert next(item for item in report["lists"] if item["id"] == "domains")["state"] == "refused"
        assert product.rcode("bad.example") == 3
        product.until(lambda: product.metric('filterproxy_list_refused_total{list="domains"}') >= 1, 5)
        source.write_text(text + "again.example\n")
        assert product.process is not None
        product.process.send_signal(signal.SIGHUP)
        product.until(lambda: product.rcode("again.example") == 3, 5)
    finally:
        source.write_text(text)
        product.ask(do="refresh", lists=["domains"])
    assert product.rcode("new.example") == 0


def test_another_configuration_is_judged_by_itself(product: Product, tmp_path: Path) -> None:
    """`check -c FILE` answers for FILE, also where the state folder that it names belongs to another one that runs."""
    (tmp_path / "own.domains").write_text("own.example\n")
    other = tmp_path / "other.toml"
    other.write_text(
        f'[runtime]\nstate = "{product.state}"\n[[lists]]\nid = "own"\nformat = "domains"\n'
        f'source = "{tmp_path}/own.domains"\n'
    )
    command = [sys.executable, "-m", "filterproxy", "check", "-c", str(other), "own.example", "bad.example"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["block", "allow"]
    assert "other lists" in done.stderr


def test_doctor_finds_it_well(product: Product) -> None:
    """Every check passes; as root it warns of that, and of nothing else."""
    command = [sys.executable, "-m", "filterproxy", "doctor", "-c", str(product.config)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    complaints = [
        line for line in found.stdout.splitlines()
        if not line.startswith("ok") and "runs as root" not in line and "restarts" not in line
    ]  # fmt: skip
    assert complaints == []
    assert found.returncode == (1 if os.geteuid() == 0 else 0)


def test_a_health_check_is_content_with_warnings(product: Product) -> None:
    """`doctor --quick` ends with 0 unless something fails: a container that is only warned of is not unhealthy."""
    command = [sys.executable, "-m", "filterproxy", "doctor", "--quick", "-c", str(product.config)]
    assert subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False).returncode == 0
    product.config.with_name("away.toml").write_text(product.config.read_text().replace("/state", "/away"))
    command[-1] = str(product.config.with_name("away.toml"))
    assert subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False).returncode == 1


def test_top_prints_once(product: Product) -> None:
    """Processes and counts, as a table, and no address."""
    command = [sys.executable, "-m", "filterproxy", "top", "--once", "-c", str(product.config)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert "edge-0" in found.stdout
    assert "bad.example" not in found.stdout


def test_no_name_that_was_asked_reaches_the_log(product: Product) -> None:
    """After all of the above the log holds no address, neither listed nor asked."""
    text = product.log.read_text()
    for secret in ("bad.example", "good.example", "mixed.example", "law.example", "new.example"):
        assert secret not in text


def test_sigterm_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit code 0, no process left, the counts in the journal; the next run counts on and serves at once."""
    product = Product(tmp_path)
    with upstream(product.upstream):
        try:
            product.start()
            for _ in range(20):
                assert product.rcode("bad.example") == 3
            assert product.process is not None
            pids = children(product.process.pid)
            assert set(pids) == {"control", "edge-0", "inspector"}
            assert product.stop() == 0
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
            day = next((product.state / "journal").glob("*.json")).read_text()
            assert '["domains", "dns", "block", 20]' in day
            product.start()
            assert product.rcode("bad.example") == 3
            assert product.stop() == 0
            day = next((product.state / "journal").glob("*.json")).read_text()
            assert '["domains", "dns", "block", 21]' in day
        finally:
            product.kill()


@pytest.mark.parametrize("role", ["edge", "inspect", "run"])
def test_it_ends_at_once_while_it_waits_for_its_first_bundle(tmp_path: Path, role: str) -> None:
    """Nothing was begun that could be drained: no wait for the bundle or the list being read, and nothing amiss."""
    product = Product(tmp_path)
    if role == "run":
        (tmp_path / "d.domains").write_text("".join(f"a{number}.example\n" for number in range(2_000_000)))
    # Reading a long list may hold the process for moments at a time: it is not to be killed for that.
    product.config.write_text(product.config.read_text().replace('drain = "3s"', 'drain = "10s"'))
    command = [sys.executable, "-m", "filterproxy", role, "-c", str(product.config)]
    with product.log.open("ab") as log:
        product.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        expected = 3 if role == "run" else 1
        product.until(lambda: product.log.read_text().count("process_started") == expected, 20)
        time.sleep(1.5)  # until they wait; one that was told to end before that is in the right, too
        assert "bundle_adopted" not in product.log.read_text()
        begun = time.monotonic()
        assert product.stop() == 0
        # A tenth of a second at rest, some while a list is read; the bound only tells it from the wait for a bundle.
        assert time.monotonic() - begun < 15.0
        told = product.log.read_text().partition(" stopping\n")[2]
        assert told.endswith(" stopped\n")
        assert " error " not in told
        assert " warning " not in told
    finally:
        product.kill()


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """Kill -9 of the supervisor leaves no orphan on a port, so the next one can start at once."""
    product = Product(tmp_path)
    with upstream(product.upstream):
        try:
            product.start()
            assert product.process is not None
            pids = children(product.process.pid)
            product.kill()
            product.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()), 5)
            product.start()
            assert product.rcode("bad.example") == 3
            assert product.stop() == 0
        finally:
            product.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges: run the tests as root")
def test_privileges_are_dropped_for_good(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Started as root, every process and every file of the state folder belongs to runtime.user."""
    nobody = pwd.getpwnam("nobody")
    folder = Path(tmp_path_factory.mktemp("drop"))
    for place in (folder, *folder.parents[:3]):
        if place.is_relative_to("/tmp") and place != Path("/tmp"):
            place.chmod(0o755)
    product = Product(folder)
    product.config.write_text(product.config.read_text().replace("[runtime]", '[runtime]\nuser = "nobody"'))
    with upstream(product.upstream):
        try:
            product.start(within=readable_by("nobody"))
            assert product.process is not None
            pids = {"supervisor": product.process.pid, **children(product.process.pid)}
            for name, pid in pids.items():
                assert _uid(pid) == {nobody.pw_uid}, name
                assert "Groups:\t \n" in Path(f"/proc/{pid}/status").read_text(), name
            assert {path.stat().st_uid for path in product.state.rglob("*")} == {nobody.pw_uid}
            os.kill(pids["edge-0"], signal.SIGKILL)
            product.until(lambda: product.pid("edge-0") not in (None, pids["edge-0"]), 2)
            product.until(product.ready, 20)
            assert _uid(product.pid("edge-0") or 0) == {nobody.pw_uid}
            assert product.rcode("bad.example") == 3
            assert product.stop() == 0
        finally:
            product.kill()


def _run(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "filterproxy", "run", "-c", str(config)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)


def _uid(pid: int) -> set[int]:
    """Return the real, effective, saved and file system user of a process."""
    return {int(word) for word in Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split("\n")[0].split()}


def _dumpable(pid: int) -> bool:
    """Return whether the process may be read by others of its user: its /proc files belong to root if not."""
    if os.geteuid() == 0 and _uid(pid) == {0}:
        return False  # cannot be told apart from outside
    return Path(f"/proc/{pid}/environ").stat().st_uid != 0
