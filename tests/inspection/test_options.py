"""The options that our promises rest on."""

from __future__ import annotations

from filterproxy.inspection.options import options
from filterproxy.settings import Settings


def test_nothing_is_dialled_early_and_nothing_passes_raw():
    """And origins are always checked."""
    found = options(Settings())
    assert (found["connection_strategy"], found["rawtcp"], found["ssl_insecure"]) == ("lazy", False, False)
    assert (found["stream_large_bodies"], found["ssl_verify_upstream_trusted_ca"]) == (None, None)


def test_the_settings_are_handed_on():
    """A limit in bytes, an authority as a path."""
    settings = Settings.model_validate({"inspection": {"body_limit": 1000, "upstream_ca": "a.pem"}})
    found = options(settings)
    assert (found["stream_large_bodies"], found["ssl_verify_upstream_trusted_ca"]) == ("1000", "a.pem")
