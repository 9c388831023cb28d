"""Other people's log lines."""

from __future__ import annotations

import io
import logging

import pytest

from filterproxy.inspection.quiet import quieten


@pytest.mark.parametrize("name", ["mitmproxy", "mitmproxy.proxy.server", "asyncio", "hpack.hpack", "h2"])
def test_libraries_say_no_more_than_where_and_what_class(name):
    """Their texts hold addresses; the same error is told once a minute."""
    text, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(fields)s", defaults={"fields": ""}))
    root.addHandler(handler)
    quieten()
    try:
        logging.getLogger(name).warning("http://pages.example/listed")
        for _ in range(3):
            try:
                raise ValueError("http://pages.example/listed")
            except ValueError:
                logging.getLogger(name).exception("http://pages.example/listed")
    finally:
        root.removeHandler(handler)
    told = [line for line in text.getvalue().splitlines() if line.startswith("filterproxy.inspection")]
    assert told == [f"filterproxy.inspection library_error {{'logger': '{name}', 'error': 'ValueError'}}"]
    assert "pages.example" not in text.getvalue()
