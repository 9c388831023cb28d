"""A configuration with small lists, and a way to run commands as a user types them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = """
[runtime]
state = "{folder}/state"
[[lists]]
id = "law"
category = "Forbidden"
basis = "law"
mandatory = true
confidential = true
format = "urls"
source = "{folder}/law.urls"
https = "inspect"
[[lists]]
id = "sites"
format = "domains"
source = "{folder}/sites.domains"
[[lists]]
id = "words"
format = "keywords"
source = "{folder}/words.keywords"
[[profiles]]
id = "home"
networks = ["127.0.0.0/8"]
allow = ["spared.example"]
[[profiles]]
id = "guests"
networks = ["192.0.2.0/24"]
lists = []
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration file whose lists are there."""
    (tmp_path / "law.urls").write_text("mixed.example/listed\nnot a url\n")
    (tmp_path / "sites.domains").write_text("blocked.example\nspared.example\n")
    (tmp_path / "words.keywords").write_text("gadget\n")
    path = tmp_path / "filterproxy.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs `filterproxy` with arguments and standard input."""

    def call(*args: object, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "filterproxy", *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False, cwd=tmp_path)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return call
