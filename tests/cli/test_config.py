from __future__ import annotations

import json

from filterproxy.settings import load_text


def test_check_says_whether_a_file_can_be_used(run, config):
    """Fine, or the key and the reason; a profile's entry that means nothing counts too."""
    assert run("config", "check", "-c", config).returncode == 0
    config.write_text(config.read_text().replace("spared.example", "?"))
    done = run("config", "check", "-c", config)
    assert (done.returncode, "profiles.home.allow.0" in done.stderr) == (2, True)


def test_schema_and_example_agree_with_the_models(run):
    """The schema is JSON, the example a configuration that loads."""
    assert "lists" in json.loads(run("config", "schema").stdout)["properties"]
    load_text(run("config", "example").stdout)
