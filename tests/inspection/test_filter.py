"""The addon in a running mitmproxy: what passes, what is answered, what is closed."""

from __future__ import annotations

import ssl

import pytest


async def test_an_allowed_page_passes_and_a_listed_one_on_the_same_host_does_not(world):
    """The full URL decides, not the host."""
    allowed, listed = await world.get("http://pages.example:PORT/"), await world.get("http://pages.example:PORT/listed")
    assert (allowed.status, allowed.body, listed.status) == (200, b"the page", 451)
    assert world.origin.lines == ["GET / HTTP/1.1"]
