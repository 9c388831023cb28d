"""The captive portal API (RFC 8908)."""

from __future__ import annotations

from dataclasses import replace

from starlette.testclient import TestClient

from filterproxy.portal.app import create_app
from tests.portal.world import World


def test_a_device_learns_that_nobody_is_held_back(world: World) -> None:
    """The answer has the type and keys of RFC 8908, and may be kept by nobody else."""
    portal = world.parts.settings.portal.model_copy(update={"captive_api": True, "url": "https://notice.example"})
    parts = replace(world.parts, settings=world.parts.settings.model_copy(update={"portal": portal}))
    answer = TestClient(create_app(parts), "https://notice.example").get("/captive-portal/api")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/captive+json"
    assert answer.headers["cache-control"] == "private"
    assert answer.json() == {"captive": False, "venue-info-url": "https://notice.example/notice"}


def test_nobody_is_told_anything_unless_asked_to(world: World) -> None:
    """By default there is no such page: a network's own captive portal may have one."""
    assert world.client().get("/captive-portal/api").status_code == 404
