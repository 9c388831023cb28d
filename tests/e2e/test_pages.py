"""A person with a browser and no JavaScript meets a block, objects, and reads the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from filterproxy.core.appeals import State
from filterproxy.core.model import Action, Kind, Listing, Match, Scope, Verdict
from filterproxy.notice.render import Notices
from filterproxy.notice.token import Sealer
from filterproxy.portal.app import create_app
from filterproxy.settings.tables import Operator
from tests.conftest import have
from tests.portal.world import START, World, make_world

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.example 127.0.0.1",
]  # fmt: skip
WIDTHS = (320, 390, 1280)

pytestmark = have("chromium", "chromium")


class Serving(uvicorn.Server):
    """A server that leaves signals to the tests."""

    def install_signal_handlers(self) -> None:
        """Do nothing: this thread is not the main one."""


@pytest.fixture
def world(tmp_path: Path, free_port: int) -> Iterator[World]:
    """Serve a portal as notice.example; blocked hosts lead to it, as DNS would."""
    made = make_world(tmp_path, f"notice.example:{free_port}")
    config = uvicorn.Config(
        create_app(made.parts), port=free_port, log_config=None, access_log=False, server_header=False, ws="none"
    )
    server = Serving(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.02)
    yield made
    server.should_exit = True
    thread.join(10)
    made.parts.store.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(java_script_enabled=False, locale="en-GB")
    yield made
    made.close()


def test_a_block_is_met_objected_to_and_answered_without_javascript(world: World, context: BrowserContext) -> None:
    """From the notice on the blocked site to the answer: nothing but links, buttons and forms."""
    page = context.new_page()
    port = world.parts.settings.portal.url.rpartition(":")[2]
    answer = page.goto(f"http://mixed.example:{port}/listed/place?q=1")
    assert answer is not None
    assert answer.status == 451
    page.get_by_role("button", name="Ask us to look again").click()
    assert page.url == f"{world.parts.settings.portal.url}/appeal"
    assert "mixed.example" not in page.content()
    page.get_by_role("button", name="Send").click()  # in haste
    assert "Write a few words about why." in page.inner_text(".field.wrong")
    page.get_by_label("Why should it not be blocked?").fill("It is a library.")
    page.get_by_label("How can we reach you?").fill("me@b.example")
    page.get_by_role("button", name="Send").click()
    receipt, secret = page.locator(".code").all_inner_texts()
    (row,) = world.parts.store.appeals()
    assert (row.receipt, row.list_id) == (receipt, "pages")
    assert row.subject == f"http://mixed.example:{port}/listed/place?q=1"

    for state in (State.TRIAGED, State.FORWARDED, State.GRANTED):
        world.parts.store.move(receipt, state, "Ann", "", world.clock[0], answer="You are right.")
    page.get_by_role("link", name="See how your appeal stands").click()
    page.get_by_label("Receipt number").fill(receipt)
    page.get_by_label("Secret").fill(secret)
    page.get_by_role("button", name="Show").click()
    assert "You are right." in page.inner_text("main")
    assert context.cookies() == []


def test_an_address_is_typed_by_someone_who_saw_no_notice(world: World, context: BrowserContext) -> None:
    """The form alone is enough; a mistake is said beside its field and keeps what was typed."""
    page = context.new_page()
    page.goto(f"{world.parts.settings.portal.url}/")
    page.get_by_role("link", name="Ask us to look again").click()
    page.get_by_label("Which page or site?").fill("my page")
    page.get_by_label("Why should it not be blocked?").fill("It is a library.")
    page.get_by_role("button", name="Send").click()
    assert page.get_by_label("Which page or site?").input_value() == "my page"
    page.get_by_label("Which page or site?").fill("www.a.example")
    page.get_by_role("button", name="Send").click()
    assert page.locator(".code").count() == 2
    assert [row.subject for row in world.parts.store.appeals()] == ["www.a.example"]


# Each page, and how one comes to it


def notice(page: Page, portal: str) -> None:
    page.goto(f"http://mixed.example:{portal.rpartition(':')[2]}/listed/place")


def warning(page: Page, portal: str) -> None:
    """Show what the proxy sends; the portal leads nobody on to anything, so it warns of nothing."""
    listing = Listing("w", title="Words", authority="A Board")
    verdict = Verdict(match=Match(listing, Kind.KEYWORD, Scope.WORD, Action.WARN, "warlike"))
    notices = Notices(Operator(), portal, Sealer(X25519PrivateKey.generate().public_key().public_bytes_raw()))
    page.goto(f"{portal}/notice")
    page.set_content(notices.warning(verdict, "", START, proceed_cookie="go=1").body.decode())


def elsewhere(page: Page, portal: str) -> None:
    page.goto(f"http://plain.example:{portal.rpartition(':')[2]}/")


def about(page: Page, portal: str) -> None:
    page.goto(f"{portal}/notice")


def typed(page: Page, portal: str) -> None:
    page.goto(f"{portal}/appeal")


def from_notice(page: Page, portal: str) -> None:
    notice(page, portal)
    page.get_by_role("button").click()


def wrong(page: Page, portal: str) -> None:
    typed(page, portal)
    page.get_by_label("Which page or site?").fill("a-very-long-word-without-any-space-in-it-" * 6)
    page.get_by_role("button", name="Send").click()


def receipt(page: Page, portal: str) -> None:
    typed(page, portal)
    page.get_by_label("Which page or site?").fill("www.a.example")
    page.get_by_label("Why should it not be blocked?").fill("It is a library.")
    page.get_by_role("button", name="Send").click()


def ask(page: Page, portal: str) -> None:
    page.goto(f"{portal}/appeal/status")


def unknown(page: Page, portal: str) -> None:
    ask(page, portal)
    page.get_by_label("Receipt number").fill("FP-0000-0000")
    page.get_by_label("Secret").fill("x")
    page.get_by_role("button", name="Show").click()


def status(page: Page, portal: str) -> None:
    receipt(page, portal)
    number, secret = page.locator(".code").all_inner_texts()
    ask(page, portal)
    page.get_by_label("Receipt number").fill(number)
    page.get_by_label("Secret").fill(secret)
    page.get_by_role("button", name="Show").click()


def record(page: Page, portal: str) -> None:
    page.goto(f"{portal}/transparency")


def nowhere(page: Page, portal: str) -> None:
    page.goto(f"{portal}/nowhere")


WAYS = (notice, warning, elsewhere, about, typed, from_notice, wrong, receipt, ask, unknown, status, record, nowhere)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everyone(
    world: World, chromium: Browser, tmp_path: Path, way: Any, scheme: Any
) -> None:
    """No page breaks a rule that axe knows, none scrolls sideways, and none asks anything of anybody else."""
    # Only here may scripts run, for axe is one; the policy of our pages keeps out all others.
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True, locale="en-GB")
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    way(page, world.parts.settings.portal.url)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=tmp_path / f"{way.__name__}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert all(".example:" in url or url.startswith("data:") for url in asked)
    context.close()


def test_a_page_breaks_no_policy_of_its_own(world: World, chromium: Browser) -> None:
    """With its policy in force, no page tries anything that it forbids."""
    context = chromium.new_context(locale="en-GB")
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for way in (notice, about, from_notice, receipt, record):
        way(page, world.parts.settings.portal.url)
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
    assert [text for text in said if "Content Security Policy" in text or "Content-Security-Policy" in text] == []
    context.close()
