"""The application: which routes there are, and what is no route."""

from __future__ import annotations

from dataclasses import replace

import pytest


def test_the_routes_are_those_of_the_design(browser):
    """The paths that other people's scripts rely on, and no page of documentation."""
    paths = browser.get("/api/openapi.json").json()["paths"]
    assert {path: set(verbs) for path, verbs in paths.items()} == {
        "/notice": {"get"}, "/appeal": {"get", "post"}, "/appeal/status": {"get", "post"},
        "/transparency": {"get"}, "/transparency.json": {"get"}, "/transparency.csv": {"get"},
        "/healthz": {"get"}, "/readyz": {"get"},
    }  # fmt: skip
    assert browser.get("/docs").status_code == 404
    assert browser.get("/redoc").status_code == 404


def test_the_front_page_leads_to_what_a_block_means(browser):
    """Who opens the portal by itself learns what it is for."""
    assert browser.get("/").headers["location"] == "/notice"
    page = browser.get("/notice").text
    for words in ("Why was something blocked?", 'href="/appeal"', 'href="/transparency"', "https://helpline.example/"):
        assert words in page


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nowhere", 404),
    ("POST", "/notice", 405),
    ("DELETE", "/appeal", 405),
    ("GET", "/appeal/", 307),
    ("HEAD", "/appeal", 200),
    ("HEAD", "/transparency.json", 200),
])  # fmt: skip
def test_what_is_no_route_is_a_page_too(browser, method, path, status):
    """A wrong path or method gets a short page; HEAD is answered wherever GET is."""
    answer = browser.request(method, path)
    assert answer.status_code == status
    assert status not in (404, 405) or "<h1>" in answer.text


def test_health_is_told_apart_from_readiness(world, browser):
    """The portal answers while it runs; it is ready once a policy is in force, with or without its database."""

    def none_yet():
        raise LookupError

    assert (browser.get("/healthz").text, browser.get("/readyz").text) == ("ok\n", "ready\n")
    world.parts = replace(world.parts, policy=none_yet)
    early = world.client()
    assert (early.get("/healthz").status_code, early.get("/readyz").status_code) == (200, 503)
    assert world.with_store_away().client().get("/healthz").status_code == 200


def test_pages_are_there_while_the_database_is_away(world):
    """Without its database the portal still explains, shows its forms and its lists."""
    browser = world.with_store_away().client()
    for path in ("/notice", "/appeal", "/appeal/status", "/transparency", "/transparency.json", "/transparency.csv"):
        assert browser.get(path).status_code == 200, path
