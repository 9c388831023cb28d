"""The options of mitmproxy that our promises rest on, the same in our own role and under mitmdump."""

from __future__ import annotations

from typing import Any

from mitmproxy import certs
from mitmproxy.options import CONF_BASENAME

from filterproxy.errors import FilterproxyError
from filterproxy.settings import Settings

_KEY_BITS = 2048


def options(settings: Settings) -> dict[str, Any]:
    """Return mitmproxy's options for these settings."""
    limit, ca = settings.inspection.body_limit, settings.inspection.upstream_ca
    return {
        "confdir": str(settings.runtime.state / "ca"),
        "connection_strategy": "lazy",  # nothing is dialled before it was judged
        "rawtcp": False,  # what is neither HTTP nor TLS could be a request in disguise
        "validate_inbound_headers": True,
        "http3": False,
        "ssl_insecure": False,
        "ssl_verify_upstream_trusted_ca": str(ca) if ca else None,
        "store_streamed_bodies": False,
        "stream_large_bodies": str(limit) if limit else None,
    }


def certificate_authority(settings: Settings) -> None:
    """Make the CA that signs what is opened, where there is none; readable by us alone. Raises FilterproxyError."""
    folder = settings.runtime.state / "ca"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        certs.CertStore.from_store(folder, CONF_BASENAME, _KEY_BITS)
    except (OSError, ValueError) as exc:
        raise FilterproxyError(f"{folder}: the certificate authority cannot be used ({type(exc).__name__})") from exc
