"""A browser that resolves by our HTTPS alone: Chromium in a network namespace of its own, where nobody answers on
port 53.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, sync_playwright

from tests.conftest import have
from tests.e2e.test_dns_browser import FLAGS, RESOLVER, SITE, machine
from tests.integration.encrypted import Encrypted
from tests.integration.resolvers import unbound

__all__ = ["machine"]  # a fixture: the namespace
pytestmark = [
    have("chromium", "chromium"), have("unbound", "unbound"), have("ip", "iproute2"),
    have("ldns-signzone", "ldnsutils"), pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]  # fmt: skip

_KEYS = 'doh = ["127.0.0.1:443"]'
_MORE = f"""
[[dns.records]]
name = "own.bad.example"
value = "{SITE}"
[inspection]
enabled = false
"""


class Browsed(Encrypted):
    """A product that a browser can ask in no other way than over HTTPS."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _KEYS, _MORE)
        text = self.config.read_text()
        self.config.write_text(text.replace(f'"127.0.0.1:{self.upstream}"', f'"{RESOLVER}:5300"'))

    @property
    def trusted(self) -> str:
        """What makes Chromium trust our certificate alone."""
        key = x509.load_der_x509_certificate(self.pair.der).public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        return f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, machine: list[str]) -> Iterator[Browsed]:
    """The product on that machine, before an Unbound."""
    made = Browsed(tmp_path_factory.mktemp("doh-browser"))
    with made.running(unbound(made.folder, 5300, RESOLVER, within=machine), within=machine):
        yield made


@pytest.fixture(params=["/dns-query{?dns}", "/dns-query"], ids=["get", "post"])
def browser(product: Browsed, machine: list[str], request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser whose resolver is ours, and no other."""
    yield from browsing(product, machine, request.param)


def browsing(product: Browsed, machine: list[str], path: str) -> Iterator[BrowserContext]:
    chromium = product.folder / "chromium"
    chromium.write_text(f'#!/bin/sh\nexec {" ".join(machine)} /usr/bin/chromium "$@"\n')
    chromium.chmod(0o755)
    home = product.folder / f"home{time.monotonic_ns()}"
    home.mkdir()
    resolver = {"mode": "secure", "templates": f"https://127.0.0.1{path}"}
    (home / "Local State").write_text(json.dumps({"dns_over_https": resolver}))
    with sync_playwright() as playwright:
        made = playwright.chromium.launch_persistent_context(
            home, executable_path=str(chromium), args=[*FLAGS, product.trusted]
        )
        yield made
        made.close()


def failed(browser: BrowserContext, url: str) -> str:
    """Return why `url` cannot be shown, and take no more than three seconds."""
    page, begun = browser.new_page(), time.monotonic()
    with pytest.raises(Exception, match="net::") as found:
        page.goto(url)
    assert time.monotonic() - begun < 3
    page.close()
    return str(found.value)


def test_pages_are_found_and_blocked_ones_are_not(product: Browsed, browser: BrowserContext) -> None:
    """By GET and by POST, whichever the template asks for; and nobody waits for a name that is blocked."""
    page = browser.new_page()
    answer = page.goto("http://fine.example/")
    assert answer is not None
    assert (answer.status, page.title()) == (200, "Fine")
    for url in ("http://bad.example/", "https://www.bad.example/", "http://own.bad.example/", "http://leads.example/"):
        assert "ERR_NAME_NOT_RESOLVED" in failed(browser, url)
    page.close()
    assert product.ready()


def test_a_browser_may_choose_its_profile_by_the_template(product: Browsed, machine: list[str]) -> None:
    """What is blocked elsewhere resolves there, where the profile has no lists; one that may not be chosen gives
    nothing.
    """
    for context in browsing(product, machine, "/dns-query/free{?dns}"):
        page = context.new_page()
        page.goto("http://own.bad.example/")
        assert page.title() == "Fine"
    for context in browsing(product, machine, "/dns-query/home{?dns}"):
        assert "ERR_NAME_NOT_RESOLVED" in failed(context, "http://fine.example/")
