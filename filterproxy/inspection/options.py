"""The options of mitmproxy that our promises rest on, the same in our own role and under mitmdump."""

from __future__ import annotations

from typing import Any

from filterproxy.settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """Return mitmproxy's options for these settings."""
    limit, ca = settings.inspection.body_limit, settings.inspection.upstream_ca
    return {
        "connection_strategy": "lazy",  # nothing is dialled before it was judged
        "rawtcp": False,  # what is neither HTTP nor TLS could be a request in disguise
        "validate_inbound_headers": True,
        "http3": False,
        "ssl_insecure": False,
        "ssl_verify_upstream_trusted_ca": str(ca) if ca else None,
        "store_streamed_bodies": False,
        "stream_large_bodies": str(limit) if limit else None,
    }
