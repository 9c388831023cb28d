"""A webhook is posted to, over verified TLS, and to nobody else."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from filterproxy.alerts import Alert
from filterproxy.alerts.batch import Batch
from filterproxy.alerts.outbox import DeliveryError
from filterproxy.alerts.webhook import VERSION, Webhook
from filterproxy.errors import SecretError
from filterproxy.settings.tables import Alerts
from tests.alerts.receivers import hook, silent
from tests.conftest import ROOT


def batch(count=1):
    found = Batch("domain", 1_772_000_000.0)
    for line in range(count):
        found.add(Alert("domain", "court", "It falls on shop.example.", {"domain": "shop.example", "line": line}))
    return found


def way(port, trusted, **table):
    url = f"https://127.0.0.1:{port}/in/mark-of-the-path?key=mark-of-the-query"
    return Webhook(Alerts(webhook=url, webhook_ca=trusted.ca, **table), "Example ISP", step=2, whole=5)


def test_a_message_is_posted_as_documented(trusted, secret):
    """The path and query of the URL, the operator's headers, and every key that docs/alerts.md names."""
    secret.write_text("# of the receiver\nAuthorization: Bearer sesame\n\n")
    sent = batch(60)
    with hook(trusted) as posts:
        way(posts.port, trusted, webhook_headers=secret).send(sent)
    path, headers, body = posts.taken[0]
    assert path == "/in/mark-of-the-path?key=mark-of-the-query"
    assert headers["Authorization"] == "Bearer sesame"
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{posts.port}"
    assert (body["version"], body["id"], body["kind"], body["count"]) == (VERSION, sent.id, "domain", 60)
    assert body["lists"] == {"court": 60}
    assert len(body["alerts"]) == 50
    assert body["alerts"][0]["facts"] == {"domain": "shop.example", "line": 0}
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE))
    assert set(body) | set(body["alerts"][0]) <= documented


def test_this_machine_may_be_posted_to_in_clear():
    """Whoever could read it there reads the log as well."""
    with hook(None) as posts:
        Webhook(Alerts(webhook=f"http://127.0.0.1:{posts.port}/in"), "", step=2).send(batch())
    assert len(posts.taken) == 1


def test_no_proxy_of_the_environment_is_used(trusted, monkeypatch, dead_port):
    """What an environment says for other programs does not see our alerts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port}")
    with hook(trusted) as posts:
        way(posts.port, trusted).send(batch())
    assert len(posts.taken) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_any_answer_but_success_is_a_failure_and_no_redirect_is_followed(trusted, status):
    """An alert goes where the operator said, or is tried again."""
    with hook(trusted) as posts:
        posts.status = status
        with pytest.raises(DeliveryError, match=f"it answered {status}"):
            way(posts.port, trusted).send(batch())
    assert [path for path, *_ in posts.taken] == ["/in/mark-of-the-path?key=mark-of-the-query"]


def test_a_certificate_that_nobody_vouches_for_gets_nothing(trusted, foreign):
    """Neither the alert nor the headers are sent."""
    with hook(foreign) as posts, pytest.raises(DeliveryError, match="not to be trusted"):
        way(posts.port, trusted).send(batch())
    assert posts.taken == []


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x03", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_receiver_that_stalls_or_is_none_is_given_up(trusted, first):
    """Within the time that it has, whatever it says instead of TLS."""
    with silent(first) as port, pytest.raises(OSError, match=r".") as caught:
        Webhook(Alerts(webhook=f"https://127.0.0.1:{port}/mark"), "", step=0.2).send(batch())
    assert "mark" not in str(caught.value)


@pytest.mark.parametrize(("first", "drip"), [
    (b"", b"x"), (b"HTTP/1.1 500 No\r\n", b"x"), (b"HTTP/1.1 500 No\r\n", b"a: b\r\n"),
    (b"HTTP/1.1 100 Go on\r\n", b"\r\n"),
])  # fmt: skip
def test_a_receiver_that_drips_is_cut_off(first, drip):
    """Byte by byte, or header by header."""
    begun = time.monotonic()
    with silent(first, drip=drip, pause=0.01) as port, pytest.raises((OSError, DeliveryError)):
        Webhook(Alerts(webhook=f"http://127.0.0.1:{port}/"), "", step=5, whole=0.5).send(batch())
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("mode", "content", "reason"), [
    (0o640, "A: b", "readable by others"),
    (0o604, "A: b", "readable by others"),
    (0o600, "no header", "line 1: write Name: value"),
    (0o600, "A: b\nHost: other.example", "line 2: Host is set by the product itself"),
])  # fmt: skip
def test_headers_that_others_could_read_or_that_are_none_are_refused(trusted, secret, mode, content, reason):
    """Nothing is posted without them; the reason names the file and never what is in it."""
    secret.write_text(content)
    Path(secret).chmod(mode)
    with hook(trusted) as posts, pytest.raises(SecretError, match=reason):
        way(posts.port, trusted, webhook_headers=secret).send(batch())
    assert posts.taken == []
