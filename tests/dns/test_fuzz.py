"""Coverage-guided fuzzing of all that reads what strangers send: clients, upstreams, and what lies between.

Each target says what holds for any bytes; see tests/dns/fuzz_*.py. Seeds, runs and randomness are the same each time;
what a failure says ends in the bytes that made it, in base64.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

RUNS = {"query": 30_000, "answer": 15_000, "upstreams": 10_000, "https": 15_000}


@pytest.mark.parametrize("target", RUNS)
def test_no_bytes_raise_anything_or_show_a_name(target: str, tmp_path: Path) -> None:
    """Whatever is sent to us ends in a reply, a failure or silence; nothing is logged, and no name is printed."""
    found = tmp_path / "found"
    found.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.dns.fuzzing", target, str(found), f"-runs={RUNS[target]}", "-max_total_time=60",
         "-seed=1", "-verbosity=0", "-timeout=5", "-rss_limit_mb=1024", f"-artifact_prefix={tmp_path}/crash-"],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    told = [line for line in done.stderr.splitlines() if not line.startswith('"')]  # bytes of the fuzzer's dictionary
    assert "zqwanted" not in (done.stdout + "".join(told)).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["found"]
    assert len(list(found.iterdir())) > 50  # of what was tried, what reached something new
