"""What every test may ask for: real parts where the machine has them, a skip that says what would bring them where not.

`make test` on a bare machine skips and says why; `.ci/run` sets FILTERPROXY_NO_SKIPS and then a skip fails the run.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent

# Shared cores make single examples slow by chance: a deadline would fail what is only unlucky.
hypothesis_settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("house")


def have(tool: str, package: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test where `tool` is not installed, naming the Debian package that brings it."""
    # Debian keeps servers where only root looks for programs.
    found = shutil.which(tool, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    return pytest.mark.skipif(found is None, reason=f"no {tool}: apt-get install {package}")


def samples_folder() -> Path | None:
    """Return the folder of public lists, or None: they are no part of this repository."""
    for place in (os.environ.get("FILTERPROXY_SAMPLES"), str(ROOT.parent / "shared" / "samples")):
        if place and Path(place).is_dir():
            return Path(place)
    return None


@pytest.fixture
def now() -> datetime:
    """Return the moment at which most tests live."""
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def samples() -> Path:
    """Return the folder of public lists; tests that ask for it carry the mark `samples`."""
    folder = samples_folder()
    assert folder is not None, "a test that reads the public lists needs @pytest.mark.samples"
    return folder


@pytest.fixture(name="free_port")
def a_free_port() -> int:
    """Return a TCP and UDP port of 127.0.0.1 that nobody uses."""
    return free_port()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, not skip, what runs on public lists where these are absent."""
    if samples_folder() is not None:
        return
    away = [item for item in items if item.get_closest_marker("samples")]
    if away:
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if not item.get_closest_marker("samples")]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run where something was skipped and FILTERPROXY_NO_SKIPS is set."""
    if os.environ.get("FILTERPROXY_NO_SKIPS") and _skips(session.config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was skipped where nothing may be."""
    skips = _skips(config)
    if not os.environ.get("FILTERPROXY_NO_SKIPS") or not skips:
        return
    terminalreporter.section("skipped, which FILTERPROXY_NO_SKIPS forbids", red=True)
    for report in skips:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.line(f"{report.nodeid}: {reason}")


def _skips(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [] if reporter is None else [*reporter.stats.get("skipped", [])]
