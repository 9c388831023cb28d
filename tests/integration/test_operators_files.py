"""What operators are given for their other programs is accepted by those, and names what exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from filterproxy import metrics
from filterproxy.runtime.counters import EVENTS
from tests.conftest import ROOT, have

RULES = ROOT / "config" / "prometheus" / "filterproxy.rules.yml"
DASHBOARD = ROOT / "config" / "grafana" / "filterproxy.json"
UNIT = ROOT / "config" / "systemd" / "filterproxy.service"
COMPOSE = ROOT / "docker" / "compose.yaml"


def accepted(*command: str | Path, text: str | None = None) -> str:
    """Return what a program said that accepted a file."""
    found = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


@have("promtool", "prometheus")
def test_prometheus_takes_the_rules_and_they_fire_when_they_should():
    """Its own program checks the configuration, the rules, and their tests."""
    folder = RULES.parent
    accepted("promtool", "check", "config", folder / "prometheus.yml")
    accepted("promtool", "test", "rules", folder / "filterproxy.test.yml")


def expressions() -> list[str]:
    """Return every expression of the rules and of the dashboard."""
    rules = YAML(typ="safe").load(RULES.read_text())["groups"][0]["rules"]
    board = json.loads(DASHBOARD.read_text())
    return [rule["expr"] for rule in rules] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


def exposed() -> set[str]:
    snapshot = metrics.Snapshot(
        version="0", now=2.0, events=dict.fromkeys(EVENTS, 0), verdicts={("-", "dns", "allow"): 1}, generation=1,
        processes=[metrics.ProcessState("edge-0", True, 0, 1.0, 1)],
        lists=[metrics.ListState("a", 1, 1.0, 0, False)], gauges=dict.fromkeys(metrics.GAUGES, 0.0),
    )  # fmt: skip
    collected = metrics.Exposition(lambda: snapshot).collect()
    return {metric.name + ("_total" if metric.type == "counter" else "") for metric in collected}


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_event_that_is_watched_exists(expression):
    """A rule about a metric that is not there would never fire, and nobody would know."""
    assert set(re.findall(r"filterproxy_\w+", expression)) <= exposed()
    for names in re.findall(r'event=~?"([^"]+)"', expression):
        assert set(names.split("|")) <= set(EVENTS)


def test_every_metric_is_on_the_dashboard():
    """Also those that a new feature brings."""
    shown = set(re.findall(r"filterproxy_\w+", DASHBOARD.read_text())) | set(
        re.findall(r"filterproxy_\w+", RULES.read_text())
    )
    assert exposed() - shown - {"filterproxy_process_uptime_seconds"} == set()


@have("systemd-analyze", "systemd")
def test_systemd_takes_the_unit_and_calls_it_safe(tmp_path):
    """No line that it does not know, and an exposure below 2.5 of 10."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/filterproxy/bin/filterproxy", "/bin/true"))
    assert "filterproxy.service:" not in accepted("systemd-analyze", "verify", unit)
    said = accepted("systemd-analyze", "security", "--offline=yes", unit)
    exposure = re.search(r"exposure level for filterproxy.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) < 2.5


SNIPPETS = [
    found[0]
    for page in ("wifi.md", "isp.md")
    for found in re.finditer(
        r"^( +)table \w+ filterproxy \{\n(?:.*\n)+?\1\}\n", (ROOT / "docs" / page).read_text(), re.MULTILINE
    )
]


@have("nft", "nftables")
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_nft_takes_the_rules_of_the_guides(snippet):
    """What a guide says to write into a router, a router takes."""
    accepted("unshare", "--net", "--map-root-user", "nft", "-c", "-f", "-", text=snippet)


def test_both_guides_have_rules():
    """So that the test above tests something."""
    assert len(SNIPPETS) == 2


def test_compose_gives_the_container_what_it_needs_and_no_more():
    """One capability, nothing writable but the volume, the host's network, and files that are there."""
    service = YAML(typ="safe").load(COMPOSE.read_text())["services"]["filterproxy"]
    assert (service["network_mode"], service["read_only"]) == ("host", True)
    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["NET_BIND_SERVICE"])
    assert "security_opt" not in service, "no-new-privileges would take the file's capability away"
    for mount in service["volumes"]:
        here, _, rest = mount.partition(":")
        assert here == "state" or ((COMPOSE.parent / here).exists() and rest.endswith(":ro"))
    assert service["build"]["target"] in re.findall(r"^FROM .* AS (\w+)$", _dockerfile(), re.MULTILINE)


def _dockerfile() -> str:
    return (ROOT / "docker" / "Dockerfile").read_text()


@pytest.mark.parametrize("path", [ROOT / "config" / "wifi.toml", COMPOSE], ids=lambda path: path.name)
def test_each_setting_is_explained(path):
    """For someone who is not an engineer: no blank-line block of settings without a comment above or in it."""
    blocks = [block.splitlines() for block in path.read_text().split("\n\n")]
    silent = [block for block in blocks if not any(line.lstrip().startswith("#") or "# " in line for line in block)]
    assert [block for block in silent if not re.match(r"name:|services:|volumes:", block[0])] == []
