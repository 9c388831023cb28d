"""A browser whose machine has the product for its resolver: Chromium in a network namespace of its own.

Its /etc/resolv.conf names the product, which listens on port 53 there and asks an Unbound that is not on loopback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import have
from tests.integration.product import Product
from tests.integration.resolvers import unbound

pytestmark = [
    have("chromium", "chromium"), have("dig", "bind9-dnsutils"), have("unbound", "unbound"), have("ip", "iproute2"),
    have("ldns-signzone", "ldnsutils"), pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]  # fmt: skip

SITE, RESOLVER = "192.0.2.80", "192.0.2.53"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update"]  # fmt: skip
PAGES = f"""
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Type", "text/html"); self.end_headers()
        self.wfile.write(b"<!doctype html><title>Fine</title><p>Hello <img src=http://ads.bad.example/x.png>")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("{SITE}", 80), Page).serve_forever()
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[list[str]]:
    """Return by way of which command a program runs in a namespace that resolves by what listens on 127.0.0.1."""
    name = f"fpdns{os.getpid()}"
    resolver = Path("/etc/netns") / name
    resolver.mkdir(parents=True)
    (resolver / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    within = ["ip", "netns", "exec", name]
    site: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        # A wire to nowhere: without any, Chromium takes itself for offline.
        subprocess.run(["ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"], check=True)
        for end in ("eth0", "eth1"):
            subprocess.run(["ip", "-n", name, "link", "set", end, "up"], check=True)
        for address in (SITE, RESOLVER):
            subprocess.run(["ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        subprocess.run(["ip", "-n", name, "route", "add", "default", "via", "192.0.2.1"], check=True)
        site = subprocess.Popen([*within, sys.executable, "-c", PAGES])
        yield within
    finally:
        if site is not None:
            site.kill()
            site.wait(10)
        subprocess.run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(resolver)
        with suppress(OSError):
            resolver.parent.rmdir()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, machine: list[str]) -> Iterator[Product]:
    """The product on port 53 of that machine."""
    folder = tmp_path_factory.mktemp("browser")
    made = Product(folder)
    text = made.config.read_text().replace(f'"127.0.0.1:{made.dns}"', '"127.0.0.1:53"')
    text = text.replace(f'"127.0.0.1:{made.upstream}"', f'"{RESOLVER}:5300"')
    made.config.write_text(text + "[inspection]\nenabled = false\n")
    (folder / "d.domains").write_text("bad.example\n")
    with unbound(folder, 5300, RESOLVER, within=machine):
        try:
            made.start(within=machine)
            yield made
        finally:
            made.kill()


@pytest.fixture(scope="module")
def browser(product: Product, machine: list[str]) -> Iterator[Browser]:
    chromium = product.folder / "chromium"
    chromium.write_text(f'#!/bin/sh\nexec {" ".join(machine)} /usr/bin/chromium "$@"\n')
    chromium.chmod(0o755)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        yield made
        made.close()


def test_an_allowed_page_is_there(browser: Browser) -> None:
    """By its name, soon, though a picture on it is blocked."""
    page, refused = browser.new_page(), []
    page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    begun = time.monotonic()
    answer = page.goto("http://fine.example/")
    assert answer is not None
    assert (answer.status, page.title()) == (200, "Fine")
    assert time.monotonic() - begun < 5
    assert refused == [("http://ads.bad.example/x.png", "net::ERR_NAME_NOT_RESOLVED")]
    page.close()


@pytest.mark.parametrize("url", ["http://bad.example/", "https://www.bad.example/", "http://leads.example/"])
def test_a_blocked_name_does_not_exist_and_nobody_waits_for_that(browser: Browser, url: str) -> None:
    """Chromium says that the site cannot be found, at once; the name that only leads there too."""
    page = browser.new_page()
    begun = time.monotonic()
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto(url)
    assert time.monotonic() - begun < 3
    page.close()


def test_a_home_is_out_of_reach_for_a_foreign_name(browser: Browser) -> None:
    """A name with a private address does not resolve (rebinding)."""
    page = browser.new_page()
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://rebind.example/")
    page.close()


def test_the_system_s_resolver_agrees(product: Product, machine: list[str]) -> None:
    """The C library of that machine resolves what is allowed, and finds no host for what is not."""
    found = subprocess.run([*machine, "getent", "ahosts", "fine.example"], capture_output=True, text=True, check=True)
    assert SITE in found.stdout
    begun = time.monotonic()
    gone = subprocess.run(
        [*machine, "getent", "ahosts", "www.bad.example"], capture_output=True, text=True, check=False
    )
    assert (gone.returncode, gone.stdout) == (2, "")
    assert time.monotonic() - begun < 2


def test_what_anyone_on_the_way_could_have_set_is_not_said(product: Product, machine: list[str]) -> None:
    """Where Unbound validates, but is neither on loopback nor asked over TLS: its signatures pass, its AD does not."""
    asked = [*machine, "dig", "+dnssec", "+adflag", "signed.example"]
    there = subprocess.run([*asked, f"@{RESOLVER}", "-p", "5300"], capture_output=True, text=True, check=True).stdout
    here = subprocess.run([*asked, "@127.0.0.1"], capture_output=True, text=True, check=True).stdout
    assert "flags: qr rd ra ad;" in there
    assert "flags: qr rd ra;" in here
    assert "RRSIG\tA 13" in here
