"""No part of a connection lasts, whoever is at its other end."""

from __future__ import annotations

import time

import pytest

from filterproxy.alerts.line import line, verifying
from filterproxy.alerts.outbox import DeliveryError
from tests.alerts.receivers import silent


def test_a_step_that_stalls_ends():
    """Nothing is waited for longer than a step."""
    with silent() as port, line("127.0.0.1", port, step=0.2) as sock, pytest.raises(TimeoutError):
        sock.recv(1)


def test_whoever_drips_bytes_is_cut_off():
    """Each step is short, and still the whole is bounded."""
    begun = time.monotonic()
    with silent(drip=b".") as port, line("127.0.0.1", port, step=5, whole=0.5) as sock:
        while sock.recv(1):
            pass
    assert time.monotonic() - begun < 5


def test_nobody_there_is_an_os_error(dead_port):
    """A refused connection is told as one."""
    with pytest.raises(ConnectionRefusedError), line("127.0.0.1", dead_port):
        pass


def test_an_authority_that_cannot_be_read_is_a_delivery_error(tmp_path):
    """Nothing is sent unverified instead."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(DeliveryError, match="cannot be used"):
            verifying(path)
