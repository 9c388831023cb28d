"""Connections that are turned to the proxy on their way, by the rules of config/nftables, over IPv4 and IPv6."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filterproxy.runtime import client
from tests.e2e.gateway_network import CLIENT, CLIENT6, LISTED, LISTED6, OTHER, OTHER6, ROUTER, Network, network, write
from tests.e2e.rpz_network import process
from tests.integration.product import readable_by


@contextmanager
def running(folder: Path, found: Network, **how: object) -> Iterator[None]:
    """Run the product on the router."""
    config = write(folder, **how)  # type: ignore[arg-type]
    within = readable_by(str(how["user"])) if how.get("user") else []
    command = [
        "ip",
        "netns",
        "exec",
        found.router,
        *within,
        sys.executable,
        "-m",
        "filterproxy",
        "run",
        "-c",
        str(config),
    ]
    with process(command, folder / "log"):
        end = time.monotonic() + 60
        while not _ready(folder):
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)
        yield


def _ready(folder: Path) -> bool:
    try:
        status = client.ask(folder / "state", {"do": "status"}, timeout=10)
    except Exception:  # noqa: BLE001 - it is not there yet
        return False
    return all(item["ready"] and item["generation"] == status["generation"] > 0 for item in status["processes"])


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces: run the tests as root")


@pytest.mark.parametrize("rules", ["redirect.nft", "tproxy.nft"])
def test_connections_go_where_they_were_going(tmp_path, rules):
    """Whatever they name; a listed page, a listed name and a listed address get the notice, all else passes."""
    with network(tmp_path) as found, running(tmp_path, found):
        found.load(rules)
        for other, listed, shown in ((OTHER, LISTED, "{}"), (OTHER6, LISTED6, "[{}]")):
            there = f"http://{shown.format(other)}"
            assert found.get(f"{there}/")[1].split(" ")[0] == other
            assert found.get(f"{there}/listed", "-H", "Host: pages.example")[0] == 403
            assert found.get(f"{there}/else", "-H", "Host: pages.example")[1].split(" ")[0] == other
            assert found.get(f"{there}/", "-H", "Host: blocked.example")[0] == 403
            assert found.get(f"{there}/", "-H", f"Host: {shown.format(listed)}")[0] == 403
            # A name that leads elsewhere, or nowhere, changes nothing of where it goes.
            assert found.get(f"{there}/", "-H", "Host: nowhere.invalid")[1].split(" ")[0] == other
            assert found.get(f"http://{shown.format(listed)}/", "-H", "Host: ok.example")[0] == 403
        assert found.get(f"http://{OTHER}/")[1].split(" ")[1] == "10.40.2.1"  # the router's own address
        # Who comes to their ports on purpose has nowhere to go.
        assert [found.get(f"http://{ROUTER}:{port}/")[0] for port in (8081, 8082)] == [0, 403]


@pytest.mark.parametrize("user", ["", "nobody"])
def test_origins_see_the_clients_own_address(tmp_path, user):
    """Where that is asked for; also once root has been given up, and then only edge workers may do it."""
    if user:
        for place in (tmp_path, *tmp_path.parents[:3]):
            if place.is_relative_to("/tmp") and place != Path("/tmp"):
                place.chmod(0o755)
    with network(tmp_path) as found, running(tmp_path, found, user=user, keep=True):
        found.load("tproxy.nft")
        assert found.get(f"http://{OTHER}/")[1] == f"{OTHER} {CLIENT}"
        assert found.get(f"http://[{OTHER6}]/")[1] == f"{OTHER6} {CLIENT6}"
        assert found.get(f"http://{LISTED}/")[0] == 403
        # The proxy that is asked for by name has no address of a client's to speak in.
        assert found.get(f"http://{OTHER}/", "-x", f"http://{ROUTER}:8080")[1] == f"{OTHER} 10.40.2.1"
        if user:
            status = client.ask(tmp_path / "state", {"do": "status"}, timeout=10)
            able = {item["name"]: _capable(item["pid"]) for item in status["processes"]}
            assert able == {"control": 0, "edge-0": 1 << 13}


def _capable(pid: int) -> int:
    """Return the effective capabilities of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
