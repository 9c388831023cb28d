"""The main job, as three people see it: a visitor's browser behind the proxy, a reviewer's terminal, and dig."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.conftest import have
from tests.integration.product import Product, upstream

pytestmark = [have("chromium", "chromium"), have("dig", "bind9-dnsutils")]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class Origin(http.server.BaseHTTPRequestHandler):
    """A web site that says which page it is."""

    def do_GET(self) -> None:
        body = f"<!doctype html><title>origin</title><p>This is {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Return the address of a web site on this machine, as `host:port`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, site: str) -> Iterator[Product]:
    """Run the product with two listed pages on that site, and a listed domain."""
    made = Product(tmp_path_factory.mktemp("job"))
    (made.folder / "u.urls").write_text(f"http://{site}/listed/one\n{site}/listed/two?id=1\n")
    with upstream(made.upstream):
        try:
            made.start()
            yield made
        finally:
            made.kill()


@pytest.fixture
def visitor(product: Product) -> Iterator[BrowserContext]:
    """A browser behind the proxy."""
    with sync_playwright() as playwright:
        proxy = {"server": f"http://127.0.0.1:{product.proxy}", "bypass": "<-loopback>"}
        browser: Browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS, proxy=proxy)  # type: ignore[arg-type]
        yield browser.new_context(locale="en-GB", viewport={"width": 390, "height": 844})
        browser.close()


def said(page: Page, url: str) -> tuple[int, str]:
    """Return status and text of a page."""
    response = page.goto(url)
    assert response is not None
    return response.status, page.inner_text("body")


def command(product: Product, *args: str) -> str:
    """Run `filterproxy` as a reviewer types it."""
    whole = [sys.executable, "-m", "filterproxy", *args, "-c", str(product.config)]
    return subprocess.run(whole, capture_output=True, text=True, check=True, timeout=60).stdout


def dig(product: Product, name: str) -> str:
    """Ask as `dig` does."""
    asked = ["dig", "@127.0.0.1", "-p", str(product.dns), name, "+tries=1", "+time=3"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout


def test_a_page_is_met_appealed_and_unblocked_alone(
    product: Product, visitor: BrowserContext, site: str, tmp_path: Path
) -> None:
    """Allowed page, listed pages on the same host, listed domain; the granted appeal frees that page and no other."""
    page = visitor.new_page()
    assert said(page, f"http://{site}/free") == (200, "This is /free")
    assert said(page, f"http://{site}/listed/onerous")[0] == 200
    status, text = said(page, "http://www.bad.example/")
    assert (status, "bad.example" in text) == (403, False)
    status, text = said(page, f"http://{site}/listed/two?id=1")
    assert status == 403
    status, text = said(page, f"http://{site}/listed/%6fne?any")
    assert (status, site in text) == (403, False)
    page.screenshot(path=tmp_path / "notice.png", full_page=True)

    page.locator("main form button").first.click()
    page.locator("textarea[name=message]").fill("It is a page about gardens.")
    page.locator("main form button").first.click()
    receipt = page.locator("text=/FP-[0-9A-Z]{4}-[0-9A-Z]{4}/").first.inner_text()
    receipt = next(word for word in receipt.split() if word.startswith("FP-"))
    assert receipt in command(product, "appeals", "list")
    assert "/listed/one" in command(product, "appeals", "show", receipt)
    command(product, "appeals", "decide", receipt, "grant", "--reason", "It is a page about gardens.")

    assert said(page, f"http://{site}/listed/one") == (200, "This is /listed/one")
    assert said(page, f"http://{site}/listed/two?id=1")[0] == 403


def test_dig_is_told_who_is_blocked_and_why(product: Product) -> None:
    """A listed domain is denied with an extended error, another name is answered."""
    blocked = dig(product, "www.bad.example")
    assert "status: NXDOMAIN" in blocked
    assert "EDE: 15 (Blocked)" in blocked
    assert "192.0.2.1" in dig(product, "free.example")
