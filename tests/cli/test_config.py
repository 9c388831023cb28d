from __future__ import annotations

import json

import pytest

from filterproxy.settings import load_text


def test_check_says_whether_a_file_can_be_used(run, config):
    """Fine, or the key and the reason; a profile's entry that means nothing counts too."""
    assert run("config", "check", "-c", config).returncode == 0
    config.write_text(config.read_text().replace("spared.example", "?"))
    done = run("config", "check", "-c", config)
    assert (done.returncode, "profiles.home.allow.0" in done.stderr) == (2, True)


@pytest.mark.parametrize(("text", "said"), [
    ('[operator]\ndomains = ["no name"]', "operator.domains.0: not a domain name"),
    ('[operator]\ntop_sites = "nowhere"', "operator.top_sites: nowhere: No such file"),
    ('[[lists]]\nid = "a"\nsource = "a"\nsigned = { key = "abc" }', "lists.0.signed.key: not an Ed25519 key"),
])  # fmt: skip
def test_check_finds_what_run_would_refuse(run, tmp_path, text, said):
    """A file that is fine is one that the product starts with."""
    (tmp_path / "made.toml").write_text(text)
    for command in (("config", "check"), ("run",)):
        done = run(*command, "-c", tmp_path / "made.toml")
        assert (done.returncode, done.stderr.startswith(f"filterproxy: {said}")) == (2, True), done.stderr


def test_schema_and_example_agree_with_the_models(run):
    """The schema is JSON, the example a configuration that loads."""
    assert "lists" in json.loads(run("config", "schema").stdout)["properties"]
    load_text(run("config", "example").stdout)
