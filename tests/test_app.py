"""The composition root where no product runs; tests/integration/test_supervisor.py sees the running one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from filterproxy import app
from filterproxy.core.decide import decide
from filterproxy.core.model import Connection
from filterproxy.errors import ConfigError, FilterproxyError
from filterproxy.settings import load

CONFIG = """
[runtime]
state = "{folder}/state"
[[lists]]
id = "one"
source = "{folder}/one.domains"
format = "domains"
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "one.domains").write_text("a.example\n")
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_an_inspector_without_mitmproxy_is_one_line(config, monkeypatch):
    """The image without it says which key to set, before anything is bound or written."""
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^inspection\.enabled: mitmproxy is not installed here"):
        app.run(load(config))
    assert not (config.parent / "state").exists()


def test_without_a_running_product_the_settings_are_judged_by(config):
    """`check` answers what these settings would put in force, and writes nothing."""
    policy = app.policy_in_force(load(config))
    now = datetime.now(UTC)
    assert decide(Connection("default", "x.a.example"), policy, now).blocked
    assert not decide(Connection("default", "b.example"), policy, now).blocked
    assert not (config.parent / "state").exists()


def test_the_addon_by_itself_gets_a_filter(config):
    """Keys are made where there are none; the second time the same ones are used."""
    first = app.standalone_filter(str(config))
    keys = {path.name: path.read_bytes() for path in (config.parent / "state" / "keys").iterdir()}
    second = app.standalone_filter(str(config))
    assert type(first) is type(second)
    assert {path.name: path.read_bytes() for path in (config.parent / "state" / "keys").iterdir()} == keys


def test_the_addon_is_refused_a_configuration_that_cannot_be_used(tmp_path):
    """One of our own errors, so that the addon refuses everything."""
    with pytest.raises(FilterproxyError):
        app.standalone_filter(str(tmp_path / "none.toml"))


def test_own_entries_that_mean_nothing_keep_it_from_starting(config):
    """The key is named, before anything is bound or made."""
    config.write_text(config.read_text() + '[[profiles]]\nid = "home"\ndeny = ["not a host"]\n')
    with pytest.raises(ConfigError, match=r"profiles\.home\.deny\.0"):
        app.run(load(config))
    assert not (config.parent / "state").exists()


@pytest.mark.parametrize(("table", "said"), [
    ('[dns]\nrecords = [{ name = "router.example", value = "no-address" }]\n', r"dns\.records\.0\.value"),
    ('[dns]\nupstream_ca = "none.pem"\n', r"dns\.upstream_ca"),
    (
        '[dns.encrypted]\nname = "dns.example"\ndot = ["127.0.0.1:8853"]\ncertificate = "none.pem"\nkey = "none.pem"\n',
        r"^dns\.encrypted\.certificate, key: .* cannot be opened",
    ),
    ('[dns]\nlisten = ["127.0.0.1:5399"]\nupstreams = ["tcp://127.0.0.1:5399"]\n', r"dns\.upstreams"),
    (
        '[dns]\nlisten = ["127.0.0.1:5399"]\nforward = [{ zone = "a.example", upstreams = ["127.0.0.1:5399"] }]\n',
        r"dns\.forward\.0\.upstreams",
    ),
])  # fmt: skip
def test_what_no_worker_could_serve_is_refused_before_one_starts(tmp_path, table, said):
    """Records that mean nothing, certificates and authorities that are not there, an upstream that is we ourselves."""
    path = tmp_path / "own.toml"
    path.write_text(f'[runtime]\nstate = "{tmp_path}/state"\n{table}')
    with pytest.raises(ConfigError, match=said):
        app.check(load(path))


@pytest.mark.parametrize(("secret", "said"), [
    ("", r"^dns\.transfer\.receivers: one: secret: .* cannot be opened"),
    ("c2hvcnQ=", r"^dns\.transfer\.receivers: one: secret: .* has 5 bytes"),
    ("MDEyMzQ1Njc4OTAxMjM0NQ==", r"^dns\.transfer\.certificate, key: "),
])  # fmt: skip
def test_zones_that_could_not_be_given_are_told_before_the_start(tmp_path, secret, said):
    """A receiver's key that cannot be used, and a certificate that is not there."""
    if secret:
        (tmp_path / "secret").write_text(secret)
        (tmp_path / "secret").chmod(0o600)
    path = tmp_path / "own.toml"
    path.write_text(f"""
[runtime]
state = "{tmp_path}/state"
[dns.transfer]
listen = ["127.0.0.1:8853"]
certificate = "{tmp_path}/none.pem"
key = "{tmp_path}/none.pem"
receivers = [{{ id = "one", networks = ["192.0.2.1/32"], key_name = "one.example", secret = "{tmp_path}/secret" }}]
""")
    with pytest.raises(ConfigError, match=said):
        app.check(load(path))


def test_an_upstream_over_tls_may_stand_at_the_port_where_names_are_asked(tmp_path):
    """It is reached by TLS, so it is not this filter; every way of writing one is taken."""
    path = tmp_path / "own.toml"
    ways = '"tls://127.0.0.1:5399#dns.example", "https://dns.example:5399/q#127.0.0.1", "tcp://127.0.0.1:53"'
    path.write_text(
        f'[runtime]\nstate = "{tmp_path}/state"\n[dns]\nlisten = ["127.0.0.1:5399"]\nupstreams = [{ways}]\n'
    )
    app.check(load(path))
