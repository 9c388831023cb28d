"""What the tests of alerts may ask for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.receivers import Authority, authority


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that the settings name."""
    return authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that nobody trusts."""
    return authority(tmp_path_factory.mktemp("foreign"), "foreign")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file that only its owner may read, with a password."""
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text("sesame\n")
    return path


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Yield a port that is taken, by somebody who does not listen."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
