"""The docs are tested: what the product has is documented, and what is documented exists."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer.main
from prometheus_client.core import Metric
from typer.core import TyperGroup

from filterproxy import metrics
from filterproxy.cli import main, run
from filterproxy.core.decide import decide
from filterproxy.core.model import Question, Request
from filterproxy.core.urls import canonical
from filterproxy.lists.offline import compile_all
from filterproxy.lists.seals import Seals
from filterproxy.runtime.counters import EVENTS
from filterproxy.settings import load, reference
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "lists").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
)


def first_column(page: Path) -> set[str]:
    """Return what stands in backquotes in the first column of a page's tables."""
    rows = (line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("| `"))
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_configuration_page_says_what_the_models_say():
    """docs/configuration.md is what `make docs` writes; so no key is missing, and none is invented."""
    assert (DOCS / "configuration.md").read_text() == reference.markdown()


def test_the_sample_configuration_holds_every_key():
    """config/filterproxy.toml is what `make docs` writes."""
    assert (ROOT / "config" / "filterproxy.toml").read_text() == reference.example()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.toml")), ids=lambda path: path.name)
def test_every_configuration_of_ours_can_be_started(path):
    """What we ship passes `config check`."""
    load(path)


def exposed() -> list[Metric]:
    """Return every metric, from a snapshot in which everything is known."""
    snapshot = metrics.Snapshot(
        version="0", now=2.0, events=dict.fromkeys(EVENTS, 0), verdicts={("-", "dns", "allow"): 1}, generation=1,
        processes=[metrics.ProcessState("edge-0", True, 0, 1.0, 1)],
        lists=[metrics.ListState("a", 1, 1.0, 0, False)], gauges=dict.fromkeys(metrics.GAUGES, 0.0),
        alerts={("domain", "a"): 1}, undelivered={"mail": 0},
    )  # fmt: skip
    return list(metrics.Exposition(lambda: snapshot).collect())


def test_every_metric_is_documented_and_every_documented_one_exists():
    """docs/metrics.md lists the names that Prometheus sees, and the events."""
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in exposed()}
    assert first_column(DOCS / "metrics.md") == names | set(EVENTS)


def test_no_metric_has_a_label_for_who_or_what():
    """Labels name lists, processes and outcomes, never an address, a URL or a client."""
    labels = {label for metric in exposed() for sample in metric.samples for label in sample.labels}
    assert labels <= {"version", "event", "list", "frontend", "action", "process", "kind", "way"}


def test_every_route_is_documented_and_every_documented_one_exists():
    """docs/http.md lists the portal's routes, and those of the metrics."""
    source = "\n".join(path.read_text() for path in (ROOT / "filterproxy" / "portal").glob("*.py"))
    documented = {name for name in first_column(DOCS / "http.md") if name.startswith("/")}
    assert documented
    for route in documented - {"/transparency.json", "/transparency.csv"}:
        assert f'"{route}"' in source
    for route in re.findall(r'(?:app\.(?:get|post)|add_api_route|add)\(\s*"(/[^"]*)"', source):
        assert route in documented


def commands() -> set[str]:
    """Return the names of all commands, with their groups."""
    root = typer.main.get_command(main.app())
    assert isinstance(root, TyperGroup)
    groups = {name: command for name, command in root.commands.items() if isinstance(command, TyperGroup)}
    below = {f"{name} {inner}" for name, group in groups.items() for inner in group.commands}
    return (set(root.commands) - set(groups)) | below


def test_every_command_is_documented_and_every_documented_one_exists():
    """docs/cli.md lists the command line."""
    assert first_column(DOCS / "cli.md") == commands()


def test_the_commands_of_the_readme_exist():
    """Each `make TARGET` named in a page is a target, and each has its line in `make help`."""
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert named <= targets
    assert {"run", "test"} <= set(re.findall(r"^    make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))


def test_links_between_pages_lead_somewhere():
    """A relative link names a file that is there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_changelog_has_a_place_for_the_next_change():
    """Every change finds `Unreleased`."""
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()


def test_what_the_hints_and_the_readme_promise_is_so(monkeypatch):
    """What `make run` says to try is blocked by the sample lists, and so is what the README says."""
    monkeypatch.chdir(ROOT)
    settings = load(Path("config/filterproxy.toml"))
    policy = compile_all(settings, Seals.passing())
    for text in (run._hints(settings), (ROOT / "README.md").read_text()):
        name = re.search(r"dig @\S+ -p \d+ ([a-z.]+)", text)
        page = re.search(r"(http://[a-z.]+\.example/\S+\.html)", text)
        assert name is not None
        assert page is not None
        url = canonical(page[1])
        assert url is not None
        assert decide(Question("everyone", name[1]), policy, datetime.now(UTC)).blocked
        assert decide(Request("everyone", "GET", url), policy, datetime.now(UTC)).blocked
