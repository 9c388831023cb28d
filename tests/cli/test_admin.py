"""`filterproxy admin` where nothing runs; tests/integration/test_rotation.py rotates the keys of running products."""

from __future__ import annotations

from filterproxy.keys import Keys


def test_a_key_is_rotated_by_the_running_product_alone(run, config, tmp_path):
    """Where none runs, one line says so, and the keys are what they were."""
    keys = Keys.open_or_create(tmp_path / "state" / "keys")
    done = run("admin", "rotate-key", "digest", "-c", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "does not run" in done.stderr
    assert Keys.open(tmp_path / "state" / "keys") == keys
