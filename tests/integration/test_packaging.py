"""The wheel and the sdist are whole: nothing of the checkout is needed to run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOCKS = ("requirements-runtime.lock", "requirements-without-inspection.lock", "docker/build.lock")
ELSEWHERE = {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, "PYTHONSAFEPATH": "1"}


def build(kind: str, source: Path, target: Path) -> Path:
    """Return the wheel or sdist of `source`, built into `target`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60, env=ELSEWHERE)
    (found,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    """Templates, styles, locales and migrations come along; tests, lists and configurations do not."""
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert all(name.startswith("filterproxy/") for name in names)
    files = (path for path in (ROOT / "filterproxy").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert names == {str(path.relative_to(ROOT)) for path in files}


def test_the_sdist_builds_the_same_wheel(wheel, unpacked, tmp_path):
    """Whoever builds from the sdist gets what we built."""
    assert contents(build("wheel", unpacked, tmp_path)) == contents(wheel)


@pytest.mark.parametrize(
    "name", ["docker/Dockerfile", "docker/compose.yaml", "config/wifi.toml", "lists/sample.urls", *LOCKS]
)
def test_the_sdist_builds_the_image_too(unpacked, name):
    """It holds what an image is made of and what runs it."""
    assert (unpacked / name).is_file()


def test_the_wheel_runs_by_itself(wheel, tmp_path):
    """Away from the checkout: it prints its configuration, and accepts what it printed."""
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    here = tmp_path / "empty"
    here.mkdir()
    environment = {**ELSEWHERE, "PYTHONPATH": str(installed)}

    def filterproxy(*arguments: str) -> str:
        command = [sys.executable, "-m", "filterproxy", *arguments]
        found = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        return found.stdout

    script = "import filterproxy; print(filterproxy.__file__)"
    where = subprocess.check_output([sys.executable, "-c", script], cwd=here, env=environment, text=True)
    assert where.startswith(str(installed))
    (here / "c.toml").write_text(filterproxy("config", "example"))
    assert "fine" in filterproxy("config", "check", "-c", "c.toml")


def packages(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==([^ \n]+)", (ROOT / name).read_text(), re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("name", LOCKS)
def test_every_lock_is_hashed_names_no_address_and_agrees_with_what_was_tested(name):
    """The image holds the versions that the tests ran on, whatever a registry says later."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(packages(name)) > 0
    tested = packages("requirements.lock")
    assert {package for package, version in packages(name).items() if tested.get(package) != version} <= {"tomlkit"}


def test_nothing_of_developers_is_in_the_image():
    """No test tool and no build tool; and mitmproxy only where it is wanted."""
    full, small = packages(LOCKS[0]), packages(LOCKS[1])
    assert not {"pytest", "hatchling", "mypy", "ruff", "hypothesis", "playwright"} & full.keys()
    assert "mitmproxy" in full
    assert set(small) < set(full)
    assert not [name for name in small if "mitmproxy" in name]
