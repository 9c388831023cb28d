"""The addon by itself, in the mitmdump that anyone may start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy.connection import Client, Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from filterproxy.inspection.standalone import Refusing, Standalone
from tests.conftest import ROOT

MITMDUMP = Path(sys.executable).with_name("mitmdump")


def test_everything_is_refused_until_there_is_a_filter():
    """Whatever mitmproxy does in between, nothing is dialled."""
    waiting = Standalone(lambda _: pytest.fail("not asked to build")).addons[0]
    assert isinstance(waiting, Refusing)
    for hook in (waiting.http_connect, waiting.requestheaders):
        flow = tflow.tflow()
        hook(flow)
        assert flow.response is not None
        assert flow.response.status_code == 503
    data = ServerConnectionHookData(
        Server(address=("ok.example", 80)), Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    )
    waiting.server_connect(data)
    assert data.server.error


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[portal]\nnonsense = 1", "portal.nonsense: unknown key"),
        ("[runtime]\nstate = '/proc/nowhere'", "cannot be made"),
        (None, "No such file or directory"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_mitmdump_with_a_line(tmp_path, free_port, text, why):
    """It does not go on without a filter."""
    path = tmp_path / "c.toml"
    if text is not None:
        path.write_text(text)
    done = subprocess.run(
        [MITMDUMP, "-s", "addons/http_filter.py", "--set", f"filterproxy_config={path}", "-p", str(free_port)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert why in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
