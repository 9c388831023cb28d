"""What stands before the path: `host[:port]` as clients write it in targets, Host fields and CONNECT."""

from __future__ import annotations

import re
from typing import Final

from . import names
from .urls import Url, canonical

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{0,5}))?")
DEFAULT_PORT: Final = {"http": 80, "https": 443}


def url_of(scheme: str, authority: str, path: str) -> Url | None:
    """Return the canonical URL of its parts, or None where they make none; `scheme` is http or https."""
    found = _AUTHORITY.fullmatch(authority)
    host = names.host(found[1]) if found else None
    if found is None or host is None or scheme not in DEFAULT_PORT:
        return None
    return canonical(f"{scheme}://{host}{':' + found[2] if found[2] else ''}{path}")


def host_of(text: str) -> str | None:
    """Return the canonical host of an authority, or None where it is none."""
    found = _AUTHORITY.fullmatch(text)
    return names.host(found[1]) if found else None


def place(url: Url) -> tuple[str, int]:
    """Return the host and port of a URL."""
    return url.host, url.port if url.port is not None else DEFAULT_PORT.get(url.scheme, 0)


def authority_of(url: Url) -> str:
    """Return `host[:port]` as it stands in a Host field."""
    return url.host if url.port is None else f"{url.host}:{url.port}"


def bare(host: str) -> str:
    """Return a canonical host as it is dialled: an IPv6 address without brackets."""
    return host.strip("[]")
